//! Booting systemd in a container without `--privileged`.
//!
//! What it takes beyond the defaults: the capability to mount, a tmpfs on `/run` and `/tmp`, a cgroup tree of its own,
//! `container=docker` in its environment, and its own stop signal. The cgroup tree depends on the host:
//!
//! | host      | what systemd gets |
//! |-----------|-------------------|
//! | cgroup v1 | the host's `/sys/fs/cgroup`, read-only; systemd makes its groups below the container's own |
//! | cgroup v2 | a cgroup namespace of its own, whose `/sys/fs/cgroup` is made writable before systemd starts |

use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, Mount, MountType, SystemInfo,
    SystemInfoCgroupVersionEnum,
};

use super::container::DockerContainer;
use crate::{Container, ContainerState, EngineError, ExecSpec};

/// How long systemd may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// From systemd 256 on it refuses cgroup v1 unless its command line says this. In a container the command line of the
/// kernel, where it belongs, is that of the first process. Older ones pass over it.
const LEGACY: &str = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1";
/// Docker mounts the cgroup tree read-only without `--privileged`.
const WRITABLE: &str = "mount -o remount,bind,rw /sys/fs/cgroup; exec \"$0\" \"$@\"";
/// How much of the log of a systemd that died is told.
const LOG_LINES: usize = 20;

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
    body.stop_signal = Some("SIGRTMIN+3".to_owned());
}

impl DockerContainer {
    /// Waits until systemd says that it is up, or says what keeps it from coming up.
    pub(super) async fn wait_for_systemd(&self) -> Result<(), EngineError> {
        let start = tokio::time::Instant::now();
        let failed = |reason: String| EngineError::Systemd { name: self.name.clone(), reason };
        let mut said = String::new();
        while start.elapsed() < PATIENCE {
            match self.state().await? {
                Some(ContainerState::Running) => {}
                Some(ContainerState::Exited { status }) => return Err(failed(self.death(status).await?)),
                None => return Err(EngineError::NoSuchContainer { name: self.name.clone() }),
            }
            let asked = self.run(ExecSpec::root(["systemctl", "is-system-running"])).await;
            match asked {
                // A container that is about to end refuses commands with the same status.
                Ok(output)
                    if matches!(output.status, 126 | 127)
                        && self.state().await? == Some(ContainerState::Running) =>
                {
                    return Err(failed("the image has no `systemctl`: is systemd installed?".to_owned()));
                }
                Ok(output) => {
                    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                    match state.as_str() {
                        "running" => return Ok(()),
                        "degraded" => return Err(failed(self.degraded().await?)),
                        "maintenance" => return Err(failed("it is in rescue or emergency mode".to_owned())),
                        _ if state.is_empty() => {
                            said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                        }
                        _ => said = format!("its state is `{state}`"),
                    }
                }
                // It died between the two questions; the next round says how.
                Err(EngineError::NoSuchContainer { .. }) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let jobs = self.run(ExecSpec::root(["systemctl", "list-jobs", "--no-pager", "--no-legend"])).await?;
        let jobs = String::from_utf8_lossy(&jobs.stdout).trim().to_owned();
        let waiting = if jobs.is_empty() { String::new() } else { format!("; it still works on:\n{jobs}") };
        Err(failed(format!("after {} s {said}{waiting}", PATIENCE.as_secs())))
    }

    /// Names the units that failed, each with its last line of log.
    async fn degraded(&self) -> Result<String, EngineError> {
        let argv = ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"];
        let units = self.run(ExecSpec::root(argv)).await?;
        let mut reason = "units failed:".to_owned();
        for unit in
            String::from_utf8_lossy(&units.stdout).lines().filter_map(|line| line.split_whitespace().next())
        {
            let argv = ["journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=1", "--unit", unit];
            let line = self.run(ExecSpec::root(argv)).await?;
            let line = String::from_utf8_lossy(&line.stdout).trim().to_owned();
            reason = format!("{reason}\n  {unit}: {}", if line.is_empty() { "no log" } else { &line });
        }
        Ok(reason)
    }

    /// Says how systemd died.
    async fn death(&self, status: i64) -> Result<String, EngineError> {
        let log = self.logs(LOG_LINES).await?;
        let version = match self.daemon.host().await?.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_2) => "v2",
            _ => "v1",
        };
        let log = if log.trim().is_empty() { "it wrote nothing".to_owned() } else { log.trim().to_owned() };
        let hint = if log.contains("cgroup") {
            format!(
                "\nhint: the host has cgroup {version}; systemd before 232 needs v1, from 258 on it needs v2"
            )
        } else {
            String::new()
        };
        Ok(format!("its first process ended with status {status}: {log}{hint}"))
    }
}
