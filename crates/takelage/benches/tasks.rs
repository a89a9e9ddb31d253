//! What one more task costs, by its kind: fast and plain, on both engines.
//!
//! ```sh
//! cargo bench -p takelage --bench tasks [-- [ROUNDS [KIND…]]]
//! ```
//!
//! A playbook with few and one with many tasks of a kind are run in new containers, in turns; the cost of a task is the difference of
//! their times by the number of tasks. Printed are medians in milliseconds, and what part of the plain way's the fast one takes. Needed
//! are root, a Docker daemon and its image.

use std::{
    error::Error,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// An image with Python and sudo.
const IMAGE: &str = "takelwerk/takelslim:latest";
const ROUNDS: usize = 3;
const ENGINES: [&str; 2] = ["docker", "embedded"];

/// A kind of task.
struct Kind {
    name: &'static str,
    /// How many tasks the playbooks have.
    numbers: [usize; 2],
    /// Writes the task with a number, indented below `tasks:`.
    task: fn(usize) -> String,
}

const KINDS: [Kind; 8] = [
    Kind { name: "module", numbers: [5, 45], task: |_| "- ansible.builtin.stat: {path: /etc}".to_owned() },
    Kind { name: "command", numbers: [5, 45], task: |_| "- ansible.builtin.command: 'true'".to_owned() },
    Kind { name: "1 KB", numbers: [5, 45], task: |at| copy(at, "kilo") },
    Kind { name: "1 MB", numbers: [2, 12], task: |at| copy(at, "mega") },
    Kind { name: "100 MB", numbers: [1, 3], task: |at| copy(at, "large") },
    Kind {
        name: "loop 100",
        numbers: [1, 4],
        task: |_| "- ansible.builtin.stat: {path: /etc}\n      loop: '{{ range(100) | list }}'".to_owned(),
    },
    Kind {
        name: "become",
        numbers: [5, 45],
        task: |_| {
            "- ansible.builtin.stat: {path: /etc}\n      become: true\n      become_user: games".to_owned()
        },
    },
    Kind {
        name: "template",
        numbers: [2, 22],
        task: |at| format!("- ansible.builtin.template: {{src: thousand.j2, dest: /t{at}}}"),
    },
];

fn copy(at: usize, file: &str) -> String {
    format!("- ansible.builtin.copy: {{src: {file}, dest: /f{at}}}")
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let rounds = arguments.next().map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let wanted: Vec<String> = arguments.collect();
    let directory = tempfile::Builder::new().prefix("tasks-").tempdir()?;
    let root = directory.path();
    write_project(root)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:10} {:9} {:>10} {:>10} {:>7}", "task", "engine", "plain ms", "fast ms", "ratio")?;
    for kind in KINDS.iter().filter(|kind| wanted.is_empty() || wanted.iter().any(|name| name == kind.name)) {
        for engine in ENGINES {
            let (mut plain, mut fast) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                plain.push(cost(root, kind, &["--engine", engine, "--plain"])?);
                fast.push(cost(root, kind, &["--engine", engine, "--no-cache"])?);
            }
            let (plain, fast) = (median(plain), median(fast));
            writeln!(out, "{:10} {engine:9} {plain:10.1} {fast:10.1} {:7.3}", kind.name, fast / plain)?;
        }
    }
    Ok(())
}

fn write_project(root: &Path) -> Outcome {
    let project = format!("name: tasks\nimages: {{app: {{from: '{IMAGE}', playbook: play.yml}}}}\n");
    fs_err::write(root.join("takelage.yml"), project)?;
    for (name, length) in [("kilo", 1 << 10), ("mega", 1 << 20), ("large", 100 << 20)] {
        let content: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
        fs_err::write(root.join(name), content)?;
    }
    let variables: Vec<_> = (0..1000).map(|at| format!("v{at}: {at}\n")).collect();
    let template: Vec<_> = (0..1000).map(|at| format!("{{{{ v{at} }}}}\n")).collect();
    fs_err::create_dir_all(root.join("group_vars"))?;
    fs_err::write(root.join("group_vars/all.yml"), variables.concat())?;
    Ok(fs_err::write(root.join("thousand.j2"), template.concat())?)
}

/// Returns what one more task costs, in milliseconds.
fn cost(root: &Path, kind: &Kind, options: &[&str]) -> Outcome<f64> {
    let mut took = Vec::new();
    for number in kind.numbers {
        let tasks: Vec<_> = (0..number).map(|at| format!("    {}\n", (kind.task)(at))).collect();
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{}", tasks.concat());
        fs_err::write(root.join("play.yml"), play)?;
        run(root, options, "create")?;
        let converged = run(root, options, "converge");
        run(root, options, "destroy")?;
        took.push(converged?.as_secs_f64());
    }
    let [few, many] = kind.numbers;
    #[expect(clippy::cast_precision_loss, reason = "there are few tasks")]
    let tasks = (many - few) as f64;
    Ok((took[1] - took[0]) * 1000.0 / tasks)
}

fn run(root: &Path, options: &[&str], verb: &str) -> Outcome<Duration> {
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_takelage"))
        .args(options)
        .arg("--cache-dir")
        .arg(root.join("cache"))
        .arg(verb)
        .current_dir(root)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(begun.elapsed());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("takelage {options:?} {verb}: {}\n{said}", output.status).into())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
