//! An archive as a stream of blocks, digested as it is read.

use std::{
    io::{self, Read},
    ops::Range,
};

use takelage_model::Digest;

use super::digesting::{Buffers, Digesting};

/// Everything in a tar archive begins at a multiple of this many bytes.
pub(super) const BLOCK: usize = 512;

/// A stream that is read from its beginning to its end, and no further than a limit.
pub(super) struct Stream<R> {
    source: R,
    buffers: Buffers,
    /// What of the last buffer is not taken yet.
    left: Range<usize>,
    length: u64,
    limit: u64,
}

/// Why a stream does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The source failed.
    Failed(io::Error),
    /// It ends in the middle of something.
    TooEarly,
    /// It goes on beyond the limit.
    TooLong,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(source: R, limit: u64, digesting: Digesting) -> io::Result<Self> {
        Ok(Self { source, buffers: Buffers::new(digesting)?, left: 0..0, length: 0, limit })
    }

    /// Returns how many bytes were taken.
    pub(super) fn position(&self) -> u64 {
        self.length - self.left.len() as u64
    }

    /// Takes a whole block; what was taken before were whole blocks, too. `None`: the stream ended before it.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Stop> {
        if self.left.is_empty() && !self.read()? {
            return Ok(None);
        }
        // Only the last buffer can end within a block.
        let block = self.buffers.last()[self.left.clone()].first_chunk().ok_or(Stop::TooEarly)?;
        self.left.start += BLOCK;
        Ok(Some(*block))
    }

    /// Takes at least one and at most so many bytes.
    pub(super) fn take(&mut self, most: u64) -> Result<&[u8], Stop> {
        if self.left.is_empty() && !self.read()? {
            return Err(Stop::TooEarly);
        }
        let length = self.left.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let start = self.left.start;
        self.left.start += length;
        Ok(&self.buffers.last()[start..start + length])
    }

    /// Takes so many bytes and forgets them.
    pub(super) fn skip(&mut self, mut length: u64) -> Result<(), Stop> {
        while length > 0 {
            length -= self.take(length)?.len() as u64;
        }
        Ok(())
    }

    /// Reads to the end. Returns digest, if it was wanted, and length of the whole stream.
    pub(super) fn finish(mut self) -> Result<(Option<Digest>, u64), Stop> {
        while self.read()? {}
        Ok((self.buffers.finish(), self.length))
    }

    /// Fills the next buffer. `false`: there is no more.
    fn read(&mut self) -> Result<bool, Stop> {
        let buffer = self.buffers.empty();
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
        self.length += filled as u64;
        if self.length > self.limit {
            return Err(Stop::TooLong);
        }
        self.buffers.full(filled);
        self.left = 0..filled;
        Ok(filled > 0)
    }
}
