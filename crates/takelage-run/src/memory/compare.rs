//! Whether a request that was made again came to what it was told to have come to.
//!
//! The controller has built on the first answer, so another one makes void what came after: all is run anew then. Left aside
//! is only what differs between two executions although nothing else does: when and how long a module ran, times and numbers
//! of files, how a download went, processes of units, and what `setup` says of the machine.

use serde_json::Value;

use super::{
    mask::{Masked, Piece},
    record::Outcome,
};

/// Keys of a module's result that say when and how long it ran.
const CLOCKS: [&str; 4] = ["start", "end", "delta", "elapsed"];
/// Keys that say where a file is on its disk, and when it came there.
const FILES: [&str; 6] = ["atime", "ctime", "mtime", "inode", "dev", "version"];

/// Keys that say what became of a unit, among those that say when and as which process.
const UNIT: [&str; 5] = ["LoadState", "ActiveState", "SubState", "UnitFileState", "Result"];
/// Lines of `apt-get` that say how fast a mirror was, and how its files were numbered.
const DOWNLOADS: [&str; 5] = ["Get:", "Hit:", "Ign:", "Fetched ", "(Reading database"];

/// Whether two outcomes of one request are the same as far as anybody may build on them. `module` is empty if the request
/// was no module's.
pub(super) fn same(before: &Outcome, now: &Outcome, module: &str) -> bool {
    match (before, now) {
        (
            Outcome::Exit { status, stdout, stderr },
            Outcome::Exit { status: other_status, stdout: other_stdout, stderr: other_stderr },
        ) => {
            // What a module writes to standard error is shown, and never read.
            let same_streams = stdout == other_stdout && stderr == other_stderr;
            let is_module = !module.is_empty();
            status == other_status && (same_streams || is_module && same_result(stdout, other_stdout, module))
        }
        (Outcome::Prepared(_), Outcome::Prepared(_)) => true,
        _ => before == now,
    }
}

fn same_result(before: &Masked, now: &Masked, module: &str) -> bool {
    match (module_result(before), module_result(now)) {
        (Some(mut before), Some(mut now)) => {
            for result in [&mut before, &mut now] {
                leave_aside(result, module);
            }
            before == now
        }
        _ => false,
    }
}

/// Returns a module's result, with its masks as text that no module writes.
fn module_result(text: &Masked) -> Option<Value> {
    let mut whole = Vec::new();
    for piece in &text.0 {
        match piece {
            Piece::Plain(plain) => whole.extend_from_slice(plain),
            Piece::Drawn(number) => whole.extend_from_slice(format!("\u{fffd}{number}\u{fffd}").as_bytes()),
        }
    }
    let start = whole.iter().position(|byte| *byte == b'{')?;
    let result: Value = serde_json::from_slice(whole[start..].trim_ascii_end()).ok()?;
    result.is_object().then_some(result)
}

fn leave_aside(result: &mut Value, module: &str) {
    let name = module.rsplit('.').next().unwrap_or(module);
    let Value::Object(fields) = result else { return };
    for key in CLOCKS {
        fields.shift_remove(key);
    }
    match name {
        "setup" | "gather_facts" => {
            fields.shift_remove("ansible_facts");
        }
        "systemd" | "systemd_service" | "service" => {
            if let Some(Value::Object(status)) = fields.get_mut("status") {
                status.retain(|key, _| UNIT.contains(&key.as_str()));
            }
        }
        "apt" => {
            fields.shift_remove("cache_update_time");
            if let Some(Value::String(said)) = fields.get_mut("stdout") {
                let lines = said.lines().filter(|line| !DOWNLOADS.iter().any(|word| line.starts_with(word)));
                *said = lines.collect::<Vec<_>>().join("\n");
            }
        }
        "stat" => {
            if let Some(Value::Object(stat)) = fields.get_mut("stat") {
                for key in FILES {
                    stat.shift_remove(key);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(stdout: &str) -> Outcome {
        let stdout = Masked(vec![Piece::Plain(stdout.as_bytes().to_vec())]);
        Outcome::Exit { status: 0, stdout, stderr: Masked::default() }
    }

    #[test]
    fn clocks_do_not_count_and_all_else_does() {
        let run = |text: &str| exit(&format!(r#"{{"stdout": "{text}", "start": "{text}", "rc": 0}}"#));
        assert!(!same(&run("a"), &run("b"), "command"));
        let at = |text: &str| exit(&format!(r#"BECOME{{"stdout": "a", "end": "{text}"}}"#));
        assert!(same(&at("10:00"), &at("11:00"), "ansible.legacy.command"));
    }

    #[test]
    fn times_of_files_count_unless_stat_says_them() {
        let stat = |time: u8| exit(&format!(r#"{{"stat": {{"mtime": {time}, "size": 3}}}}"#));
        assert!(same(&stat(1), &stat(2), "ansible.legacy.stat"));
        assert!(!same(&stat(1), &stat(2), "find"));
    }

    #[test]
    fn units_count_by_what_became_of_them() {
        let unit = |state: &str, process: u8| {
            exit(&format!(r#"{{"status": {{"ActiveState": "{state}", "MainPID": "{process}"}}}}"#))
        };
        assert!(same(&unit("active", 1), &unit("active", 2), "ansible.builtin.systemd"));
        assert!(!same(&unit("active", 1), &unit("failed", 1), "ansible.builtin.systemd"));
        let installed = |speed: u8, version: u8| {
            exit(&format!(r#"{{"stdout": "Fetched 9 kB in {speed}s\nSetting up a ({version})"}}"#))
        };
        assert!(same(&installed(1, 1), &installed(2, 1), "apt"));
        assert!(!same(&installed(1, 1), &installed(1, 2), "apt"));
    }

    #[test]
    fn what_is_no_result_must_be_equal() {
        assert!(same(&exit("/root"), &exit("/root"), ""));
        assert!(!same(&exit("/root"), &exit("/home"), ""));
        assert!(!same(&exit("{"), &exit("{ "), "command"));
        let raw = |start: u8| exit(&format!(r#"{{"start": {start}}}"#));
        assert!(!same(&raw(1), &raw(2), ""));
    }
}
