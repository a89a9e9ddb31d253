//! Creating and starting a container.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bollard::{
    models::{
        ContainerCreateBody, DeviceMapping, HealthConfig, HostConfig, Mount, MountType, PortBinding, PortMap,
        ResourcesUlimits,
    },
    query_parameters::CreateContainerOptionsBuilder,
};

use super::{
    connection::Daemon,
    container::DockerContainer,
    errors::{status, text},
    systemd,
};
use crate::{
    Container, ContainerId, ContainerSpec, ContainerState, EngineError, Network, Operation, Startup,
};

/// What a container that only waits runs. A shell that waits for a child reaps every other child as well, and runs
/// its trap at once, which it would not do during a foreground command.
const WAIT: &str = "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait $!; done";
/// When to look whether the container's own command ended right away, from its start.
const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(300)];
/// How much of the log of a container that ended is told.
const LOG_LINES: usize = 20;

impl Daemon {
    /// Creates and starts a container, and removes it again if it does not come up.
    pub(super) async fn create(
        self: &Arc<Self>,
        spec: &ContainerSpec,
    ) -> Result<DockerContainer, EngineError> {
        let mut body = self.body(spec).await?;
        let network = match &spec.network {
            Network::Private(name) => Some(name.as_str()),
            _ => None,
        };
        let created = match network {
            Some(name) => {
                let _alone = self.networks.lock().await;
                self.private_network(name, spec, &mut body).await?;
                self.create_from(spec, body).await
            }
            None => self.create_from(spec, body).await,
        };
        let id = match (created, network) {
            (Ok(id), _) => id,
            (Err(error), None) => return Err(error),
            (Err(error), Some(name)) => {
                // The first error is the one to tell.
                let _ = self.leave_network(name).await;
                return Err(error);
            }
        };
        let network = network.map(str::to_owned);
        let container = DockerContainer::new(self.clone(), id, spec.name.clone(), network);
        match container.bring_up(spec).await {
            Ok(()) => Ok(container),
            Err(error) => {
                // The first error is the one to tell.
                let _ = container.remove().await;
                Err(error)
            }
        }
    }

    /// Creates a container, without starting it.
    async fn create_from(
        &self,
        spec: &ContainerSpec,
        body: ContainerCreateBody,
    ) -> Result<ContainerId, EngineError> {
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        match self.api.create_container(Some(options), body).await {
            Ok(created) => Ok(ContainerId(created.id)),
            Err(error) => Err(match status(&error) {
                // 409 by Docker, 500 by Podman.
                Some(409 | 500) if text(&error).contains("already in use") => {
                    EngineError::NameTaken { name: spec.name.clone() }
                }
                Some(404) if text(&error).to_lowercase().contains("no such image") => {
                    EngineError::NoSuchImage { name: spec.image.to_string(), message: text(&error) }
                }
                _ => self.failure(Operation::Create, &spec.name, error),
            }),
        }
    }

    /// Says everything of `spec` in the API's words.
    async fn body(&self, spec: &ContainerSpec) -> Result<ContainerCreateBody, EngineError> {
        let unsupported = |reason: String| EngineError::Unsupported { name: spec.name.clone(), reason };
        let mut host = HostConfig {
            network_mode: match &spec.network {
                Network::Default => None,
                Network::Host => Some("host".to_owned()),
                Network::None => Some("none".to_owned()),
                Network::Private(name) | Network::Named(name) => Some(name.clone()),
            },
            privileged: Some(spec.privileged),
            memory: spec.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            shm_size: spec.shm_size.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            pids_limit: spec.processes.map(i64::from),
            ulimits: Some(spec.ulimits.iter().map(ulimit).collect()),
            extra_hosts: Some(spec.hosts.clone()),
            security_opt: Some(security(&spec.security).await.map_err(unsupported)?),
            sysctls: Some(spec.sysctls.clone().into_iter().collect()),
            devices: Some(spec.devices.iter().map(|device| self::device(device)).collect()),
            tmpfs: Some(spec.tmpfs.clone().into_iter().collect()),
            mounts: Some(spec.volumes.iter().map(mount).collect()),
            ..HostConfig::default()
        };
        let (dropped, added): (Vec<_>, Vec<_>) =
            spec.capabilities.iter().partition(|name| name.starts_with('-'));
        host.cap_add = Some(added.into_iter().cloned().collect());
        host.cap_drop = Some(dropped.into_iter().map(|name| name[1..].to_owned()).collect());
        let (exposed, bound) = ports(&spec.ports).map_err(unsupported)?;
        host.port_bindings = Some(bound);
        let env = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut body = ContainerCreateBody {
            image: Some(spec.image.to_string()),
            hostname: spec.hostname.clone(),
            user: spec.user.clone(),
            env: Some(env),
            labels: Some(spec.labels.clone().into_iter().collect()),
            exposed_ports: Some(exposed),
            ..ContainerCreateBody::default()
        };
        match &spec.startup {
            Startup::Wait => {
                replace(&mut body, ["/bin/sh", "-c", WAIT].map(str::to_owned).to_vec());
                // The image's own are about its own command. A shell that was just started has not set its trap yet
                // and would sit out the grace; there is nothing that it could lose.
                body.stop_signal = Some("SIGKILL".to_owned());
                body.healthcheck =
                    Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() });
            }
            Startup::Own => body.open_stdin = Some(true),
            Startup::Command(command) | Startup::Systemd(command) if command.is_empty() => {
                return Err(unsupported("the command is empty".to_owned()));
            }
            Startup::Command(command) => replace(&mut body, command.clone()),
            Startup::Systemd(command) => {
                replace(&mut body, command.clone());
                systemd::prepare(&mut body, &mut host, self.host().await?);
            }
        }
        body.host_config = Some(host);
        Ok(body)
    }
}

