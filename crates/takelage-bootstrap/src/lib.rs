//! Debian base images from packages alone: no registry, and neither `debootstrap` nor `dpkg` on the host.
//!
//! This crate knows Debian and no engine. Whoever has an engine takes these steps:
//!
//! 1. [`resolve()`] the request to a [`Selection`] of packages, from a signed index. Its
//!    [digest](Selection::digest) says whether the image was made before.
//! 2. [`unpack()`] the packages to a tar archive: a file system in which nothing is configured yet.
//! 3. Make a container of it and run [`CONFIGURE`] in it as root, with `/bin/sh -c`. It needs no network.
//! 4. Export the container's root as tar and [`normalise()`] it: the result depends on nothing but the selection.
//!
//! Besides, [`fetch_file`] gets a single file of a package for a host that lacks it.
//!
//! All functions block and use threads of their own; asynchronous callers give them a thread that may block.

mod archive;
mod configure;
mod database;
mod deb;
mod download;
mod error;
mod fetch;
mod filesystem;
mod host;
mod index;
mod keyring;
mod normalise;
mod relation;
mod release;
mod request;
mod resolver;
mod selection;
mod sources;
mod suite;
mod unpack;

pub use configure::CONFIGURE;
pub use error::BootstrapError;
pub use fetch::fetch_file;
pub use host::host_mirror;
pub use normalise::{Report, normalise};
pub use request::{DEFAULT_MIRROR, Mirror, Progress, Request, Settings};
pub use selection::{Package, Selection, Stage, resolve};
pub use unpack::unpack;
