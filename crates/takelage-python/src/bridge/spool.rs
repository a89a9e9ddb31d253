//! What comes out of a container, on disk where it is much.

use std::{
    io::{self, Read, Seek as _, Write as _},
    mem,
};

use takelage_engine::{Chunk, ExecOutput, Stream};
use tempfile::SpooledTempFile;

use super::serve::MEMORY_LIMIT;

/// Bytes in the order in which they came.
#[derive(Debug)]
pub(super) struct Spool {
    length: u64,
    file: SpooledTempFile,
    /// Why not all of them are there.
    failed: Option<io::Error>,
}

/// All that a command wrote, and how it ended.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) status: i64,
    pub(super) stdout: Spool,
    pub(super) stderr: Spool,
}

impl Default for Spool {
    fn default() -> Self {
        Self { length: 0, file: SpooledTempFile::new(MEMORY_LIMIT), failed: None }
    }
}

impl Spool {
    /// Adds bytes. What fails is told by [`rewind`](Self::rewind).
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.file.write_all(bytes).err();
            self.length += bytes.len() as u64;
        }
    }

    /// Returns how many bytes there are.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Goes to the beginning, from where it is read.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        match mem::take(&mut self.failed) {
            Some(error) => Err(error),
            None => self.file.rewind(),
        }
    }

    /// Returns all bytes.
    pub(super) fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        self.rewind()?;
        let mut bytes = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0));
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl From<&[u8]> for Spool {
    fn from(bytes: &[u8]) -> Self {
        let mut spool = Self::default();
        spool.append(bytes);
        spool
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Output {
    /// Adds a piece of output to its stream.
    pub(super) fn append(&mut self, chunk: &Chunk) {
        match chunk.stream {
            Stream::Stdout => self.stdout.append(&chunk.bytes),
            Stream::Stderr => self.stderr.append(&chunk.bytes),
        }
    }

    /// Returns how many bytes were written.
    pub(super) fn length(&self) -> u64 {
        self.stdout.length() + self.stderr.length()
    }

    /// Returns the same in memory.
    pub(super) fn into_memory(self) -> io::Result<ExecOutput> {
        let Self { status, stdout, stderr } = self;
        Ok(ExecOutput { status, stdout: stdout.into_bytes()?, stderr: stderr.into_bytes()? })
    }
}

impl From<ExecOutput> for Output {
    fn from(output: ExecOutput) -> Self {
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| Spool::from(bytes.as_slice()));
        Self { status: output.status, stdout, stderr }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_whether_they_are_few_or_many() {
        for length in [0, 3, MEMORY_LIMIT, MEMORY_LIMIT + 1] {
            let bytes: Vec<u8> = (0..251).cycle().take(length).collect();
            let mut spool = Spool::default();
            bytes.chunks(100_000).for_each(|piece| spool.append(piece));
            assert_eq!(spool.length(), length as u64);
            assert!(spool.into_bytes().unwrap() == bytes);
        }
    }
}
