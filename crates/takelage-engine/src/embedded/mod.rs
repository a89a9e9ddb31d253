//! The embedded engine: containers and images without a daemon.
//!
//! ```text
//! takelage ── one task each ──► helper: unpacks, packs, mounts, removes      (`helper`, `jobs`)
//!     │
//!     ├────── one container each ──► monitor: mounts, creates, waits         (`monitor`)
//!     │                                 └─► first process: the agent         (crate `takelage-agent`)
//!     ├────── unix socket ─────────────────────┘
//!     │
//!     └────── one network each, where it is not the host's ──► switch            (`network`)
//! ```
//!
//! Helpers, monitors and switches are this same program, started once more with one thread. What a container is stands in its
//! directory, whether it runs is told by a lock that its monitor holds, so nothing has to be asked of a process that may be
//! gone: see `record`. Images are in a store of their own, see `store`.

mod bundle;
mod cgroup;
mod commit;
mod container;
mod create;
mod end;
mod engine;
mod freeze;
mod helper;
mod hold;
mod import;
mod jobs;
mod launch;
mod monitor;
mod mount_points;
mod namespaces;
mod network;
mod overlay;
mod record;
mod rootless;
mod seal;
mod snapshot;
pub(crate) mod store;
mod volume;

pub use container::EmbeddedContainer;
pub use engine::{Embedded, Settings};
pub use helper::helper;
pub use store::{Freed, ImageUsage, Usage, VolumeUsage};
