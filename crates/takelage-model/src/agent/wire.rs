//! The frames.
//!
//! ```text
//! frame  = header length, body length, header, body
//! length = 4 bytes, big endian: a number of bytes, at most HEADER_LIMIT or BODY_LIMIT
//! header = JSON: {"id": number of the request, "message": a Request or a Reply}
//! body   = raw bytes; empty unless the message is Data
//! ```

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// A longer header is not ours. Linux takes 2 MiB of arguments and environment, and JSON may double some of it.
pub const HEADER_LIMIT: usize = 4 << 20;
/// A longer body is not ours.
pub const BODY_LIMIT: usize = 1 << 20;
/// How long both lengths are together.
const LENGTHS: usize = 8;

/// One message of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<T> {
    /// The request's number, which the host chooses.
    pub id: u64,
    /// What is said.
    pub message: T,
    /// The bytes that go with it.
    pub body: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header<T> {
    id: u64,
    message: T,
}

/// Appends a frame to `to`. A frame beyond the limits is an error, and then nothing is appended.
pub fn encode<T: Serialize>(id: u64, message: &T, body: &[u8], to: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = to.len();
    to.extend_from_slice(&[0; LENGTHS]);
    let written = serde_json::to_writer(&mut *to, &Header { id, message });
    let header = to.len() - start - LENGTHS;
    let fits = match written {
        Err(source) => Err(FrameError::Malformed { id: Some(id), source }),
        Ok(()) => length(Part::Header, header, HEADER_LIMIT)
            .and_then(|header| Ok((header, length(Part::Body, body.len(), BODY_LIMIT)?))),
    };
    match fits {
        Ok((header, length)) => {
            to[start..start + 4].copy_from_slice(&header.to_be_bytes());
            to[start + 4..start + LENGTHS].copy_from_slice(&length.to_be_bytes());
            to.extend_from_slice(body);
            Ok(())
        }
        Err(error) => {
            to.truncate(start);
            Err(error)
        }
    }
}

fn length(part: Part, length: usize, limit: usize) -> Result<u32, FrameError> {
    let fits = u32::try_from(length).ok().filter(|_| length <= limit);
    fits.ok_or(FrameError::TooLong { part, length, limit })
}

/// Cuts a stream of bytes into frames.
///
/// It keeps at most what was pushed and not taken, so a length that is announced costs nothing.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
}

impl Decoder {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next frame. `None`: it is not all there.
    ///
    /// After [`FrameError::Malformed`] the stream goes on behind that frame; after any other error it cannot go on.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<Frame<T>>, FrameError> {
        let rest = &self.bytes[self.taken..];
        let Some((header, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let header = announced(Part::Header, *header, HEADER_LIMIT)?;
        let Some((body, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let body = announced(Part::Body, *body, BODY_LIMIT)?;
        if rest.len() < header + body {
            return Ok(None);
        }
        let (header, rest) = rest.split_at(header);
        let body = rest[..body].to_vec();
        self.taken += LENGTHS + header.len() + body.len();
        match serde_json::from_slice::<Header<T>>(header) {
            Ok(Header { id, message }) => Ok(Some(Frame { id, message, body })),
            Err(source) => {
                let id = serde_json::from_slice::<Header<serde::de::IgnoredAny>>(header);
                Err(FrameError::Malformed { id: id.ok().map(|header| header.id), source })
            }
        }
    }

    /// Whether it ends between two frames.
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

fn announced(part: Part, bytes: [u8; 4], limit: usize) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(bytes) as usize;
    if length <= limit { Ok(length) } else { Err(FrameError::TooLong { part, length, limit }) }
}

/// A part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The JSON.
    Header,
    /// The bytes behind it.
    Body,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Body => "body",
        })
    }
}

