//! What two runs of the same code never have in common, and nothing else.

use std::{path::Path, sync::LazyLock, time::SystemTime};

use regex::{Captures, Regex};
use serde_json::Value;

use crate::unit;

/// Members of results that the clock, the kernel or chance decides.
const BY_CHANCE: [&str; 19] = [
    // When a command ran, and how long.
    "start",
    "end",
    "delta",
    "elapsed",
    // Of files: where they lie, and when they were looked at or changed in kind.
    "inode",
    "ino",
    "dev",
    "atime",
    "ctime",
    "version",
    // When apt's lists were last looked at.
    "cache_update_time",
    // Made when the container boots for the first time.
    "ansible_machine_id",
    // The file, and the process, of a task that is not waited for.
    "ansible_job_id",
    "jid",
    "results_file",
    "pid",
    "child_pid",
    // What a web server says about its clock and its files.
    "date",
    "last_modified",
];

/// When this test began, in seconds since 1970. A file's time since then is the clock's; an earlier one was set by a
/// task or a package, and is compared. The kernel's clock for files lags behind by some milliseconds.
static BEGIN: LazyLock<f64> =
    LazyLock::new(|| SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64() - 1.0);

/// Makes the results of one side comparable.
#[derive(Debug)]
pub(crate) struct Normaliser {
    texts: Vec<(Regex, &'static str)>,
}

impl Default for Normaliser {
    fn default() -> Self {
        Self::new(Path::new("/nowhere"))
    }
}

impl Normaliser {
    /// For results of a side that works in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        let directory = regex::escape(&directory.display().to_string());
        let texts = [
            // Each side has its own copy of the project and its own home.
            (directory.as_str(), "<side>"),
            // Ansible's temporary directories and files, on both ends: time, process, random number.
            (r"ansible-tmp-[0-9.]+-[0-9]+-[0-9]+", "<temporary>"),
            (r"ansible-local-[0-9]+[a-z0-9_]+", "<local>"),
            (r"(?m)\btmp[a-z0-9_]{8}\b", "<temporary>"),
            (r"\.ansible_tmp[a-z0-9_]{8}", "<temporary>"),
            (r"ansible-moduletmp-[0-9.]+-[a-z0-9_]{8}", "<temporary>"),
            (r"^\.[a-z0-9_]{8}$", "<temporary>"),
            (r"(/tmp/ansible_[a-z_.]+_payload_)[a-z0-9_]{8}", "$1<temporary>"),
            // Names of backups: process and time.
            (r"\.[0-9]+\.[0-9]{4}-[0-9]{2}-[0-9]{2}@[0-9:]{8}~", "<backup>"),
            // The main process of a unit.
            (r"start_time=\[[^]]+\] ; stop_time=\[[^]]+\] ; pid=[0-9]+", "<process>"),
            // What Ansible has sudo ask, and how it knows that it is somebody else.
            (r"key=[a-z]{32}", "<key>"),
            (r"SUCCESS-[a-z]{32}", "<key>"),
            // A service's own directory for temporary files: the boot, and chance.
            (r"systemd-private-[0-9a-f]{32}-([a-z.-]+)-[A-Za-z0-9]{6}", "systemd-private-<boot>-$1"),
            // A pipe's number.
            (r"pipe:\[[0-9]+\]", "<pipe>"),
            // Tasks that are not waited for: a random number of up to twelve digits, and the process.
            (r"\bj[0-9]{1,12}\.[0-9]+\b", "<job>"),
        ];
        Self { texts: texts.map(|(pattern, word)| (Regex::new(pattern).unwrap(), word)).to_vec() }
    }

    /// Returns a value in which everything that differs by chance is a word.
    pub(crate) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => {
                // How often a task that is not waited for was asked about depends on who is faster.
                let asked_for = members.contains_key("ansible_job_id");
                let normalised = members.into_iter().map(|(name, mut value)| {
                    if let Value::Object(status) = &mut value
                        && unit::is(&name, status)
                    {
                        let properties = std::mem::take(status).into_iter();
                        *status = properties
                            .map(|(name, value)| (name.clone(), unit::property(&name, value)))
                            .collect();
                    }
                    let value = match (name.as_str(), &value) {
                        (name, _) if BY_CHANCE.contains(&name) => "<by chance>".into(),
                        ("attempts", _) if asked_for => "<by chance>".into(),
                        ("mtime", Value::Number(time)) if time.as_f64().is_some_and(recent) => {
                            "<recent>".into()
                        }
                        // What `find` finds comes in the order of the directory.
                        ("files", Value::Array(_)) => by_path(self.value(value)),
                        _ => self.value(value),
                    };
                    (self.text(name), value)
                });
                normalised.collect()
            }
            other => other,
        }
    }

    /// Returns a text in which everything that differs by chance is a word.
    pub(crate) fn text(&self, text: String) -> String {
        self.texts.iter().fold(text, |text, (pattern, word)| pattern.replace_all(&text, *word).into_owned())
    }
}

/// Sorts descriptions of files by their paths, and those of the same name, as two backups of one file, by the rest.
fn by_path(mut files: Value) -> Value {
    if let Value::Array(files) = &mut files {
        files.sort_by_cached_key(|file| {
            (file["path"].as_str().unwrap_or_default().to_owned(), file.to_string())
        });
    }
    files
}

/// Reads JSON as Python writes it: bytes that are no text are halves of pairs, which become text here.
pub(crate) fn json(text: &str) -> Value {
    let escape = Regex::new(r"\\(?:\\|u(d[89a-f][0-9a-f]{2}))").unwrap();
    let half = |found: &Captures<'_>| {
        found.get(1).map_or_else(|| found[0].to_owned(), |half| format!("<{}>", half.as_str()))
    };
    serde_json::from_str(&escape.replace_all(text, half)).unwrap()
}

/// Notes the time, before anything is done.
pub(crate) fn begin() {
    LazyLock::force(&BEGIN);
}

/// Whether a time, in seconds since 1970, is the clock's.
pub(crate) fn recent(seconds: f64) -> bool {
    seconds >= *BEGIN
}
