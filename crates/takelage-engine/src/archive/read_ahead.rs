//! A stream that is read in a thread of its own, so that what makes it and what uses it work side by side.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

/// The length of a piece, in bytes.
const LENGTH: usize = 256 << 10;
/// So many pieces wait to be used.
const WAITING: usize = 4;

/// What a thread reads.
pub(crate) struct ReadAhead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// What is used now, and how much of it was.
    piece: Vec<u8>,
    used: usize,
    /// Until it is known to have ended well.
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Begins to read what `open` opens. Fails if the system has no room for a thread; that it cannot be opened is told by the first
    /// read.
    pub(crate) fn of<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(WAITING);
        let read = move || {
            let ended = open().and_then(|source| pass_on(source, &sender));
            if let Err(error) = ended {
                // Nobody may listen any more.
                let _ = sender.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("read ahead".to_owned()).spawn(read)?;
        Ok(Self { pieces, piece: Vec::new(), used: 0, thread: Some(thread) })
    }
}

/// Sends all pieces, as long as somebody takes them.
fn pass_on(mut source: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(LENGTH);
        source.by_ref().take(LENGTH as u64).read_to_end(&mut piece)?;
        if piece.is_empty() || to.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.used) = (piece?, 0),
                // It has ended: at the end of what it read, or by a panic.
                Err(_) => match self.thread.take().map(JoinHandle::join) {
                    Some(Err(_)) => return Err(io::Error::other("what reads it has panicked")),
                    Some(Ok(())) | None => return Ok(0),
                },
            }
        }
        let read = self.piece[self.used..].as_ref().read(buffer)?;
        self.used += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_order() {
        for length in [0, 1, LENGTH - 1, LENGTH, LENGTH + 1, 20 * LENGTH] {
            let bytes: Vec<u8> = (0..251_u8).cycle().take(length).collect();
            let source = io::Cursor::new(bytes.clone());
            let mut all = Vec::new();
            ReadAhead::of(move || Ok(source)).unwrap().read_to_end(&mut all).unwrap();
            assert!(all == bytes, "{length}");
        }
    }

    #[test]
    fn what_fails_is_told_and_what_panics_is_no_end() {
        struct Bad(bool);
        impl Read for Bad {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                assert!(self.0, "on purpose");
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let kind = |mut read: ReadAhead| read.read(&mut [0; 9]).unwrap_err().kind();
        let after = |bad| ReadAhead::of(move || Ok(bad)).unwrap();
        assert_eq!(kind(after(Bad(true))), io::ErrorKind::ConnectionReset);
        assert_eq!(kind(after(Bad(false))), io::ErrorKind::Other);
        let closed = ReadAhead::of(|| Err::<io::Empty, _>(io::ErrorKind::NotFound.into())).unwrap();
        assert_eq!(kind(closed), io::ErrorKind::NotFound);
    }

    #[test]
    fn nobody_need_read_to_the_end() {
        struct Endless(std::sync::mpsc::Sender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(7);
                Ok(buffer.len())
            }
        }
        impl Drop for Endless {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (ended, end) = std::sync::mpsc::channel();
        let mut read = ReadAhead::of(move || Ok(Endless(ended))).unwrap();
        assert_eq!(read.read(&mut [0; 3]).unwrap(), 3);
        drop(read);
        end.recv().unwrap();
    }
}
