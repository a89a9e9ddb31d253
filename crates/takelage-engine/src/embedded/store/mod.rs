//! The store of the embedded engine: images as an OCI image layout, and what a container needs of them.
//!
//! ```text
//! v1/                        one directory for each version of this format
//!   oci-layout               {"imageLayoutVersion":"1.0.0"}
//!   index.json               one entry for each name of an image, or one without a name
//!   blobs/sha256/HEX         manifests, configurations, packed layers
//!   layers/HEX/tree/         an unpacked layer, by the digest of its unpacked tar file
//!   layers/HEX/layer.json    what it holds; see `layer`
//!   partial/HEX              a blob that is being fetched, or was when its writer ended; see `fetch`
//!   leases/NAME              digests that a running process needs; see `lease`
//!   containers/NAME/         the containers' own; `image.json` names what one needs of the store
//!   snapshots/NAME/          the same for snapshots
//!   temporary/NAME           what is being written, or was when its writer ended
//!   locks/NAME               see `lock`
//! ```
//!
//! **Shared.** Any number of processes use one store. The lock `store` is held for moments only: alone to change
//! `index.json` or to collect garbage, together with others to put down what one needs before it is looked for. What
//! takes long, fetching a blob or unpacking a layer, has a lock of its own, so that it is done once.
//!
//! **Crash-safe.** Everything is written under a temporary name and renamed when it is whole. What dead writers leave
//! is told from what is being written by its lock, which ends with the process.
//!
//! **Verified.** A blob's name is the digest of its content, and whoever reads it to its end has checked that.

mod add;
mod blob;
pub(crate) mod boot;
mod error;
mod export;
mod fetch;
mod garbage;
mod image;
mod index;
mod layer;
mod lease;
mod load;
mod lock;
mod name;
mod open;
mod record;
mod send;
mod temporary;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;
mod usage;

pub(crate) use add::LayerBlob;
pub(crate) use error::StoreError;
pub(crate) use fetch::{Fetch, Partial};
pub(crate) use image::Pulled;
pub(crate) use layer::Trees;
pub(crate) use lease::Lease;
pub(crate) use open::Store;
pub(crate) use unpack::{Unpack, Unpacked};
pub use usage::{Freed, ImageUsage, Usage, VolumeUsage};
