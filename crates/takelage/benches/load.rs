//! takelage under load, with a Docker daemon that has the image: what it takes of time and memory.
//!
//! ```sh
//! cargo bench -p takelage --bench load [-- [LOAD…]]
//! ```
//!
//! Loads are `many` (64 containers with 100 tasks each in one run), `output` (a module that prints 500 MB), `file` (a file
//! of 5 GB by `copy`), `daemon` (a module that leaves a daemon), `checks` (10,000 checks) and `modules` (100 checks that each
//! call a module of Ansible's). Without an argument, the last three: the others need long, and `file` 11 GB of disk space. A
//! number after `many:` is the number of tasks. Printed are seconds, and the most memory that takelage, an agent of this
//! machine, and a process of Ansible's or pytest's had, in MiB.

use std::{
    error::Error,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fs_err::File;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// An image with Python.
const IMAGE: &str = "takelwerk/takelslim:latest";
const CONTAINERS: usize = 64;
/// How often memory is looked at. The system remembers each process's peak, so only short ones are missed.
const LOOK: Duration = Duration::from_millis(250);

/// The most memory of one process of a kind, in MiB.
#[derive(Debug, Default)]
struct Peaks {
    takelage: u64,
    agent: u64,
    python: u64,
}

fn main() -> Outcome {
    let mut loads: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if loads.is_empty() {
        loads = ["daemon", "checks", "modules"].map(str::to_owned).to_vec();
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:10} {:>8} {:>9} {:>6} {:>7}", "load", "seconds", "takelage", "agent", "python")?;
    for load in loads {
        let directory = tempfile::Builder::new().prefix("load-").tempdir()?;
        let (took, peaks) = measure(&load, directory.path())?;
        let Peaks { takelage, agent, python } = peaks;
        writeln!(out, "{load:10} {:8.1} {takelage:9} {agent:6} {python:7}", took.as_secs_f64())?;
    }
    Ok(())
}

/// Makes the project of a load and carries it out.
fn measure(load: &str, root: &Path) -> Outcome<(Duration, Peaks)> {
    let write = |name: &str, content: &str| -> Outcome {
        let path = root.join(name);
        path.parent().map_or(Ok(()), fs_err::create_dir_all)?;
        Ok(fs_err::write(path, content)?)
    };
    let project =
        format!("name: load\nimages: {{app: {{from: '{IMAGE}', playbook: play.yml, tests: tests}}}}\n");
    write("takelage.yml", &project)?;
    let play =
        |tasks: &str| write("play.yml", &format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}"));
    // What a load does not need is there all the same.
    play("    - ansible.builtin.ping:\n")?;
    write("tests/test_load.py", "def test_it():\n    pass\n")?;
    let (name, number) = load.split_once(':').unwrap_or((load, "100"));
    let verb: &[&str] = match name {
        "many" => {
            let platform = |at| format!("  - {{name: load{at}, image: '{IMAGE}', pre_build_image: true}}\n");
            let platforms: Vec<_> = (0..CONTAINERS).map(platform).collect();
            let scenario = format!("driver: {{name: docker}}\nplatforms:\n{}", platforms.concat());
            write("molecule/default/molecule.yml", &scenario)?;
            let task = |at| format!("    - ansible.builtin.command: echo {at}\n      changed_when: false\n");
            let tasks: Vec<_> = (0..number.parse::<usize>()?).map(task).collect();
            let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{}", tasks.concat());
            write("molecule/default/converge.yml", &play)?;
            &["molecule", "converge"]
        }
        "output" => {
            play(
                "    - ansible.builtin.shell: head -c 500000000 /dev/zero | tr '\\0' x\n      no_log: true\n",
            )?;
            &["converge"]
        }
        "file" => {
            File::create(root.join("large"))?.set_len(5 << 30)?;
            play("    - ansible.builtin.copy: {src: large, dest: /large}\n")?;
            &["converge"]
        }
        "daemon" => {
            let start = "nohup sh -c 'while sleep 1; do echo x; done' >/dev/null 2>&1 &";
            play(&format!("    - ansible.builtin.shell: {start}\n    - ansible.builtin.ping:\n"))?;
            &["converge"]
        }
        "checks" => {
            let checks = "import pytest\n\n@pytest.mark.parametrize('n', range(10000))\ndef test_it(host, n):\n    \
                          assert host.run('echo %s', str(n)).stdout == f'{n}\\n'\n";
            write("tests/test_load.py", checks)?;
            &["verify"]
        }
        "modules" => {
            let checks = "import pytest\ntestinfra_hosts = ['ansible://app']\n\n@pytest.mark.parametrize('n', range(100))\n\
                          def test_it(host, n):\n    assert host.ansible('stat', 'path=/etc')['stat']['exists']\n";
            write("tests/test_load.py", checks)?;
            &["verify"]
        }
        _ => return Err(format!("there is no load `{load}`").into()),
    };
    let molecule = verb[0] == "molecule";
    let prepare: &[&str] = if molecule { &["molecule", "create"] } else { &["create"] };
    let remove: &[&str] = if molecule { &["molecule", "destroy"] } else { &["destroy"] };
    let measured = run(root, prepare).and_then(|_| run(root, verb));
    let removed = run(root, remove);
    let measured = measured?;
    removed.map(|_| measured)
}

/// Runs takelage to its end and looks at the memory of what runs meanwhile.
fn run(root: &Path, verb: &[&str]) -> Outcome<(Duration, Peaks)> {
    let said = root.join("said");
    let file = File::create(&said)?;
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_takelage"))
        .args(["--no-cache", "--cache-dir"])
        .arg(root.join("cache"))
        .args(verb)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?.into_file())
        .stderr(file.into_file())
        .spawn()?;
    let (id, mut peaks) = (child.id(), Peaks::default());
    let status = loop {
        look(id, root, &mut peaks);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    if status.success() {
        return Ok((begun.elapsed(), peaks));
    }
    Err(format!("takelage {verb:?}: {status}\n{}", fs_err::read_to_string(said)?).into())
}

/// Adds what the system says of all processes.
fn look(takelage: u32, root: &Path, peaks: &mut Peaks) {
    let Ok(processes) = fs_err::read_dir("/proc") else { return };
    for process in processes.flatten().map(|entry| entry.path()) {
        let read = |name: &str| fs_err::read(process.join(name)).unwrap_or_default();
        let status = String::from_utf8_lossy(&read("status")).into_owned();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let peak = field("VmHWM:").and_then(|value| value.trim_end_matches(" kB").parse::<u64>().ok());
        let Some(peak) = peak.map(|kilobytes| kilobytes >> 10) else { continue };
        let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let of_ours = if process.ends_with(takelage.to_string()) {
            &mut peaks.takelage
        } else if field("Name:") == Some("takelage-agent") {
            &mut peaks.agent
        } else if line.contains("python") && line.contains(&*root.to_string_lossy()) {
            &mut peaks.python
        } else {
            continue;
        };
        *of_ours = peak.max(*of_ours);
    }
}
