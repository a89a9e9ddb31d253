//! An archive as a stream of blocks, digested as it is written.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use takelage_model::Digest;

use super::{
    LayerError,
    digesting::{self, Buffers, Digesting},
    stream::BLOCK,
};

/// A stream that is written from its beginning to its end.
pub(super) struct Output<W> {
    to: W,
    buffers: Buffers,
    /// How much of the next buffer is.
    filled: usize,
    length: u64,
}

/// Why a file's content could not be copied.
#[derive(Debug)]
pub(super) enum Copied {
    /// The file cannot be read.
    Unread(io::Error),
    /// It became shorter.
    Short,
    /// The archive cannot be written.
    Unwritten(LayerError),
}

impl<W: Write> Output<W> {
    pub(super) fn new(to: W, digesting: Digesting) -> Result<Self, LayerError> {
        let buffers = Buffers::new(digesting).map_err(LayerError::Write)?;
        Ok(Self { to, buffers, filled: 0, length: 0 })
    }

    /// Writes bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let length = room.len().min(bytes.len());
            room[..length].copy_from_slice(&bytes[..length]);
            self.filled += length;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Writes exactly so many bytes of a file, and fills the last block.
    pub(super) fn copy(&mut self, mut file: &File, length: u64) -> Result<(), Copied> {
        let mut left = length;
        while left > 0 {
            let room = self.room().map_err(Copied::Unwritten)?;
            let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match file.read(&mut room[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(Copied::Unread)?,
            };
            if read == 0 {
                return Err(Copied::Short);
            }
            self.filled += read;
            left -= read as u64;
        }
        let rest = usize::try_from(length.wrapping_neg() % BLOCK as u64).unwrap_or(0);
        self.write(&[0; BLOCK][..rest]).map_err(Copied::Unwritten)
    }

    /// Ends the archive. Returns its digest, if it was wanted, and its length.
    pub(super) fn finish(mut self) -> Result<(Option<Digest>, u64), LayerError> {
        self.write(&[0; 2 * BLOCK])?;
        self.hand_on()?;
        self.to.flush().map_err(LayerError::Write)?;
        Ok((self.buffers.finish(), self.length))
    }

    /// Returns room for at least one byte.
    fn room(&mut self) -> Result<&mut [u8], LayerError> {
        if self.filled == digesting::LENGTH {
            self.hand_on()?;
        }
        Ok(&mut self.buffers.empty()[self.filled..])
    }

    fn hand_on(&mut self) -> Result<(), LayerError> {
        let bytes = self.buffers.full(self.filled);
        self.to.write_all(bytes).map_err(LayerError::Write)?;
        self.length += self.filled as u64;
        self.filled = 0;
        Ok(())
    }
}
