//! Everything that a request has started.

use rustix::process::{Pid, Signal};

/// How often is looked for processes that began while others were killed.
const ROUNDS: usize = 8;

/// Kills a session: its leader if that still `lives`, its process group, and whoever else is in it.
///
/// The leader's number is not its own any more once it was reaped, but nobody else gets it while its session lasts.
pub(crate) fn kill(leader: Pid, lives: bool) {
    // Whoever is gone is no error.
    if lives {
        let _ = rustix::process::kill_process(leader, Signal::KILL);
    }
    let _ = rustix::process::kill_process_group(leader, Signal::KILL);
    // A shell with job control makes groups of its own.
    let mut killed = Vec::new();
    for _ in 0..ROUNDS {
        let mut new = false;
        for member in members(leader) {
            if !killed.contains(&member) {
                let _ = rustix::process::kill_process(member, Signal::KILL);
                killed.push(member);
                new = true;
            }
        }
        if !new {
            return;
        }
    }
}

fn members(leader: Pid) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(Pid::from_raw)
        .filter(|&pid| rustix::process::getsid(Some(pid)) == Ok(leader))
        .collect()
}
