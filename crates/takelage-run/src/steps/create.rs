//! Creates a container of an image, as the project file describes it.

use std::collections::BTreeMap;

use takelage_config::Image;
use takelage_engine::{
    Container, ContainerRecord, ContainerSpec, Engine, EngineError, ImageRecord, Network, Startup, Ulimit,
    Volume,
};
use takelage_model::{
    Digest, ImageName,
    event::{Level, Op, Outcome},
    label,
};

use crate::{Session, StepError};

/// What a container is created for; it decides its name, its labels and what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `develop` keeps it; there is one per image.
    Develop,
    /// It is provisioned, committed and removed.
    Produce,
    /// It runs a produced image, is checked and removed.
    Test,
    /// A bootstrapped image configures its packages in it.
    Bootstrap,
}

impl Purpose {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Develop => label::purpose::DEVELOP,
            Self::Produce => label::purpose::PRODUCE,
            Self::Test => label::purpose::TEST,
            Self::Bootstrap => label::purpose::BOOTSTRAP,
        }
    }
}

/// The name that an image has at the engine, whatever other names the project gives it.
pub(crate) fn own_name(project: &str, image: &ImageName) -> String {
    format!("takelage.local/{project}/{image}:latest")
}

/// The name that what a layer made has at the engine, for as long as it is remembered.
pub(crate) fn layer_name(project: &str, image: &ImageName, layer: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    format!("takelage.local/{project}/{image}:layer-{}", layer.chars().map(fit).take(100).collect::<String>())
}

/// Returns a container's name: unique per checkout, and per run for those that are not kept.
pub(crate) fn container_name<E: Engine>(session: &Session<E>, image: &ImageName, purpose: Purpose) -> String {
    match purpose {
        Purpose::Develop => format!("takelage-{}-{image}", session.id),
        _ => format!("takelage-{}-{image}-{}-{}", session.id, purpose.label(), session.run),
    }
}

/// Returns the name of the private network of containers: that of the checkout for those that are kept, else the run's.
fn network_name<E: Engine>(session: &Session<E>, purpose: Purpose) -> String {
    match purpose {
        Purpose::Develop => format!("takelage-{}", session.id),
        _ => format!("takelage-{}-{}", session.id, session.run),
    }
}

impl<E: Engine> Session<E> {
    /// Creates a container from `from`, by the rules of `image`.
    pub(crate) async fn create(
        &self,
        image: &Image,
        layer: Option<&str>,
        from: &ImageRecord,
        purpose: Purpose,
    ) -> Result<E::Container, StepError> {
        self.step(&image.name, Op::Create, layer, async |_| {
            let spec = self.specify(image, from, purpose);
            let container = self.interruptible(self.engine.create(&spec)).await;
            if matches!(container, Err(StepError::Interrupted)) {
                self.remove_half_created(&spec).await?;
            }
            let container = container.map_err(|error| own_command_ended(error, image, purpose))?;
            Ok((Outcome::Done { summary: spec.name }, container))
        })
        .await
    }

    /// Returns the specification of a container of `from`, by the rules of `image`.
    pub(super) fn specify(&self, image: &Image, from: &ImageRecord, purpose: Purpose) -> ContainerSpec {
        let startup = startup(image, from, purpose);
        if image.container.systemd && !matches!(startup, Startup::Systemd(_)) && purpose != Purpose::Bootstrap
        {
            let message =
                format!("`{}` starts without systemd, because its base does not run systemd yet", image.name);
            self.events.note(Level::Info, message, None);
        }
        let mut spec = spec(image, container_name(self, &image.name, purpose), from, startup);
        let settings = settings(&spec);
        // The kept one may be used after the machine has stopped.
        spec.ephemeral = purpose != Purpose::Develop;
        spec.labels = image.container.labels.clone().into_iter().collect();
        spec.labels.extend(self.labels(&image.name, purpose, from));
        spec.labels.insert(label::SETTINGS.to_owned(), settings);
        if let Network::Private(name) = &mut spec.network {
            *name = network_name(self, purpose);
        }
        spec
    }

    /// Removes what the engine made of `spec` although nobody waited for it any more.
    async fn remove_half_created(&self, spec: &ContainerSpec) -> Result<(), StepError> {
        let found = self.engine.containers(&spec.labels).await?;
        for record in found.iter().filter(|record| record.name == spec.name) {
            self.engine.container(record).remove().await?;
        }
        Ok(())
    }

    /// Returns the labels of a container.
    pub(crate) fn labels(
        &self,
        image: &ImageName,
        purpose: Purpose,
        from: &ImageRecord,
    ) -> BTreeMap<String, String> {
        let mut labels = self.run_labels(image, purpose);
        labels.insert(label::BASE.to_owned(), from.id.to_string());
        labels
    }

