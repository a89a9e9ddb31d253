//! How much an archive may be.

/// What an archive may ask for before it is refused as a bomb.
///
/// The defaults leave room for every image that people use: the largest have some hundred thousand files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Headers, those that only describe the next one included.
    pub entries: u64,
    /// Bytes: of the stream, and once more of the files that it makes, with their holes.
    pub bytes: u64,
    /// Bytes of one name or target of a link. The kernel takes no more than 4095.
    pub name: usize,
    /// Bytes of all names together. Those of directories are kept until the end.
    pub names: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 2_000_000, bytes: 128 << 30, name: 4095, names: 512 << 20 }
    }
}
