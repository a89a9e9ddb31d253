//! A run of takelage, and what came of it.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicUsize, Ordering},
};

use fs_err as fs;

/// A run that has not ended yet. Its output goes to files, so that nothing waits for a reader.
#[derive(Debug)]
pub(crate) struct Running {
    /// The process.
    pub(crate) child: Child,
    /// Where its streams and its events go, less the extension.
    pub(crate) record: PathBuf,
}

/// What came of a run. It is displayed as snapshots show it.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit status; none if a signal ended it.
    pub(crate) status: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// What `--events` wrote.
    pub(crate) events: Vec<serde_json::Value>,
}

impl Running {
    /// Starts `command` with `arguments`; what it writes goes to new files in `records`.
    pub(crate) fn start(mut command: Command, arguments: &[&str], records: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let record = records.join(format!("{:03}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let file = |extension| fs::File::create(record.with_extension(extension)).unwrap().into_file();
        command.arg("--events").arg(record.with_extension("jsonl")).args(arguments);
        command.stdout(file("out")).stderr(file("err"));
        let child = command.spawn().unwrap();
        Self { child, record }
    }

    /// Waits for the end of the run.
    pub(crate) fn finish(mut self) -> Finished {
        let status = self.child.wait().unwrap().code();
        let read = |extension| {
            let bytes = fs::read(self.record.with_extension(extension)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        // A run that is killed leaves half a line.
        let events = read("jsonl").lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Finished { status, stdout: read("out"), stderr: read("err"), events }
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => writeln!(f, "status: {status}")?,
            None => writeln!(f, "status: ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "--- {name} ---\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}
