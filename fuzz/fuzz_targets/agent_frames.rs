//! The frames between takelage and its agent: any bytes are frames or an error, in whatever pieces they arrive, and
//! what was understood means the same when it is said again.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};
use takelage_model::agent::{
    Reply, Request,
    wire::{self, Decoder, Frame, FrameError},
};

fuzz_target!(|data: &[u8]| {
    let Some((&piece, stream)) = data.split_first() else { return };
    let piece = usize::from(piece) + 1;
    check::<Request>(stream, piece);
    check::<Reply>(stream, piece);
});

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(stream: &[u8], piece: usize) {
    let whole = decode::<T>(stream, stream.len().max(1));
    assert_eq!(whole, decode::<T>(stream, piece));
    for frame in whole.iter().flatten() {
        let mut again = Vec::new();
        // Said again it may be longer, since JSON has several ways to say the same.
        if wire::encode(frame.id, &frame.message, &frame.body, &mut again).is_ok() {
            let again = decode::<T>(&again, piece);
            assert_eq!(again.iter().map(Option::as_ref).collect::<Vec<_>>(), [Some(frame)]);
        }
    }
}

/// Returns all frames; none for one that is malformed.
fn decode<T: DeserializeOwned>(stream: &[u8], piece: usize) -> Vec<Option<Frame<T>>> {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for piece in stream.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.take() {
                Ok(Some(frame)) => frames.push(Some(frame)),
                Err(FrameError::Malformed { .. }) => frames.push(None),
                Ok(None) => break,
                Err(FrameError::TooLong { .. }) => return frames,
            }
        }
    }
    frames
}