impl DockerContainer {
    /// Starts the container and waits until it is up.
    async fn bring_up(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.daemon
            .api
            .start_container(&self.id.0, None)
            .await
            .map_err(|error| self.daemon.failure(Operation::Start, &self.name, error))?;
        let looks = match &spec.startup {
            Startup::Systemd(_) => return self.wait_for_systemd().await,
            Startup::Wait => &LOOKS[..1],
            Startup::Own | Startup::Command(_) => &LOOKS[..],
        };
        let start = tokio::time::Instant::now();
        for look in looks {
            tokio::time::sleep_until(start + *look).await;
            match self.state().await? {
                Some(ContainerState::Running) => {}
                Some(ContainerState::Exited { status }) => {
                    let log = self.logs(LOG_LINES).await?;
                    return Err(EngineError::Ended { name: self.name.clone(), status, log });
                }
                None => return Err(EngineError::NoSuchContainer { name: self.name.clone() }),
            }
        }
        Ok(())
    }
}

/// Lets `command` run instead of both the image's entrypoint and command. An entrypoint that is given makes the
/// daemon pass over the image's command.
fn replace(body: &mut ContainerCreateBody, command: Vec<String>) {
    body.entrypoint = Some(command);
    body.cmd = None;
}

fn mount(volume: &crate::Volume) -> Mount {
    // An absolute path is the host's, anything else a volume's name. Unlike `docker run --volume`, this refuses a path
    // that does not exist instead of making a directory.
    let typ = if volume.source.starts_with('/') { MountType::BIND } else { MountType::VOLUME };
    Mount {
        typ: Some(typ),
        source: Some(volume.source.clone()),
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
        ..Mount::default()
    }
}

/// In the API, no limit is -1.
fn ulimit(limit: &crate::Ulimit) -> ResourcesUlimits {
    let value = |value: Option<u64>| Some(value.map_or(-1, |value| i64::try_from(value).unwrap_or(-1)));
    ResourcesUlimits { name: Some(limit.name.clone()), soft: value(limit.soft), hard: value(limit.hard) }
}

fn device(device: &str) -> DeviceMapping {
    let mut parts = device.splitn(3, ':');
    let host = parts.next().unwrap_or_default().to_owned();
    // `HOST:rwm` is allowed as well.
    let (mut inside, mut rights) = (host.clone(), "rwm".to_owned());
    for part in parts {
        let place = if part.starts_with('/') { &mut inside } else { &mut rights };
        part.clone_into(place);
    }
    DeviceMapping {
        path_on_host: Some(host),
        path_in_container: Some(inside),
        cgroup_permissions: Some(rights),
    }
}

/// The client's part in security options: the API wants a seccomp profile's text, not its path.
async fn security(options: &[String]) -> Result<Vec<String>, String> {
    let mut said = Vec::new();
    for option in options {
        match option.split_once('=') {
            Some(("seccomp", path))
                if !matches!(path, "unconfined" | "builtin") && !path.starts_with('{') =>
            {
                let profile = fs_err::tokio::read_to_string(path).await.map_err(|error| error.to_string())?;
                said.push(format!("seccomp={profile}"));
            }
            _ => said.push(option.clone()),
        }
    }
    Ok(said)
}

/// Says in the API's words which ports are exposed, and where they are published.
fn ports(ports: &[String]) -> Result<(Vec<String>, PortMap), String> {
    let mut bound: PortMap = HashMap::new();
    let mut exposed = Vec::new();
    for port in crate::ports::read(ports)? {
        let key = format!("{}/{}", port.container, port.protocol.name());
        exposed.push(key.clone());
        bound
            .entry(key)
            .or_default()
            .get_or_insert_default()
            .push(PortBinding { host_ip: port.address, host_port: port.host.map(|port| port.to_string()) });
    }
    Ok((exposed, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_said_in_the_words_of_the_api() {
        let (exposed, bound) = ports(&["127.0.0.1:8080:80".to_owned(), "81/udp".to_owned()]).unwrap();
        assert_eq!(exposed, ["80/tcp", "81/udp"]);
        let one = |key: &str| bound[key].as_ref().unwrap()[0].clone();
        assert_eq!(
            one("80/tcp"),
            PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some("8080".to_owned()) }
        );
        assert_eq!(one("81/udp"), PortBinding { host_ip: None, host_port: None });
    }

    #[test]
    fn devices_are_read_as_docker_run_reads_them() {
        let parts = |text| {
            let it = device(text);
            [it.path_on_host, it.path_in_container, it.cgroup_permissions].map(Option::unwrap).join(" ")
        };
        assert_eq!(parts("/dev/fuse"), "/dev/fuse /dev/fuse rwm");
        assert_eq!(parts("/dev/a:/dev/b:r"), "/dev/a /dev/b r");
        assert_eq!(parts("/dev/a:rw"), "/dev/a /dev/a rw");
    }
}
