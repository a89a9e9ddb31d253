//! Control groups: one for each container, below a group of takelage's own.
//!
//! The runtime makes and joins the group in the hierarchies that have controllers. The hierarchy by the name of
//! `systemd`, which has none, is none of its business; a systemd in a container needs it, so its group is made here.

mod bpf;
mod devices;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use rustix::{
    mount::MountFlags,
    process::{Pid, Signal},
};

pub(super) use devices::restrict;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";
/// The group of all containers.
const PARENT: &str = "takelage";
/// The controllers of cgroup v1 that the runtime knows.
const CONTROLLERS: [&str; 12] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
];
/// The magic number of a cgroup v2 file system.
const CGROUP2: u64 = 0x6367_7270;
/// How long the last process of a group may take to leave it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look what the kernel has done so far.
const LOOK: Duration = Duration::from_millis(1);

/// How a host arranges its control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Host {
    /// cgroup v2 only.
    Unified,
    /// Controllers in v1, a v2 hierarchy without any beside them.
    Hybrid,
    /// cgroup v1 only.
    Legacy,
    /// None that this process may use: no limits, and no systemd.
    None,
}

impl Host {
    /// Returns the version of the control groups that a systemd in a container sees.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Unified => "v2",
            Self::Hybrid | Self::Legacy | Self::None => "v1",
        }
    }
}

/// Finds out how this host arranges its control groups.
pub(super) fn host() -> Host {
    let is_v2 = |path: &Path| rustix::fs::statfs(path).is_ok_and(|it| it.f_type.cast_unsigned() == CGROUP2);
    let root = Path::new(ROOT);
    let hybrid = root.join("unified");
    if is_v2(root) {
        if is_writable(root) { Host::Unified } else { Host::None }
    } else if is_writable(&root.join("pids")) || is_writable(&root.join("memory")) {
        if is_v2(&hybrid) { Host::Hybrid } else { Host::Legacy }
    } else {
        Host::None
    }
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Returns the path of a container's group within each hierarchy.
pub(super) fn path(id: &str) -> String {
    format!("/{PARENT}/{id}")
}

/// Returns the directory of a container's group in a hierarchy of cgroup v1.
pub(super) fn directory(hierarchy: &str, id: &str) -> PathBuf {
    Path::new(ROOT).join(hierarchy).join(PARENT).join(id)
}

/// Returns the directory of a container's group where there is cgroup v2 only.
fn unified(id: &str) -> PathBuf {
    Path::new(ROOT).join(PARENT).join(id)
}

/// Returns the hierarchies of cgroup v1 in which the runtime makes groups, as they are mounted here.
pub(super) fn controllers() -> Vec<String> {
    let mounted = |name: &&&str| Path::new(ROOT).join(name).join("cgroup.procs").exists();
    CONTROLLERS.iter().filter(mounted).map(|name| (*name).to_owned()).collect()
}

/// The groups that this process was in before it joined a container's.
#[derive(Debug)]
pub(super) struct Joined(Vec<PathBuf>);

/// Makes a container's groups in the hierarchies without controllers and moves this process into them.
///
/// What this process starts from now on is in them, and takes them for the roots: the hierarchy by the name of `systemd`,
/// which a systemd keeps its books in, and the one of cgroup v2 beside it, which a systemd mounts if it can.
pub(super) fn join(id: &str) -> io::Result<Joined> {
    let mine = fs::read_to_string("/proc/self/cgroup")?;
    let mut before = Vec::new();
    for (name, hierarchy) in [("name=systemd", "systemd"), ("", "unified")] {
        let root = Path::new(ROOT).join(hierarchy);
        if !root.join("cgroup.procs").exists() {
            continue;
        }
        let now = mine.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            (fields.next()? == name).then(|| fields.next()).flatten()
        });
        before.push(root.join(now.unwrap_or_default().trim_start_matches('/')));
        let group = directory(hierarchy, id);
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), b"0")?;
    }
    Ok(Joined(before))
}

impl Joined {
    /// Moves this process back to where it was.
    pub(super) fn leave(self) -> io::Result<()> {
        for group in self.0 {
            fs::write(group.join("cgroup.procs"), b"0")?;
        }
        Ok(())
    }
}

/// Hides the control groups from this process, in its own mount namespace. The runtime insists on joining a group in every
/// hierarchy that it has heard of: it finds files of the same names, which do nothing.
pub(super) fn hide(id: &str) -> io::Result<()> {
    if !Path::new(ROOT).is_dir() {
        return Ok(());
    }
    let hierarchies: Vec<PathBuf> = fs::read_dir(ROOT)?.flatten().map(|entry| entry.path()).collect();
    rustix::mount::mount("tmpfs", ROOT, "tmpfs", MountFlags::empty(), None)?;
    for hierarchy in hierarchies {
        let group = hierarchy.join(PARENT).join(id);
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), b"")?;
        // What a group of processors takes over from those above it.
        for level in [&hierarchy, &hierarchy.join(PARENT), &group] {
            fs::write(level.join("cpuset.cpus"), b"0")?;
            fs::write(level.join("cpuset.mems"), b"0")?;
        }
    }
    Ok(())
}

/// Freezes everything that runs in a container, and waits until it stands still: the kernel takes its time with a
/// process that waits for a disk.
pub(super) fn freeze(id: &str, host: Host) -> io::Result<()> {
    let (state, still) = match host {
        Host::Unified => {
            let group = unified(id);
            fs::write(group.join("cgroup.freeze"), "1")?;
            (group.join("cgroup.events"), "frozen 1")
        }
        Host::Hybrid | Host::Legacy => {
            let state = directory("freezer", id).join("freezer.state");
            fs::write(&state, "FROZEN")?;
            (state, "FROZEN")
        }
        Host::None => return Ok(()),
    };
    let start = std::time::Instant::now();
    while !fs::read_to_string(&state)?.lines().any(|line| line == still) {
        if start.elapsed() >= PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its processes do not stand still"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Lets everything in a container go on.
pub(super) fn thaw(id: &str, host: Host) -> io::Result<()> {
    let thawed = match host {
        Host::Unified => fs::write(unified(id).join("cgroup.freeze"), "0"),
        Host::Hybrid | Host::Legacy => fs::write(directory("freezer", id).join("freezer.state"), "THAWED"),
        Host::None => Ok(()),
    };
    match thawed {
        // It has ended meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        thawed => thawed,
    }
}

/// Removes a container's groups from all hierarchies, and ends whatever still is in them: a monitor that dies while it
/// makes a container cannot take that along.
pub(super) fn remove(id: &str) -> io::Result<()> {
    let mut hierarchies = vec![PathBuf::from(ROOT)];
    hierarchies.extend(fs::read_dir(ROOT).into_iter().flatten().flatten().map(|entry| entry.path()));
    for hierarchy in hierarchies {
        let parent = hierarchy.join(PARENT);
        let group = parent.join(id);
        if group.is_dir() {
            remove_group(&group)?;
            // The last one takes the group of all along.
            let _ = fs::remove_dir(parent);
        }
    }
    Ok(())
}

fn remove_group(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    let start = std::time::Instant::now();
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && start.elapsed() < PATIENCE => {
                kill(group)?;
                std::thread::sleep(LOOK);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => return result,
        }
    }
}

/// Ends the processes of a group, which are this container's and nobody else's.
fn kill(group: &Path) -> io::Result<()> {
    let processes = fs::read_to_string(group.join("cgroup.procs"))?;
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        match rustix::process::kill_process(pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
