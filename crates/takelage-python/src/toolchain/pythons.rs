//! Which Python a private environment is made with, and which packages go into it.

use std::path::{Path, PathBuf};

use super::{
    Wanted,
    probe::{self, Probe},
};

/// The oldest Python that there is a list for.
pub(super) const OLDEST: &str = "3.9";

/// Names under which `PATH` is searched, the system's own choice first.
const NAMES: [&str; 7] =
    ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python"];

/// Every package with its version and the hashes of its files, for Pythons from this minor version on.
const LISTS: [(u32, &str); 3] = [
    (11, include_str!("../../lists/python3.11.txt")),
    (10, include_str!("../../lists/python3.10.txt")),
    (9, include_str!("../../lists/python3.9.txt")),
];

/// Returns the pinned list for a Python, if it is new enough.
pub(super) fn list(version: [u32; 3]) -> Option<&'static str> {
    let [major, minor, _] = version;
    LISTS.iter().find(|(oldest, _)| major == 3 && minor >= *oldest).map(|(_, list)| *list)
}

/// What pytest and testinfra depend on, themselves included. A test installs them, and pip refuses what is missing here.
const CHECKS: [&str; 9] = [
    "exceptiongroup",
    "iniconfig",
    "packaging",
    "pluggy",
    "pygments",
    "pytest",
    "pytest-testinfra",
    "tomli",
    "typing-extensions",
];

/// Returns the part of a pinned list that checks need.
pub(super) fn checks(list: &str) -> String {
    let mut wanted = false;
    let lines = list.split_inclusive('\n').filter(|line| {
        // The lines of a package's hashes are indented.
        if let Some((name, _)) = line.split_once("==").filter(|_| !line.starts_with(' ')) {
            wanted = CHECKS.contains(&name);
        }
        wanted
    });
    lines.collect()
}

/// Finds a Python that a private environment can be made with, or says what was looked at.
pub(super) async fn find(wanted: &Wanted) -> Result<Probe, String> {
    if let Some(python) = &wanted.python {
        let probe = probe::python(python, &wanted.env).await?;
        return if list(probe.version).is_some() {
            Ok(probe)
        } else {
            Err(format!("`{}` is Python {}", python.display(), probe.version()))
        };
    }
    let mut seen = Vec::new();
    for name in NAMES {
        for program in in_path(&wanted.path, name) {
            match probe::python(&program, &wanted.env).await {
                Ok(probe) if list(probe.version).is_some() => return Ok(probe),
                Ok(probe) => seen.push(format!("`{}` is Python {}", program.display(), probe.version())),
                Err(reason) => seen.push(reason),
            }
        }
    }
    Err(if seen.is_empty() { "`PATH` has no `python3`".to_owned() } else { seen.join("; ") })
}

/// Returns every executable file of that name, in the order of `path`.
pub(super) fn in_path(path: &[PathBuf], name: &str) -> Vec<PathBuf> {
    path.iter()
        .filter(|directory| directory.is_absolute())
        .map(|d| d.join(name))
        .filter(|p| executable(p))
        .collect()
}

/// Whether `path` is a file that may be executed.
pub(super) fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_python_has_a_list_with_hashes() {
        for minor in 9..=14 {
            let list = list([3, minor, 0]).unwrap();
            for package in ["ansible==", "ansible-core==", "pytest==", "pytest-testinfra=="] {
                assert!(list.contains(package), "3.{minor} lacks {package}");
            }
            assert!(list.contains("--hash=sha256:"));
            let checks = checks(list);
            assert!(!checks.contains("ansible") && checks.contains("\npytest-testinfra=="), "{checks}");
            assert!(checks.matches("==").count() < 20 && checks.lines().all(|line| list.contains(line)));
        }
        assert!(list([3, 8, 20]).is_none() && list([2, 7, 18]).is_none());
    }
}
