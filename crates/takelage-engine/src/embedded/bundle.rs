//! What a container is, in the words of the OCI runtime specification.
//!
//! The bundle is one for any runtime of that specification: what `runc` would make of it differs only in the first
//! process, which here is the agent. The defaults are Docker's, so that a container means the same on both engines.

mod capabilities;
mod devices;
mod mounts;

use std::path::Path;

use serde_json::{Value, json};

pub(super) use capabilities::{children, first_process};
pub(super) use mounts::{MountPoint, OWN_FILES};

use super::cgroup::Host;
use crate::{ContainerSpec, Startup, Ulimit};

/// What of `/proc` and `/sys` nobody in a container sees.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// What of `/proc` nobody in a container changes.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A container in the words of the runtime specification, and what has to be in its root file system before.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The content of `config.json`.
    pub(super) config: Value,
    /// Where something is mounted: the image may have nothing there.
    pub(super) mount_points: Vec<MountPoint>,
}

/// What the specification of a container leaves to the engine.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// The container's id.
    pub(super) id: &'a str,
    /// Its directory, with the files `hostname`, `hosts` and `resolv.conf`.
    pub(super) directory: &'a Path,
    /// Where the volumes are.
    pub(super) volumes: &'a Path,
    /// Its host name.
    pub(super) hostname: &'a str,
    /// How the host arranges its control groups.
    pub(super) cgroups: Host,
    /// Whether it is a container of an ordinary user.
    pub(super) rootless: bool,
    /// Whether its network is another one than the host's.
    pub(super) own_network: bool,
}

/// Says everything of `spec` in the words of the runtime specification, or why it cannot be said.
pub(super) fn bundle(spec: &ContainerSpec, place: &Place<'_>) -> Result<Bundle, String> {
    refuse(spec, place)?;
    let systemd = matches!(spec.startup, Startup::Systemd(_));
    let mounts = mounts::mounts(spec, place, systemd)?;
    let devices = devices::devices(&spec.devices)?;
    let capabilities = first_process(spec)?;
    // The root user of a privileged container, and systemd, set parameters of their own namespaces.
    let read_only: &[&str] = if spec.privileged || systemd { &[] } else { &READ_ONLY };
    let masked: &[&str] = if spec.privileged { &[] } else { &MASKED };
    let new = |kind: &str| json!({"type": kind});
    let mut namespaces: Vec<Value> = ["pid", "ipc", "uts", "mount"].map(new).into();
    if place.cgroups != Host::None {
        namespaces.push(new("cgroup"));
    }
    if place.own_network {
        namespaces.push(new("network"));
    }
    let mut config = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": false},
        "hostname": place.hostname,
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["takelage-agent"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "noNewPrivileges": no_new_privileges(spec),
            "rlimits": spec.ulimits.iter().map(rlimit).collect::<Vec<_>>(),
        },
        "mounts": mounts.specification,
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": super::cgroup::path(place.id),
            "devices": devices.nodes,
            "sysctl": spec.sysctls,
            "maskedPaths": masked,
            "readonlyPaths": read_only,
        },
    });
    if place.cgroups != Host::None {
        config["linux"]["resources"] = json!({
            "devices": devices.rules(spec.privileged),
            "memory": spec.memory.map(|bytes| json!({"limit": bytes})),
            "pids": spec.processes.map(|count| json!({"limit": count})),
        });
    }
    Ok(Bundle { config, mount_points: mounts.points })
}

fn rlimit(limit: &Ulimit) -> Value {
    json!({
        "type": format!("RLIMIT_{}", limit.name.to_ascii_uppercase()),
        "soft": limit.soft.unwrap_or(u64::MAX),
        "hard": limit.hard.unwrap_or(u64::MAX),
    })
}

/// Refuses what this engine does not do, rather than doing something else.
fn refuse(spec: &ContainerSpec, place: &Place<'_>) -> Result<(), String> {
    if place.cgroups == Host::None {
        let wants = [
            (matches!(spec.startup, Startup::Systemd(_)), "systemd"),
            (spec.memory.is_some(), "a limit of memory"),
            (spec.processes.is_some(), "a limit of processes"),
        ];
        if let Some((_, what)) = wants.iter().find(|(wanted, _)| *wanted) {
            return Err(format!(
                "{what} needs control groups, and this user may not make any: run takelage as root"
            ));
        }
    }
    if place.rootless && spec.privileged {
        return Err("`privileged` needs root".to_owned());
    }
    if let Some(option) = spec.security.iter().find(|option| !is_known(option)) {
        return Err(format!("the embedded engine does not know the security option `{option}`"));
    }
    match &spec.startup {
        Startup::Command(command) | Startup::Systemd(command) if command.is_empty() => {
            Err("the command is empty".to_owned())
        }
        _ => Ok(()),
    }
}

/// Security options that mean something here, or ask for what is the case anyway.
fn is_known(option: &str) -> bool {
    matches!(
        option,
        "seccomp=unconfined"
            | "seccomp=builtin"
            | "apparmor=unconfined"
            | "label=disable"
            | "no-new-privileges"
            | "no-new-privileges=true"
            | "no-new-privileges:true"
            | "no-new-privileges=false"
            | "no-new-privileges:false"
    )
}

/// Whether what runs in the container may gain no rights.
pub(super) fn no_new_privileges(spec: &ContainerSpec) -> bool {
    spec.security.iter().any(|option| {
        matches!(option.replace(':', "=").as_str(), "no-new-privileges" | "no-new-privileges=true")
    })
}

/// Whether system calls are filtered.
pub(super) fn is_filtered(spec: &ContainerSpec) -> bool {
    !spec.privileged && !spec.security.iter().any(|option| option == "seccomp=unconfined")
}
