//! What makes a container's state beside the files of its image: processes, mounts and what lies on them.
//!
//! A snapshot holds files alone. So only a state in which the rest is as it was when the container began is worth one, and
//! a container that begins as a snapshot must look as the one did that it was taken of.

use takelage_engine::{Container, ExecSpec};

/// Prints two digests: what a container of the same snapshot must have in common with this one, and what must not change in
/// this one.
const PROGRAM: &str = include_str!("fingerprint.py");

/// Runs the first argument by the first Python that there is.
const RUN: &str = r#"for python in python3 /usr/bin/python3 /usr/libexec/platform-python python python2; do
command -v $python >/dev/null 2>&1 && exec $python -c "$1"; done; exit 1"#;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Equal in containers that are in the same state.
    pub(super) common: String,
    /// Equal in one container as long as nothing is touched.
    pub(super) own: String,
}

/// Takes a container's fingerprint. `None`: it has no Python, or there is too much to look at.
pub(super) async fn fingerprint<C: Container>(container: &C) -> Option<Fingerprint> {
    let mut spec = ExecSpec::root(["/bin/sh", "-c", RUN, "sh"]);
    spec.argv.push(PROGRAM.to_owned());
    let output = container.run(spec).await.ok().filter(takelage_engine::ExecOutput::success)?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (common, own) = text.trim().split_once(' ')?;
    Some(Fingerprint { common: common.to_owned(), own: own.to_owned() })
}
