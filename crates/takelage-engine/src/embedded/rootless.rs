//! Containers of ordinary users: in a user namespace in which the user is root, and whose other ids are those that the
//! administrator has set aside for the user in `/etc/subuid` and `/etc/subgid`.
//!
//! Only the programs `newuidmap` and `newgidmap` may say so to the kernel, and only from outside. So a process that is
//! about to enter a namespace first starts another helper, which does it:
//!
//! ```text
//! helper ── starts ──► helper, waits for its task
//!   │ unshare
//!   └── Map{process} ──►  newuidmap, newgidmap
//!   ◄────── done ────────
//! ```

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use fs_err as fs;
use rustix::{
    process::{Gid, Uid},
    thread::{LinkNameSpaceType, UnshareFlags},
};
use serde::{Deserialize, Serialize};

use super::helper::{Answer, Outcome, Task, WORD};

/// Which ids of the host a user namespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapping {
    process: i32,
    /// The user's own id and the first and number of those set aside.
    users: [u32; 3],
    groups: [u32; 3],
}

/// Whether this process is in a user namespace other than the first one.
pub(super) fn is_inside() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether containers of this user need a namespace.
pub(super) fn is_needed() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Becomes root of a new user namespace, unless this process is root already.
pub(super) fn enter() -> io::Result<()> {
    if !is_needed() {
        return Ok(());
    }
    let mapping = Mapping {
        process: rustix::process::getpid().as_raw_nonzero().get(),
        users: ids("/etc/subuid", rustix::process::getuid().as_raw())?,
        groups: ids("/etc/subgid", rustix::process::getgid().as_raw())?,
    };
    let mut mapper = Command::new("/proc/self/exe")
        .arg(WORD)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    super::namespaces::unshare(UnshareFlags::NEWUSER).map_err(|error| {
        io::Error::other(format!(
            "this kernel gives ordinary users no user namespaces ({error}): ask the administrator to allow them, or \
             run takelage as root"
        ))
    })?;
    if let Some(mut stdin) = mapper.stdin.take() {
        let mut line = serde_json::to_vec(&Task::Map(mapping))?;
        line.push(b'\n');
        stdin.write_all(&line)?;
    }
    let mut line = String::new();
    if let Some(stderr) = mapper.stderr.take() {
        BufReader::new(stderr).read_line(&mut line)?;
    }
    mapper.wait()?;
    match serde_json::from_str(&line) {
        Ok(Outcome::Done(_)) => become_root(),
        Ok(Outcome::Failed(trouble)) => Err(io::Error::other(trouble.message)),
        Err(_) => Err(io::Error::other(format!("the ids of a user namespace cannot be set: {line}"))),
    }
}

/// Enters the user namespace of a running container, unless this process is root already.
pub(super) fn join(process: i32) -> io::Result<()> {
    if !is_needed() {
        return Ok(());
    }
    let namespace = fs::File::open(format!("/proc/{process}/ns/user"))?;
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&namespace),
        Some(LinkNameSpaceType::User),
    )?;
    become_root()
}

/// In a user namespace, its creator is nobody yet.
fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    Ok(())
}

impl Mapping {
    /// Tells the kernel which ids a namespace has.
    pub(super) fn run(self) -> Result<Answer, io::Error> {
        for (program, [own, first, count]) in [("newuidmap", self.users), ("newgidmap", self.groups)] {
            let numbers = [self.process.cast_unsigned(), 0, own, 1, 1, first, count];
            let output = Command::new(program).args(numbers.map(|number| number.to_string())).output();
            let output = output.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::Error::other(format!(
                    "there is no `{program}`, which containers of ordinary users need: install Debian's package \
                     `uidmap`, or run takelage as root"
                )),
                _ => error,
            })?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(io::Error::other(format!("`{program}` refuses: {}", said.trim())));
            }
        }
        Ok(Answer::default())
    }
}

/// Returns the own id, and the first and the number of those that a file sets aside for this user.
fn ids(file: &str, own: u32) -> io::Result<[u32; 3]> {
    let user = rustix::process::getuid().as_raw();
    let name = name(user);
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = set_aside(&text, &user.to_string(), name.as_deref());
    let Some([first, count]) = found else {
        let name = name.unwrap_or_else(|| user.to_string());
        return Err(io::Error::other(format!(
            "`{file}` sets no ids aside for `{name}`, which containers of ordinary users need: ask the administrator for \
             `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}`, or run takelage as root"
        )));
    };
    Ok([own, first, count])
}

/// Reads `NAME:FIRST:COUNT`, the first line that is about the user.
fn set_aside(text: &str, id: &str, name: Option<&str>) -> Option<[u32; 2]> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let user = fields.next()?;
        if user != id && Some(user) != name {
            return None;
        }
        Some([fields.next()?.parse().ok()?, fields.next()?.parse().ok().filter(|count| *count > 0)?])
    })
}

fn name(user: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::set_aside;

    #[test]
    fn ids_are_found_by_name_or_number() {
        let text = "# comment\nalice:100000:65536\n1001:165536:65536\nbob:x:1\nbob:1:0\ncarol:5:6\n";
        assert_eq!(set_aside(text, "1000", Some("alice")), Some([100_000, 65536]));
        assert_eq!(set_aside(text, "1001", None), Some([165_536, 65536]));
        assert_eq!(set_aside(text, "7", Some("bob")), None);
        assert_eq!(set_aside(text, "7", Some("carol")), Some([5, 6]));
        assert_eq!(set_aside(text, "7", Some("dave")), None);
    }
}