    /// Returns the labels of whatever this run creates.
    pub(crate) fn run_labels(&self, image: &ImageName, purpose: Purpose) -> BTreeMap<String, String> {
        BTreeMap::from(
            [
                (label::PROJECT, self.id.as_str()),
                (label::IMAGE, image.as_str()),
                (label::RUN, self.run.as_str()),
                (label::PURPOSE, purpose.label()),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        )
    }
}

/// Whether a kept container is what [`create`](Session::create) would make of `from` today. If not, says why.
pub(crate) fn fits(image: &Image, from: &ImageRecord, record: &ContainerRecord) -> Result<(), &'static str> {
    let startup = startup(image, from, Purpose::Develop);
    let settings = settings(&spec(image, record.name.clone(), from, startup));
    let has = |key: &str, value: &str| record.labels.get(key).is_some_and(|found| found == value);
    if !has(label::BASE, &from.id.to_string()) {
        return Err("was made of another base image");
    }
    if !has(label::SETTINGS, &settings) {
        return Err("was made with other settings below `container:`");
    }
    Ok(())
}

/// Returns a digest of a specification without labels. It is only ever compared with one of the same build, or a
/// container is made again that need not be, so a debug format will do.
pub(super) fn settings(spec: &ContainerSpec) -> String {
    Digest::of(format!("{spec:?}")).to_string()
}

/// What the container runs. A produced image runs its own command; others run what lets them be provisioned.
fn startup(image: &Image, from: &ImageRecord, purpose: Purpose) -> Startup {
    let own = [from.config.entrypoint.clone(), from.config.cmd.clone()].into_iter().flatten().flatten();
    let own: Vec<String> = own.collect();
    let leaves = image.container.command.as_ref().is_some_and(Vec::is_empty);
    let runs_own = (purpose == Purpose::Test || leaves) && !own.is_empty();
    let wanted = match purpose {
        Purpose::Bootstrap => return Startup::Wait,
        _ if runs_own => own.clone(),
        Purpose::Test | Purpose::Develop | Purpose::Produce => {
            image.container.command.clone().unwrap_or_default()
        }
    };
    let systemd = image.container.systemd;
    match (systemd, wanted) {
        (true, command) if is_systemd(&command) => Startup::Systemd(command),
        (true, command) if command.is_empty() && is_systemd(&own) => Startup::Systemd(own),
        (_, command) if command.is_empty() => Startup::Wait,
        (_, _) if runs_own => Startup::Own,
        (_, command) if image.container.keep_entrypoint => {
            let entrypoint = from.config.entrypoint.clone().unwrap_or_default();
            Startup::Command(entrypoint.into_iter().chain(command).collect())
        }
        (_, command) => Startup::Command(command),
    }
}

/// Whether a command starts systemd: by its own name, or as `init`, which it is wherever it is installed.
fn is_systemd(command: &[String]) -> bool {
    let program = command.first().map(|program| program.rsplit('/').next().unwrap_or_default());
    matches!(program, Some("systemd" | "init"))
}

/// A produced image whose command ends is the user's problem, not the engine's.
fn own_command_ended(error: StepError, image: &Image, purpose: Purpose) -> StepError {
    match error {
        StepError::Engine(EngineError::Ended { status, log, .. }) if purpose == Purpose::Test => {
            StepError::CommandEnded { image: image.name.clone(), status, log }
        }
        other => other,
    }
}

/// Translates `container:` into the engine's words.
fn spec(image: &Image, name: String, from: &ImageRecord, startup: Startup) -> ContainerSpec {
    let container = image.container.clone();
    let volume = |volume: takelage_config::Volume| Volume {
        source: volume.source,
        target: volume.target,
        read_only: volume.read_only,
    };
    ContainerSpec {
        hostname: container.hostname.or_else(|| Some(image.name.to_string())),
        env: container.env,
        capabilities: container.capabilities,
        tmpfs: container.tmpfs,
        volumes: container.volumes.into_iter().map(volume).collect(),
        network: match container.network.as_deref() {
            None => Network::Default,
            Some("host") => Network::Host,
            Some("none") => Network::None,
            // Its name depends on what the container is for, which is no setting.
            Some("private") => Network::Private(String::new()),
            Some(name) => Network::Named(name.to_owned()),
        },
        privileged: container.privileged,
        user: container.user,
        memory: container.memory,
        ports: container.ports,
        hosts: container.hosts,
        security: container.security,
        sysctls: container.sysctls,
        devices: container.devices,
        shm_size: container.shm_size,
        processes: container.processes,
        ulimits: container
            .ulimits
            .into_iter()
            .map(|limit| Ulimit { name: limit.name, soft: limit.soft, hard: limit.hard })
            .collect(),
        startup,
        ..ContainerSpec::new(name, from.id)
    }
}
