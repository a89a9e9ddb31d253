//! Requests that came from memory, held in case they have to be made again.
//!
//! Hundreds of modules of a playbook bring the same few archives, each as one long line of their program. Such lines are held once.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use takelage_python::memory::Wanted;

/// A line of at least so many bytes is looked for among those that are held.
const LONG: usize = 1 << 10;

/// The long lines of all requests.
#[derive(Debug, Default)]
pub(super) struct Payloads(HashSet<Arc<[u8]>>);

/// A request, with what it reads in pieces.
#[derive(Debug)]
pub(super) struct Held {
    /// The request without what it reads.
    wanted: Wanted,
    input: Vec<Arc<[u8]>>,
}

impl Payloads {
    /// Holds a request.
    pub(super) fn hold(&mut self, wanted: &Wanted) -> Held {
        let mut wanted = wanted.clone();
        let (mut input, mut short) = (Vec::new(), Vec::new());
        if let Wanted::Exec { stdin, .. } = &mut wanted {
            for line in stdin.split_inclusive(|byte| *byte == b'\n') {
                if line.len() < LONG {
                    short.extend_from_slice(line);
                    continue;
                }
                if !short.is_empty() {
                    input.push(std::mem::take(&mut short).into());
                }
                input.push(self.line(line));
            }
            if !short.is_empty() {
                input.push(short.into());
            }
            *stdin = Bytes::new();
        }
        Held { wanted, input }
    }

    fn line(&mut self, line: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.0.get(line) {
            return Arc::clone(known);
        }
        let line: Arc<[u8]> = line.into();
        self.0.insert(Arc::clone(&line));
        line
    }
}

impl Held {
    /// Returns the request as it was.
    pub(super) fn wanted(&self) -> Wanted {
        let mut wanted = self.wanted.clone();
        if let Wanted::Exec { stdin, .. } = &mut wanted {
            *stdin = self.input.concat().into();
        }
        wanted
    }

    /// Whether it is about the container's Python.
    pub(super) fn is_preparation(&self) -> bool {
        self.wanted == Wanted::Prepare
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exec(stdin: &[u8]) -> Wanted {
        let stdin = Bytes::copy_from_slice(stdin);
        Wanted::Exec { argv: vec!["sh".to_owned()], user: None, stdin, zygote: None }
    }

    #[test]
    fn a_long_line_is_held_once() {
        let mut payloads = Payloads::default();
        let archive = "x".repeat(LONG);
        let held: Vec<_> = (0..3)
            .map(|number| payloads.hold(&exec(format!("{number}\n{archive}\nend").as_bytes())))
            .collect();
        assert_eq!(payloads.0.len(), 1);
        assert_eq!(held[2].wanted(), exec(format!("2\n{archive}\nend").as_bytes()));
    }

    proptest! {
        #[test]
        fn what_is_held_comes_out_as_it_was(lines in prop::collection::vec((any::<u8>(), 0..2 * LONG), 0..5)) {
            let text: Vec<Vec<u8>> = lines.into_iter().map(|(byte, length)| vec![byte; length]).collect();
            let wanted = exec(&text.join(&b'\n'));
            prop_assert_eq!(Payloads::default().hold(&wanted).wanted(), wanted);
        }
    }
}
