//! What a request came to, as it is sealed.
//!
//! ```text
//! record = length header blobs
//! length = 8 bytes, little endian: the header's length in bytes
//! header = JSON: see `Header`
//! blobs  = the plain pieces of all texts of the answer, one after the other
//! ```

use serde::{Deserialize, Serialize};
use takelage_engine::ExecOutput;
use takelage_python::{memory::Answer, prepare::Prepared};

use super::mask::{Mask, Masked, Piece};

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Tells this execution of the request from all others.
    pub(super) id: [u8; 16],
    /// When it was carried out, in seconds since 1970.
    pub(super) at: i64,
    /// What it came to.
    pub(super) outcome: Outcome,
}

/// An answer behind its mask, or what a commit came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// How the container came by its Python.
    Prepared(Prepared),
    /// How a command ended.
    Exit {
        /// Its exit status.
        status: i64,
        /// Standard output.
        stdout: Masked,
        /// Standard error.
        stderr: Masked,
    },
    /// A file was written.
    Done,
    /// What is in a file.
    File(Masked),
    /// There is no such file.
    NoSuchFile(Masked),
    /// The id of an image that was committed.
    Image(String),
}

#[derive(Serialize, Deserialize)]
struct Header {
    id: String,
    at: i64,
    outcome: Shape,
}

/// An outcome whose texts are among the blobs.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Prepared(Prepared),
    Exit { status: i64, stdout: Vec<Part>, stderr: Vec<Part> },
    Done,
    File(Vec<Part>),
    NoSuchFile(Vec<Part>),
    Image(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// So many bytes of the blobs.
    Plain(usize),
    Drawn(usize),
}

impl Outcome {
    /// Masks an answer.
    pub(super) fn of(answer: &Answer, mask: &Mask) -> Self {
        match answer {
            Answer::Prepared(prepared) => Self::Prepared(prepared.clone()),
            Answer::Exit(output) => Self::Exit {
                status: output.status,
                stdout: mask.answer(&output.stdout),
                stderr: mask.answer(&output.stderr),
            },
            Answer::Done => Self::Done,
            Answer::File(content) => Self::File(mask.answer(content)),
            Answer::NoSuchFile(message) => Self::NoSuchFile(mask.answer(message.as_bytes())),
        }
    }

    /// Returns the answer to the same request of another run. `None`: it is none.
    pub(super) fn answer(&self, mask: &Mask) -> Option<Answer> {
        Some(match self {
            Self::Prepared(prepared) => Answer::Prepared(prepared.clone()),
            Self::Exit { status, stdout, stderr } => Answer::Exit(ExecOutput {
                status: *status,
                stdout: mask.unmask(stdout)?,
                stderr: mask.unmask(stderr)?,
            }),
            Self::Done => Answer::Done,
            Self::File(content) => Answer::File(mask.unmask(content)?.into()),
            Self::NoSuchFile(message) => Answer::NoSuchFile(String::from_utf8(mask.unmask(message)?).ok()?),
            Self::Image(_) => return None,
        })
    }
}

impl Record {
    /// Returns the record as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut blobs = Vec::new();
        let mut parts = |masked: &Masked| -> Vec<Part> {
            let part = |piece: &Piece| match piece {
                Piece::Plain(plain) => {
                    blobs.extend_from_slice(plain);
                    Part::Plain(plain.len())
                }
                Piece::Drawn(number) => Part::Drawn(*number),
            };
            masked.0.iter().map(part).collect()
        };
        let outcome = match &self.outcome {
            Outcome::Prepared(prepared) => Shape::Prepared(prepared.clone()),
            Outcome::Exit { status, stdout, stderr } => {
                Shape::Exit { status: *status, stdout: parts(stdout), stderr: parts(stderr) }
            }
            Outcome::Done => Shape::Done,
            Outcome::File(content) => Shape::File(parts(content)),
            Outcome::NoSuchFile(message) => Shape::NoSuchFile(parts(message)),
            Outcome::Image(id) => Shape::Image(id.clone()),
        };
        let header = Header { id: hex::encode(self.id), at: self.at, outcome };
        let header = serde_json::to_vec(&header).expect("it is of numbers and texts");
        [&(header.len() as u64).to_le_bytes()[..], &header, &blobs].concat()
    }

    /// Reads a record. `None`: it is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (header, mut blobs) = rest.split_at_checked(length)?;
        let Header { id, at, outcome } = serde_json::from_slice(header).ok()?;
        let mut masked = |parts: Vec<Part>| -> Option<Masked> {
            let mut piece = |part: Part| {
                Some(match part {
                    Part::Plain(length) => {
                        let (plain, rest) = blobs.split_at_checked(length)?;
                        blobs = rest;
                        Piece::Plain(plain.to_vec())
                    }
                    Part::Drawn(number) => Piece::Drawn(number),
                })
            };
            parts.into_iter().map(&mut piece).collect::<Option<_>>().map(Masked)
        };
        let outcome = match outcome {
            Shape::Prepared(prepared) => Outcome::Prepared(prepared),
            Shape::Exit { status, stdout, stderr } => {
                Outcome::Exit { status, stdout: masked(stdout)?, stderr: masked(stderr)? }
            }
            Shape::Done => Outcome::Done,
            Shape::File(content) => Outcome::File(masked(content)?),
            Shape::NoSuchFile(message) => Outcome::NoSuchFile(masked(message)?),
            Shape::Image(id) => Outcome::Image(id),
        };
        let id = hex::decode(id).ok()?.try_into().ok()?;
        blobs.is_empty().then_some(Self { id, at, outcome })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked() -> impl Strategy<Value = Masked> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 1..9).prop_map(Piece::Plain),
            (0_usize..5).prop_map(Piece::Drawn)
        ];
        prop::collection::vec(piece, 0..5).prop_map(Masked)
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(id: [u8; 16], at: i64, status: i64, stdout in masked(), stderr in masked()) {
            let record = Record { id, at, outcome: Outcome::Exit { status, stdout, stderr } };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }
}
