//! Containers that stand still where there are no control groups to freeze them: a process traces everything that runs in one.
//!
//! The kernel lets all of it go on when the tracer ends, whatever ends it, so nothing has to be undone.

use std::{
    collections::{HashMap, HashSet},
    io,
    time::{Duration, Instant},
};

use fs_err as fs;

/// How long a thread may take to stand still.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look.
const LOOK: Duration = Duration::from_millis(1);

/// Has all descendants of a process, and itself, stand still for as long as this process lives, which has to be one of a
/// single thread. It needs the right to trace them.
pub(super) fn hold(first: i32) -> io::Result<()> {
    let mut held = HashSet::new();
    loop {
        let before = held.len();
        for process in descendants(first)? {
            for thread in threads(process) {
                if !held.contains(&thread) && seize(thread)? {
                    held.insert(thread);
                }
            }
        }
        // A thread that did not stand still yet may have started others.
        if held.len() == before {
            return Ok(());
        }
        let start = Instant::now();
        while !held.iter().copied().all(is_still) {
            if start.elapsed() >= PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "its processes do not stand still"));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Returns a process and all that come from it. In a container everything does: its first process adopts orphans.
fn descendants(first: i32) -> io::Result<Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(stat) = stat(process) {
            children.entry(stat.parent).or_default().push(process);
        }
    }
    let mut found = vec![first];
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(process).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// Returns the threads of a process, none of one that is gone.
fn threads(process: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// What the kernel says of a thread.
struct Stat {
    state: char,
    parent: i32,
}

/// `None`: it is gone.
fn stat(thread: i32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    // The program's name, in parentheses, may have any character in it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some(Stat { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}

fn is_gone(thread: i32) -> bool {
    stat(thread).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// Whether a thread that is traced runs nothing any more.
fn is_still(thread: i32) -> bool {
    match stat(thread).map(|stat| stat.state) {
        None | Some('t' | 'Z' | 'X') => true,
        // It waits for a child that stands still before it became another program.
        Some('D') => is_starting_another(thread),
        Some(_) => false,
    }
}

fn is_starting_another(thread: i32) -> bool {
    let call = fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap_or_default();
    let number = call.split_whitespace().next().and_then(|number| number.parse().ok());
    number.is_some_and(|number| STARTS.contains(&number))
}

/// The calls that start another process.
#[cfg(target_arch = "x86_64")]
const STARTS: [libc::c_long; 3] = [libc::SYS_clone, libc::SYS_clone3, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const STARTS: [libc::c_long; 2] = [libc::SYS_clone, libc::SYS_clone3];

/// Begins to trace a thread and asks it to stand still. Says whether there is one.
fn seize(thread: i32) -> io::Result<bool> {
    let seized = trace(libc::PTRACE_SEIZE, thread).and_then(|()| trace(libc::PTRACE_INTERRUPT, thread));
    match seized {
        Ok(()) => Ok(true),
        Err(_) if is_gone(thread) => Ok(false),
        Err(error) => {
            let message = format!("its processes cannot be made to stand still ({error}): stop it before");
            Err(io::Error::new(error.kind(), message))
        }
    }
}

#[expect(unsafe_code, reason = "nothing safe makes this call")]
fn trace(request: libc::c_uint, thread: i32) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests take neither an address nor data, and change nothing of this process.
    match unsafe { libc::ptrace(request, thread, nothing, nothing) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap()
    }

    fn length(path: &std::path::Path) -> u64 {
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    }

    /// The tracer is a thread here, whose end lets them go as well.
    #[test]
    fn everything_stands_still_until_the_tracer_ends() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        // Many short processes come and go, some by way of `vfork`, and one that has a parent of its own.
        let forever =
            |path: &std::path::Path| format!("while :; do env true; echo x >> {}; done", path.display());
        let mut first = shell(&format!("({}) & {}", forever(&one), forever(&two)));
        let id = i32::try_from(first.id()).unwrap();
        let lengths = || (length(&one), length(&two));
        while lengths().0 < 20 || lengths().1 < 20 {
            std::thread::sleep(LOOK);
        }
        let tracer = std::thread::spawn(move || {
            hold(id).unwrap();
            let before = (length(&one), length(&two));
            std::thread::sleep(Duration::from_millis(200));
            (before, (length(&one), length(&two)), one, two)
        });
        let (before, after, one, two) = tracer.join().unwrap();
        let start = Instant::now();
        while length(&one) <= after.0 || length(&two) <= after.1 {
            assert!(start.elapsed() < PATIENCE, "it does not go on");
            std::thread::sleep(LOOK);
        }
        for process in descendants(id).unwrap().into_iter().rev() {
            if let Some(process) = rustix::process::Pid::from_raw(process) {
                let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
            }
        }
        first.wait().unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn what_is_gone_stands_still() {
        let mut child = shell("exit 0");
        child.wait().unwrap();
        hold(i32::try_from(child.id()).unwrap()).unwrap();
    }
}
