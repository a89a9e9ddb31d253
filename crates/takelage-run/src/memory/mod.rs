//! Remembers what requests to containers came to, so that an unchanged step costs no container.
//!
//! ```text
//! S0 = what a container starts as: image, settings that its processes can see, engine, takelage
//! K  = H(S, request)          finds the record of what the request came to in state S
//! S' = H(K, id of the record) the state after it
//! ```
//!
//! A record's id is drawn when the request is carried out. So a state stands for one history that really happened: records
//! of two executions of the same request never mix, although their requests are the same byte for byte.
//!
//! [`Chain`] follows one container along its states. As long as it finds records there is no container; at the first
//! request without one a [`Machine`] makes it, of the latest snapshot or of the image, and what came after is sent
//! again. What such a request answers now must be what it was told to have answered; see [`compare`]. Everything in the
//! [`Records`] is sealed with a key that only whoever knows the request can make; see [`secret`].

mod chain;
mod compare;
mod container;
mod fingerprint;
mod journal;
mod machine;
mod mask;
mod past;
mod progress;
mod record;
mod records;
mod replay;
mod secret;

pub(crate) use chain::{Beginning, Chain, ENGINE, IMAGE, Start};
pub(crate) use journal::Journal;
pub use journal::{Explanation, FirstRun};
pub(crate) use machine::Machine;
pub(crate) use records::Records;
use secret::State;
