//! Digesting a stream beside the work on it.
//!
//! A digest costs a third of what unpacking costs in all, so it gets a thread of its own: a full buffer is digested there
//! while it is used here.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use sha2::{Digest as _, Sha256};
use takelage_model::Digest;

/// The length of a buffer, a multiple of a block's. Most files fit into one.
pub(super) const LENGTH: usize = 256 << 10;
/// So many full buffers wait for the thread.
const WAITING: usize = 2;
/// One is used here and one is being digested, besides.
const BUFFERS: usize = WAITING + 2;

/// Whether anybody wants to know the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digesting {
    Yes,
    No,
}

/// The buffers of a stream, used in turn and digested in the order in which they are full.
pub(super) struct Buffers {
    all: [Arc<Vec<u8>>; BUFFERS],
    /// Which one is full next.
    next: usize,
    thread: Option<Thread>,
}

struct Thread {
    full: SyncSender<(Arc<Vec<u8>>, usize)>,
    hasher: JoinHandle<Sha256>,
}

impl Buffers {
    /// Fails if the system has no room for a thread.
    pub(super) fn new(digesting: Digesting) -> io::Result<Self> {
        let thread = match digesting {
            Digesting::Yes => Some(Thread::start()?),
            Digesting::No => None,
        };
        Ok(Self { all: std::array::from_fn(|_| Arc::new(vec![0; LENGTH])), next: 0, thread })
    }

    /// Returns the buffer to fill next.
    pub(super) fn empty(&mut self) -> &mut [u8] {
        // Handing over a later one had to wait until the thread had let go of this one.
        Arc::get_mut(&mut self.all[self.next])
            .expect("no more buffers are in use than wait, are full and are digested")
    }

    /// Has the first `length` bytes of that buffer digested, and returns them.
    pub(super) fn full(&mut self, length: usize) -> &[u8] {
        let buffer = &self.all[self.next];
        self.next = (self.next + 1) % BUFFERS;
        if let Some(thread) = &self.thread {
            let sent = thread.full.send((buffer.clone(), length));
            sent.expect("the thread ends when there is nobody who sends");
        }
        &buffer[..length]
    }

    /// Returns the buffer that was full last.
    pub(super) fn last(&self) -> &[u8] {
        &self.all[(self.next + BUFFERS - 1) % BUFFERS]
    }

    /// Returns the digest of all that was full, if anybody wanted to know.
    pub(super) fn finish(self) -> Option<Digest> {
        let Thread { full, hasher } = self.thread?;
        drop(full);
        let hasher = hasher.join().expect("digesting does not fail");
        Some(Digest::from_bytes(hasher.finalize().into()))
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let (full, buffers) = sync_channel::<(Arc<Vec<u8>>, usize)>(WAITING);
        let hasher = thread::Builder::new().name("digest".to_owned()).spawn(move || {
            let mut hasher = Sha256::new();
            for (buffer, length) in buffers {
                hasher.update(&buffer[..length]);
            }
            hasher
        })?;
        Ok(Self { full, hasher })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_buffers_are_digested_in_order_however_fast_they_come() {
        let mut buffers = Buffers::new(Digesting::Yes).unwrap();
        let mut whole = Vec::new();
        for number in 0..100_u8 {
            let length = LENGTH / (1 + usize::from(number) % 7);
            buffers.empty()[..length].fill(number);
            whole.extend_from_slice(buffers.full(length));
            assert_eq!(buffers.last()[..length], vec![number; length]);
        }
        assert_eq!(buffers.finish(), Some(Digest::of(&whole)));
        assert_eq!(Buffers::new(Digesting::No).unwrap().finish(), None);
    }
}
