//! What this process is given to read, passed on to a command in a container.

use std::io::{self, Read as _};

use bytes::Bytes;
use tokio::sync::mpsc;

/// How much is passed on at once, in bytes.
const PIECE: usize = 1 << 16;

/// Returns what comes from standard input, until it ends.
///
/// Reading it blocks, so it has a thread of its own. It ends with the process.
pub(super) fn standard_input() -> mpsc::Receiver<Bytes> {
    let (sender, input) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = io::stdin().read(&mut buffer) {
            if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                break;
            }
        }
    });
    input
}
