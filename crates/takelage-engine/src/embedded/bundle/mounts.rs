//! What is mounted in a container.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    super::{cgroup::Host, volume},
    Place,
};
use crate::ContainerSpec;

/// Size of `/dev/shm` in bytes where nothing else is said; Docker's.
const SHM_SIZE: u64 = 64 << 20;
/// Files that belong to the container and not to its image.
pub(in super::super) const OWN_FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];
const CGROUP: &str = "/sys/fs/cgroup";

/// A path at which something is mounted. It has to exist before, without becoming part of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(in super::super) struct MountPoint {
    /// Absolute path in the container.
    pub(in super::super) path: String,
    /// Whether a directory is mounted there; otherwise a file.
    pub(in super::super) directory: bool,
}

/// Mounts in their order, and the places for them.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) specification: Vec<Value>,
    pub(super) points: Vec<MountPoint>,
}

impl Mounts {
    fn add(&mut self, target: &str, kind: &str, source: &str, options: &[&str]) {
        self.specification
            .push(json!({"destination": target, "type": kind, "source": source, "options": options}));
        // Below another mount the place is made there, by the runtime.
        let below = |mount: &str| target.strip_prefix(mount).is_some_and(|rest| rest.starts_with('/'));
        if !["/dev", "/proc", "/sys"].into_iter().any(below) {
            self.points.push(MountPoint { path: target.to_owned(), directory: true });
        }
    }

    fn bind(&mut self, source: &Path, target: &str, read_only: bool) -> Result<(), String> {
        let directory = fs_err::metadata(source).map_err(|error| error.to_string())?.is_dir();
        let access = if read_only { "ro" } else { "rw" };
        self.specification.push(json!({
            "destination": target, "type": "bind", "source": source, "options": ["rbind", "rprivate", access],
        }));
        self.points.push(MountPoint { path: target.to_owned(), directory });
        Ok(())
    }
}

/// Returns all mounts of a container: Docker's, and those that `spec` asks for.
pub(super) fn mounts(spec: &ContainerSpec, place: &Place<'_>, systemd: bool) -> Result<Mounts, String> {
    let mut mounts = Mounts::default();
    let plain = ["nosuid", "noexec", "nodev"];
    let shm = format!("size={}", spec.shm_size.unwrap_or(SHM_SIZE));
    mounts.add("/proc", "proc", "proc", &plain);
    mounts.add("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]);
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    mounts.add("/dev/pts", "devpts", "devpts", &pts);
    mounts.add("/dev/shm", "tmpfs", "shm", &[&plain[..], &["mode=1777", &shm]].concat());
    mounts.add("/dev/mqueue", "mqueue", "mqueue", &plain);
    // Where the network is the host's, so is what `/sys` shows of it, which only the host may change.
    if place.rootless && !place.own_network {
        // Only who owns a network may mount what shows it; the host's own mount shows the same.
        mounts.add("/sys", "bind", "/sys", &["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"]);
    } else if spec.privileged && place.own_network {
        mounts.add("/sys", "sysfs", "sysfs", &plain);
    } else {
        mounts.add("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]);
    }
    cgroup(&mut mounts, spec, place, systemd);
    for (target, options) in &spec.tmpfs {
        tmpfs(&mut mounts, target, options)?;
    }
    if systemd {
        // Programs may run from both: units in `/run`, package scripts and modules in `/tmp`.
        for (target, options) in [("/run", "exec,mode=0755"), ("/tmp", "exec,mode=1777")] {
            let taken =
                spec.tmpfs.contains_key(target) || spec.volumes.iter().any(|volume| volume.target == target);
            if !taken {
                tmpfs(&mut mounts, target, options)?;
            }
        }
    }
    // The monitor mounts them itself: a runtime opens such files for writing, and so makes them part of the layer.
    for file in OWN_FILES {
        mounts.points.push(MountPoint { path: format!("/etc/{file}"), directory: false });
    }
    for volume in &spec.volumes {
        let source = if volume::is_named(volume) {
            volume::Directory(place.volumes.join(&volume.source)).data()
        } else {
            volume.source.clone().into()
        };
        mounts.bind(&source, &volume.target, volume.read_only)?;
    }
    Ok(mounts)
}

/// The control groups, as far as they are the container's own.
fn cgroup(mounts: &mut Mounts, spec: &ContainerSpec, place: &Place<'_>, systemd: bool) {
    let writable = systemd || spec.privileged;
    let plain = ["nosuid", "noexec", "nodev"];
    match place.cgroups {
        Host::None => {}
        Host::Unified if writable => mounts.add(CGROUP, "cgroup", "cgroup", &plain),
        Host::Unified => {
            mounts.add(CGROUP, "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        }
        Host::Hybrid | Host::Legacy => {
            // Each group by itself: the runtime's own way would show more than the container's, and let it write there.
            mounts.add(CGROUP, "tmpfs", "tmpfs", &["nosuid", "noexec", "nodev", "mode=755"]);
            let mut group = |name: &str, access: &str| {
                mounts.specification.push(json!({
                    "destination": format!("{CGROUP}/{name}"),
                    "type": "bind",
                    "source": super::super::cgroup::directory(name, place.id),
                    "options": ["bind", "nosuid", "noexec", "nodev", access],
                }));
            };
            for controller in super::super::cgroup::controllers() {
                group(&controller, if spec.privileged { "rw" } else { "ro" });
            }
            if systemd {
                // systemd needs no controller, only a hierarchy by its name to keep its books in.
                group("systemd", "rw");
            }
        }
    }
}

/// Adds a `tmpfs` with the options that `docker run --tmpfs` takes.
fn tmpfs(mounts: &mut Mounts, target: &str, options: &str) -> Result<(), String> {
    let mut words = vec!["nosuid", "nodev", "noexec"];
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let opposite = match option {
            "exec" => "noexec",
            "noexec" => "exec",
            "suid" => "nosuid",
            "nosuid" => "suid",
            "dev" => "nodev",
            "nodev" => "dev",
            "rw" => "ro",
            "ro" => "rw",
            _ if ["size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks="]
                .iter()
                .any(|known| option.starts_with(known)) =>
            {
                ""
            }
            _ => return Err(format!("`{option}` is no option of the tmpfs at `{target}`")),
        };
        words.retain(|word| *word != opposite && *word != option);
        words.push(option);
    }
    mounts.add(target, "tmpfs", "tmpfs", &words);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_tmpfs_replace_the_defaults() {
        let mut mounts = Mounts::default();
        tmpfs(&mut mounts, "/run", "exec,mode=0755,size=1m").unwrap();
        assert_eq!(
            mounts.specification[0]["options"],
            json!(["nosuid", "nodev", "exec", "mode=0755", "size=1m"])
        );
        assert!(tmpfs(&mut mounts, "/run", "colour=blue").unwrap_err().contains("colour=blue"));
    }

    #[test]
    fn places_below_other_mounts_are_not_made_in_the_root() {
        let mut mounts = Mounts::default();
        mounts.add("/dev/shm", "tmpfs", "shm", &[]);
        mounts.add("/srv/data", "tmpfs", "tmpfs", &[]);
        assert_eq!(mounts.points, [MountPoint { path: "/srv/data".to_owned(), directory: true }]);
    }
}