/// Bytes that are no frame.
#[derive(Debug, Error)]
pub enum FrameError {
    /// A part is longer than it may be.
    #[error("a frame has a {part} of {length} bytes, and {limit} may be")]
    TooLong {
        /// Which part.
        part: Part,
        /// How long it is said to be.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The header is no message that is known here.
    #[error("a frame has a malformed header")]
    Malformed {
        /// The request it belongs to, as far as that can be read.
        id: Option<u64>,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agent::{Command, ErrorKind, Reply, Request, Size, Stream};

    fn request() -> impl Strategy<Value = Request> {
        let pairs = proptest::collection::vec((".*", ".*"), 0..4);
        let size = (any::<u16>(), any::<u16>()).prop_map(|(columns, rows)| Size { columns, rows });
        let exec = (
            proptest::collection::vec(".*", 0..4),
            pairs,
            proptest::option::of(".*"),
            proptest::option::of(".*"),
            any::<bool>(),
            proptest::option::of(size),
        )
            .prop_map(|(argv, env, cwd, user, stdin, tty)| {
                Request::Exec(Command { argv, env, cwd, user, stdin, tty })
            });
        prop_oneof![
            exec,
            any::<u32>().prop_map(|version| Request::Hello { version }),
            (".*", proptest::option::of(".*"), any::<Option<u32>>())
                .prop_map(|(path, user, mode)| Request::Put { path, user, mode }),
            any::<u32>().prop_map(|bytes| Request::Credit { bytes }),
            any::<i32>().prop_map(|number| Request::Signal { number }),
            Just(Request::Data),
            Just(Request::End),
            Just(Request::Cancel),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            sent in proptest::collection::vec((any::<u64>(), request(), proptest::collection::vec(any::<u8>(), 0..300)), 1..8),
            cut in 1..40_usize,
        ) {
            let mut stream = Vec::new();
            for (id, message, body) in &sent {
                encode(*id, message, body, &mut stream).unwrap();
            }
            let (mut decoder, mut received) = (Decoder::default(), Vec::new());
            for piece in stream.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.take::<Request>().unwrap() {
                    received.push((frame.id, frame.message, frame.body));
                }
            }
            prop_assert!(decoder.is_empty());
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            decode_all(&bytes);
        }

        #[test]
        fn any_header_is_a_message_or_an_error(header in proptest::collection::vec(any::<u8>(), 0..200), body in 0..9_u8) {
            let mut bytes = u32::try_from(header.len()).unwrap().to_be_bytes().to_vec();
            bytes.extend_from_slice(&[0, 0, 0, body]);
            bytes.extend_from_slice(&header);
            bytes.extend_from_slice(&vec![1; body.into()]);
            decode_all(&bytes);
        }
    }

    fn decode_all(bytes: &[u8]) {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        loop {
            match decoder.take::<Request>() {
                Ok(None) | Err(FrameError::TooLong { .. }) => break,
                Ok(Some(_)) | Err(FrameError::Malformed { .. }) => {}
            }
        }
    }

    fn decoded<T: DeserializeOwned>(header: &str) -> Result<Option<Frame<T>>, FrameError> {
        let mut decoder = Decoder::default();
        let length = u32::try_from(header.len()).unwrap();
        decoder.push(&[&length.to_be_bytes()[..], &[0; 4], header.as_bytes()].concat());
        let first = decoder.take();
        assert!(decoder.is_empty());
        first
    }

    #[test]
    fn a_header_is_json_that_a_person_can_read() {
        let mut bytes = Vec::new();
        let message = Reply::Data { stream: Stream::Stderr };
        encode(7, &message, b"body", &mut bytes).unwrap();
        insta::assert_snapshot!(
            String::from_utf8_lossy(&bytes[LENGTHS..]),
            @r#"{"id":7,"message":{"reply":"data","stream":"stderr"}}body"#
        );
        assert_eq!(bytes[..LENGTHS], [0, 0, 0, 53, 0, 0, 0, 4]);
    }

    #[test]
    fn what_is_newer_is_told_apart_from_what_is_damaged() {
        let frame =
            decoded::<Request>(r#"{"id":3,"message":{"op":"levitate","height":2}}"#).unwrap().unwrap();
        assert_eq!((frame.id, frame.message), (3, Request::Unknown));
        let reply = r#"{"id":3,"message":{"reply":"error","kind":"tired","message":"","more":1}}"#;
        let expected = Reply::Error { kind: ErrorKind::Unknown, message: String::new() };
        assert_eq!(decoded::<Reply>(reply).unwrap().unwrap().message, expected);
        for (header, id) in [
            (r#"{"id":9,"message":{"op":"exec","argv":"ls"}}"#, Some(9)),
            (r#"{"id":9,"message":5}"#, Some(9)),
            (r#"{"id":-1,"message":{"op":"end"}}"#, None),
            ("", None),
            ("{", None),
        ] {
            match decoded::<Request>(header) {
                Err(FrameError::Malformed { id: told, .. }) => assert_eq!(told, id, "{header}"),
                other => panic!("{header}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_too_long_is_neither_written_nor_waited_for() {
        let mut to = b"before".to_vec();
        let long = Command { argv: vec!["x".repeat(HEADER_LIMIT)], ..Command::default() };
        assert!(encode(1, &Request::Exec(long), b"", &mut to).is_err());
        assert!(encode(1, &Request::Data, &vec![0; BODY_LIMIT + 1], &mut to).is_err());
        assert_eq!(to, b"before");
        for lengths in [[0, 0x40, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0x10, 0, 1], [0xff; 8]] {
            let mut decoder = Decoder::default();
            decoder.push(&lengths);
            assert!(matches!(decoder.take::<Request>(), Err(FrameError::TooLong { .. })), "{lengths:?}");
        }
    }
}
