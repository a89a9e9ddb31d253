//! Trees of files from layers, and layers from trees.
//!
//! A layer is a tar archive. Archives come from strangers, so the kernel resolves every name in them below one open directory,
//! their size is bounded, and what programs understand differently is refused. Trees come from containers, which
//! may hold whatever a kernel lets them make.
//!
//! Everything here is synchronous and works on open directories: it runs in a process of its own where a user namespace or root's
//! rights are needed. Nothing here knows of stores, images or compression, nor makes mounts.
//!
//! | reading | writing |
//! | --- | --- |
//! | `stream`, `digesting`: blocks and digest | `output`, `digesting`: blocks and digest |
//! | `header`, `pax`, `extension`, `sparse`, `member`: one entry | `entry`, `pax`: one entry |
//! | `members`: all entries | `walk`: all files |
//! | `tree`, `build`, `directories`: files | `xattr`, `tree`: files |
//! | `unpack`: the rules of layers | `pack`, `packer`: the rules of layers |
//!
//! `merge` and `remove` read no archive and write none. `stack`, `flatten`, `listing` and `omit` need no tree: the first says what
//! several archives show, two make one archive of them, and a list, and the last makes an archive smaller.

mod build;
mod content;
mod digesting;
mod directories;
mod entry;
mod error;
mod extension;
mod flatten;
mod header;
mod limits;
mod listing;
mod marker;
mod member;
mod members;
mod merge;
mod name;
mod omit;
mod output;
mod pack;
mod packer;
mod pax;
mod remove;
mod sparse;
mod stack;
mod stream;
mod tree;
mod unpack;
mod walk;
mod xattr;

pub(crate) use error::LayerError;
pub(crate) use flatten::flatten;
pub(crate) use limits::Limits;
pub(crate) use listing::Listing;
pub use listing::{FileKind, TreeFile};
pub(crate) use marker::Namespace;
pub(crate) use merge::{merge, trim};
pub use omit::Omitted;
pub(crate) use omit::omit;
#[cfg(test)]
pub(crate) use pack::Packed;
pub(crate) use pack::{ArchiveOptions, Mounts, PackOptions, archive, pack};
pub(crate) use remove::remove;
pub(crate) use stack::Archive;
#[cfg(test)]
pub(crate) use unpack::Unpacked;
pub(crate) use unpack::{LeftOut, Omission, extract, unpack};
pub(crate) use walk::measure;

#[cfg(test)]
mod tests;
