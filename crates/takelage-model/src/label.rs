//! The labels on everything takelage creates. Only objects with this project's labels are ever removed.

/// Whether a label is one of takelage's own.
pub fn is_own(key: &str) -> bool {
    [PROJECT, IMAGE, RUN, BASE, SETTINGS, PURPOSE, NETWORK, MEMORY, STATE, FINGERPRINT, DEPTH].contains(&key)
}

/// The checkout that an object belongs to: project name and a digest of its place, see `takelage-run`.
pub const PROJECT: &str = "takelage.project";
/// The image of the project file that an object belongs to.
pub const IMAGE: &str = "takelage.image";
/// The run that created an object.
pub const RUN: &str = "takelage.run";
/// The id of the image that a container was created from.
pub const BASE: &str = "takelage.base";
/// A digest of the settings that a kept container was created with.
pub const SETTINGS: &str = "takelage.settings";
/// Why a container exists: one of [`purpose`]'s words.
pub const PURPOSE: &str = "takelage.purpose";

/// The private network that a container is in, and the network itself.
pub const NETWORK: &str = "takelage.network";

/// The values of [`PURPOSE`].
pub mod purpose {
    /// The container that `develop` keeps.
    pub const DEVELOP: &str = "develop";
    /// A container that is committed and removed.
    pub const PRODUCE: &str = "produce";
    /// A container of a produced image, removed after its checks.
    pub const TEST: &str = "test";
    /// A container in which a bootstrapped image configures its packages.
    pub const BOOTSTRAP: &str = "bootstrap";
}

/// The store of remembered requests that a snapshot belongs to.
pub const MEMORY: &str = "takelage.memory";
/// The state that a snapshot is of.
pub const STATE: &str = "takelage.memory.state";
/// What its container looked like beside its files.
pub const FINGERPRINT: &str = "takelage.memory.fingerprint";
/// How many snapshots a snapshot stands on, itself included.
pub const DEPTH: &str = "takelage.memory.depth";
