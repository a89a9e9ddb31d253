//! Frames on their way to a client.

use std::os::fd::AsFd;

use rustix::io::Errno;
use takelage_model::agent::{ErrorKind, Reply, wire};

/// Output of children is read while less than this waits, in bytes.
const ROOM: usize = 1 << 20;
/// Requests are read while less than this waits, in bytes.
const PATIENCE: usize = 4 << 20;
/// The most that a message of an error says, in characters.
const LONGEST_MESSAGE: usize = 4096;

/// Frames on their way to a client.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// Adds a frame.
    pub(crate) fn send(&mut self, id: u64, reply: &Reply, body: &[u8]) {
        // Replies are short, except for the message of an error, and pieces are within the limits.
        let _ = wire::encode(id, reply, body, &mut self.waiting);
    }

    /// Adds the frame that ends a request which cannot be carried out.
    pub(crate) fn refuse(&mut self, id: u64, kind: ErrorKind, message: &str) {
        let message = message.chars().take(LONGEST_MESSAGE).collect();
        self.send(id, &Reply::Error { kind, message }, &[]);
    }

    /// Whether there is something to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether more output may come.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() - self.written < ROOM
    }

    /// Whether more requests may come.
    pub(crate) fn is_patient(&self) -> bool {
        self.waiting.len() - self.written < PATIENCE
    }

    /// Writes as much as goes. `Err`: nobody reads any more.
    pub(crate) fn flush(&mut self, to: impl AsFd) -> Result<(), Errno> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&to, rest) {
                Ok(count) => self.written += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        if self.written == self.waiting.len() {
            self.waiting.clear();
            self.written = 0;
        } else if self.written >= ROOM {
            self.waiting.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}
