//! A container that Docker makes and Ansible reaches without takelage.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A container in which systemd is up, as takelage would make it. It is removed with the value.
#[derive(Debug)]
pub(crate) struct StockContainer {
    /// Its name.
    pub(crate) name: String,
}

impl StockContainer {
    /// Starts a container of `image`, which must be there.
    pub(crate) fn start(name: String, hostname: &str, image: &str) -> Self {
        let container = Self { name };
        let version = docker(&["info", "--format", "{{.CgroupVersion}}"]);
        let hostname = format!("--hostname={hostname}");
        let mut arguments =
            vec!["run", "--detach", "--pull=never", "--name", &container.name, hostname.as_str()];
        arguments.extend([
            "--env=container=docker",
            "--tmpfs=/run:exec,mode=0755",
            "--tmpfs=/tmp:exec,mode=1777",
        ]);
        arguments.push("--cap-add=SYS_ADMIN");
        if version.trim() == "2" {
            let writable = r#"mount -o remount,bind,rw /sys/fs/cgroup; exec "$0" "$@""#;
            arguments.extend(["--cgroupns=private", "--security-opt=apparmor=unconfined"]);
            arguments.extend([image, "/bin/sh", "-c", writable, "/lib/systemd/systemd"]);
        } else {
            arguments.extend(["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:ro"]);
            arguments.extend([image, "/lib/systemd/systemd", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]);
        }
        docker(&arguments);
        let start = Instant::now();
        loop {
            let asked = ["exec", &container.name, "systemctl", "is-system-running"];
            let asked = Command::new("docker").args(asked).stdin(Stdio::null()).output().unwrap();
            if asked.stdout.trim_ascii() == b"running" {
                return container;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "systemd does not come up: {asked:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for StockContainer {
    fn drop(&mut self) {
        let remove = ["rm", "--force", "--volumes", &self.name];
        let _ = Command::new("docker").args(remove).stdin(Stdio::null()).output();
    }
}

/// Returns what Docker's command says.
fn docker(arguments: &[&str]) -> String {
    let ran = Command::new("docker").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "docker {arguments:?}\n{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}
