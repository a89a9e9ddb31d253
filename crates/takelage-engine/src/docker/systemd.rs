//! Booting systemd in a container without `--privileged`.
//!
//! What it takes beyond the defaults: the capability to mount, a tmpfs on `/run` and `/tmp`, a cgroup tree of its own,
//! `container=docker` in its environment, and its own stop signal. The cgroup tree depends on the host:
//!
//! | host      | what systemd gets |
//! |-----------|-------------------|
//! | cgroup v1 | the host's `/sys/fs/cgroup`, read-only; systemd makes its groups below the container's own |
//! | cgroup v2 | a cgroup namespace of its own, whose `/sys/fs/cgroup` is made writable before systemd starts |

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, Mount, MountType, SystemInfo,
    SystemInfoCgroupVersionEnum,
};

use super::container::DockerContainer;
use crate::{
    EngineError,
    systemd::{LEGACY, STOP_SIGNAL},
};

/// Docker mounts the cgroup tree read-only without `--privileged`.
const WRITABLE: &str = "mount -o remount,bind,rw /sys/fs/cgroup; exec \"$0\" \"$@\"";

/// Gives the container what systemd needs, unless the user chose differently for the same place.
pub(super) fn prepare(body: &mut ContainerCreateBody, host: &mut HostConfig, daemon: &SystemInfo) {
    const SYS_ADMIN: &str = "SYS_ADMIN";
    const CGROUP: &str = "/sys/fs/cgroup";
    let capabilities = host.cap_add.get_or_insert_default();
    if !capabilities.iter().any(|name| matches!(name.trim_start_matches("CAP_"), SYS_ADMIN | "ALL")) {
        capabilities.push(SYS_ADMIN.to_owned());
    }
    let mounts = host.mounts.get_or_insert_default();
    let taken =
        |mounts: &[Mount], path: &str| mounts.iter().any(|mount| mount.target.as_deref() == Some(path));
    let tmpfs = host.tmpfs.get_or_insert_default();
    // Programs may run from both: units in `/run`, package scripts and modules in `/tmp`.
    for (path, options) in [("/run", "exec,mode=0755"), ("/tmp", "exec,mode=1777")] {
        if !tmpfs.contains_key(path) && !taken(mounts, path) {
            tmpfs.insert(path.to_owned(), options.to_owned());
        }
    }
    let command = body.entrypoint.get_or_insert_default();
    if taken(mounts, CGROUP) || host.privileged == Some(true) {
        // The user has seen to it.
    } else if daemon.cgroup_version == Some(SystemInfoCgroupVersionEnum::_2) {
        host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::PRIVATE);
        command.splice(..0, ["/bin/sh", "-c", WRITABLE].map(str::to_owned));
        let security = host.security_opt.get_or_insert_default();
        let confines = |option: &String| option.starts_with("name=apparmor");
        if daemon.security_options.iter().flatten().any(confines)
            && !security.iter().any(|option| option.starts_with("apparmor"))
        {
            // Docker's profile forbids mounting, to which systemd and its units are entitled by the capability.
            security.push("apparmor=unconfined".to_owned());
        }
    } else {
        host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST);
        command.push(LEGACY.to_owned());
        mounts.push(Mount {
            typ: Some(MountType::BIND),
            source: Some(CGROUP.to_owned()),
            target: Some(CGROUP.to_owned()),
            read_only: Some(true),
            ..Mount::default()
        });
    }
    let env = body.env.get_or_insert_default();
    if !env.iter().any(|pair| pair.starts_with("container=")) {
        env.push("container=docker".to_owned());
    }
    body.stop_signal = Some(STOP_SIGNAL.to_owned());
}

impl DockerContainer {
    /// Waits until systemd says that it is up, or says what keeps it from coming up.
    pub(super) async fn wait_for_systemd(&self) -> Result<(), EngineError> {
        let cgroups = match self.daemon.host().await?.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_2) => "v2",
            _ => "v1",
        };
        crate::systemd::wait(self, cgroups).await
    }
}
