//! The source distribution of the ansible-core that is installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use fs_err as fs;

/// A directory with what targets need.
pub(crate) struct Source(PathBuf);

impl Source {
    /// Downloads it, unless an earlier test has. `Err`: what is missing.
    pub(crate) fn find(directory: &Path) -> Result<Self, String> {
        let version = python(&["-c", "import ansible.release as it; print(it.__version__)"])
            .map_err(|_| "there is no ansible-core beside `python3`".to_owned())?;
        let source = Self(directory.join(format!("ansible-core-{version}")));
        if source.0.exists() {
            return Ok(source);
        }
        let scratch = tempfile::tempdir_in(directory).unwrap();
        let at = scratch.path().display().to_string();
        let download = |how: &[&str]| {
            python(&[&["-m", "pip", "--quiet", "--disable-pip-version-check"], how].concat())
                .map_err(|error| format!("PyPI does not give it: {error}"))
        };
        let wanted = format!("ansible-core=={version}");
        download(&["download", "--no-deps", "--no-binary", ":all:", "--dest", &at, &wanted])?;
        download(&["install", "--target", &format!("{at}/passlib"), "passlib==1.7.4"])?;
        for archive in fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if archive.extension().is_some_and(|extension| extension == "gz") {
                let mut unpack = Command::new("tar");
                unpack.args(["--extract", "--strip-components=1", "--directory", &at, "--file"]).arg(archive);
                assert!(unpack.status().unwrap().success());
            }
        }
        // Another test may have been faster.
        let _ = fs::rename(scratch.path(), &source.0);
        Ok(source)
    }

    /// Puts all targets, which are roles, into a directory that is not there yet: some write to their own.
    pub(crate) fn copy_targets(&self, to: &Path) {
        let copied = Command::new("cp").arg("--archive").arg(self.targets()).arg(to).status();
        assert!(copied.unwrap().success());
    }

    fn targets(&self) -> PathBuf {
        self.0.join("test/integration/targets")
    }

    /// Returns the directory of Python's package `passlib`.
    pub(crate) fn passlib(&self) -> PathBuf {
        self.0.join("passlib")
    }

    /// Returns what `ansible-test` is told about a target.
    pub(crate) fn aliases(&self, target: &str) -> String {
        fs::read_to_string(self.targets().join(target).join("aliases")).unwrap()
    }
}

fn python(arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new("python3").args(arguments).output().map_err(|error| error.to_string())?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}
