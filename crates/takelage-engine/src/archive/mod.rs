//! Image archives: docker-archive, OCI archive and root file systems, read, checked and written.
//!
//! Archives come from anywhere, so nothing in them is believed: digests are recomputed, sizes bounded, and no
//! name from an archive is ever used as a path of the host.

mod compression;
mod contents;
mod docker;
mod error;
mod image;
mod layout;
mod oci;
mod read_ahead;
mod rootfs;
mod strip;
mod tree;
mod write;

pub(crate) use compression::Compression;
pub use error::ArchiveError;
pub use image::{ArchiveFormat, ArchiveKind, ImageArchive};
pub(crate) use layout::Layout;
pub(crate) use read_ahead::ReadAhead;
pub use tree::ImageTree;
