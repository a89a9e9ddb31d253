//! Waiting for a systemd that boots in a container, on any engine.

use std::time::Duration;

use crate::{Container, ContainerState, EngineError, ExecSpec};

/// How long systemd may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a first process that is about to end may take to have ended.
const MOMENT: Duration = Duration::from_secs(2);
/// How much of the log of a systemd that died is told.
const LOG_LINES: usize = 20;

/// From systemd 256 on it refuses cgroup v1 unless its command line says this. In a container the command line of the
/// kernel, where it belongs, is that of the first process. Older ones pass over it.
pub(crate) const LEGACY: &str = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1";
/// Which signal ends it.
pub(crate) const STOP_SIGNAL: &str = "SIGRTMIN+3";

/// Waits until systemd says that it is up, or says what keeps it from coming up. `cgroups` is the version of the host's
/// control groups, `v1` or `v2`.
pub(crate) async fn wait(container: &impl Container, cgroups: &str) -> Result<(), EngineError> {
    let start = tokio::time::Instant::now();
    let failed = |reason: String| EngineError::Systemd { name: container.name().to_owned(), reason };
    let mut said = String::new();
    while start.elapsed() < PATIENCE {
        match container.state().await? {
            Some(ContainerState::Running) => {}
            Some(ContainerState::Exited { status }) => {
                return Err(failed(death(container, cgroups, status).await?));
            }
            None => return Err(EngineError::NoSuchContainer { name: container.name().to_owned() }),
        }
        let asked = container.run(ExecSpec::root(["systemctl", "is-system-running"])).await;
        match asked {
            // A container that is about to end refuses commands with the same status.
            Ok(output) if matches!(output.status, 126 | 127) => {
                if !has_ended(container).await? {
                    return Err(failed("the image has no `systemctl`: is systemd installed?".to_owned()));
                }
            }
            Ok(output) => {
                let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                match state.as_str() {
                    "running" => return Ok(()),
                    "degraded" => return Err(failed(degraded(container).await?)),
                    "maintenance" => return Err(failed("it is in rescue or emergency mode".to_owned())),
                    _ if state.is_empty() => {
                        said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    }
                    _ => said = format!("its state is `{state}`"),
                }
            }
            // It died between the two questions or in the middle of this one; the next round says how.
            Err(EngineError::NoSuchContainer { .. }) => {}
            Err(error) => {
                if !has_ended(container).await? {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let jobs = container.run(ExecSpec::root(["systemctl", "list-jobs", "--no-pager", "--no-legend"])).await?;
    let jobs = String::from_utf8_lossy(&jobs.stdout).trim().to_owned();
    let waiting = if jobs.is_empty() { String::new() } else { format!("; it still works on:\n{jobs}") };
    Err(failed(format!("after {} s {said}{waiting}", PATIENCE.as_secs())))
}

/// Whether a first process that may be about to end does so.
async fn has_ended(container: &impl Container) -> Result<bool, EngineError> {
    let start = tokio::time::Instant::now();
    while start.elapsed() < MOMENT {
        if container.state().await? != Some(ContainerState::Running) {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}

/// Names the units that failed, each with its last line of log.
async fn degraded(container: &impl Container) -> Result<String, EngineError> {
    let argv = ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"];
    let units = container.run(ExecSpec::root(argv)).await?;
    let mut reason = "units failed:".to_owned();
    for unit in
        String::from_utf8_lossy(&units.stdout).lines().filter_map(|line| line.split_whitespace().next())
    {
        let argv = ["journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=1", "--unit", unit];
        let line = container.run(ExecSpec::root(argv)).await?;
        let line = String::from_utf8_lossy(&line.stdout).trim().to_owned();
        reason = format!("{reason}\n  {unit}: {}", if line.is_empty() { "no log" } else { &line });
    }
    Ok(reason)
}

/// Says how systemd died.
async fn death(container: &impl Container, cgroups: &str, status: i64) -> Result<String, EngineError> {
    let log = container.logs(LOG_LINES).await?;
    let log = if log.trim().is_empty() { "it wrote nothing".to_owned() } else { log.trim().to_owned() };
    let hint = if log.contains("cgroup") {
        format!("\nhint: the host has cgroup {cgroups}; systemd before 232 needs v1, from 258 on it needs v2")
    } else {
        String::new()
    };
    Ok(format!("its first process ended with status {status}: {log}{hint}"))
}
