//! Reads manifests, indexes and configurations that nobody should have sent.
//!
//! Nothing may come of them but an error, or a manifest that is read as the same after it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use takelage_engine::fuzz_manifest;

/// Pieces of such documents, so that many inputs are nearly right.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "0",
    "2",
    "1",
    "-1",
    "18446744073709551616",
    "1e400",
    "\"\"",
    "\"schemaVersion\":2",
    "\"schemaVersion\":1",
    "\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"",
    "\"mediaType\":\"application/vnd.oci.image.index.v1+json\"",
    "\"mediaType\":\"application/vnd.oci.image.config.v1+json\"",
    "\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\"",
    "\"mediaType\":\"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\"",
    "\"digest\":\"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef\"",
    "\"digest\":\"sha256:00\"",
    "\"size\":7",
    "\"size\":8388609",
    "\"manifests\":[",
    "\"layers\":[",
    "\"config\":{",
    "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}",
    "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\",\"variant\":\"v3\"}",
    "\"platform\":{",
    "\"annotations\":{",
    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
    "\"history\":[{\"empty_layer\":true}]",
    "\"Env\":[\"A=1\",\"B\",\"\"]",
    "\"Healthcheck\":{\"Interval\":1}",
    "\"created\":\"2026-01-02T03:04:05Z\"",
    "\"\\u0000\\ud800\"",
    " ",
];

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0..128, pieces)) => {
            let piece = |byte: &u8| PIECES[usize::from(*byte) % PIECES.len()];
            fuzz_manifest(pieces.iter().map(piece).collect::<String>().as_bytes());
        }
        Some((_, bytes)) => fuzz_manifest(bytes),
        None => {}
    }
});
