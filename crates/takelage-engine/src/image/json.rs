//! An image's configuration as JSON, as Docker and the OCI image specification write it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use takelage_model::Digest;
use thiserror::Error;

use crate::{Healthcheck, History, ImageConfig};

/// The bytes are not an image configuration.
#[derive(Debug, Error)]
#[error("not an image configuration")]
pub struct ConfigError(#[from] serde_json::Error);

impl ImageConfig {
    /// Reads a configuration from JSON. Members that takelage does not know are passed over.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        Ok(serde_json::from_slice::<Document>(bytes)?.into())
    }

    /// Writes the configuration as JSON: one form only, without white space, so that equal configurations
    /// have equal digests.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&Document::from(self)).expect("strings, numbers and string keys are always JSON")
    }
}

/// The file, its members in the order of their names.
#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    architecture: String,
    #[serde(default, skip_serializing_if = "is_none_or_empty")]
    author: Option<String>,
    #[serde(default)]
    config: Option<Execution>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(default)]
    history: Option<Vec<History>>,
    #[serde(default)]
    os: String,
    rootfs: RootFs,
    #[serde(default, skip_serializing_if = "is_none_or_empty")]
    variant: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

/// What a container of the image starts with. Go writes what is empty as `null`, hence the options.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Execution {
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_ports: Option<BTreeMap<String, Nothing>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_build: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_none_or_empty")]
    stop_signal: Option<String>,
    #[serde(skip_serializing_if = "is_none_or_empty")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<BTreeMap<String, Nothing>>,
    #[serde(skip_serializing_if = "is_none_or_empty")]
    working_dir: Option<String>,
}

/// What stands behind a key where Go has a set: an empty object.
type Nothing = serde_json::Map<String, serde_json::Value>;

/// A health check; durations are nanoseconds.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
}

#[expect(clippy::ref_option, reason = "serde hands the field over like this")]
fn is_none_or_empty(text: &Option<String>) -> bool {
    text.as_ref().is_none_or(String::is_empty)
}

/// Splits `NAME=value`; a name alone is an empty value.
pub(crate) fn environment(pairs: impl IntoIterator<Item = String>) -> indexmap::IndexMap<String, String> {
    let split = |pair: String| match pair.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (pair, String::new()),
    };
    pairs.into_iter().map(split).collect()
}

impl From<Document> for ImageConfig {
    fn from(document: Document) -> Self {
        let execution = document.config.unwrap_or_default();
        let names = |set: Option<BTreeMap<String, Nothing>>| set.unwrap_or_default().into_keys().collect();
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            architecture: document.architecture,
            variant: filled(document.variant),
            os: document.os,
            created: document.created,
            author: filled(document.author),
            layers: document.rootfs.diff_ids.unwrap_or_default(),
            history: document.history.unwrap_or_default(),
            entrypoint: execution.entrypoint,
            cmd: execution.cmd,
            user: execution.user.unwrap_or_default(),
            workdir: execution.working_dir.unwrap_or_default(),
            env: environment(execution.env.unwrap_or_default()),
            labels: execution.labels.unwrap_or_default(),
            expose: names(execution.exposed_ports),
            volumes: names(execution.volumes),
            stop_signal: filled(execution.stop_signal),
            healthcheck: execution.healthcheck.map(Healthcheck::from),
            shell: execution.shell,
            onbuild: execution.on_build.unwrap_or_default(),
        }
    }
}

impl From<&ImageConfig> for Document {
    fn from(config: &ImageConfig) -> Self {
        let set = |names: &BTreeSet<String>| {
            (!names.is_empty()).then(|| names.iter().map(|name| (name.clone(), Nothing::new())).collect())
        };
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let env: Vec<_> = config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            architecture: config.architecture.clone(),
            author: config.author.clone(),
            config: Some(Execution {
                cmd: config.cmd.clone(),
                entrypoint: config.entrypoint.clone(),
                env: (!env.is_empty()).then_some(env),
                exposed_ports: set(&config.expose),
                healthcheck: config.healthcheck.as_ref().map(Check::from),
                labels: (!config.labels.is_empty()).then(|| config.labels.clone()),
                on_build: (!config.onbuild.is_empty()).then(|| config.onbuild.clone()),
                shell: config.shell.clone(),
                stop_signal: config.stop_signal.clone(),
                user: text(&config.user),
                volumes: set(&config.volumes),
                working_dir: text(&config.workdir),
            }),
            created: config.created.clone(),
            history: Some(config.history.clone()),
            os: config.os.clone(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Some(config.layers.clone()) },
            variant: config.variant.clone(),
        }
    }
}

impl From<Check> for Healthcheck {
    fn from(check: Check) -> Self {
        let duration = |nanos: Option<u64>| nanos.filter(|nanos| *nanos > 0).map(Duration::from_nanos);
        Self {
            test: check.test.unwrap_or_default(),
            interval: duration(check.interval),
            timeout: duration(check.timeout),
            start_period: duration(check.start_period),
            retries: check.retries.filter(|retries| *retries > 0),
        }
    }
}

impl From<&Healthcheck> for Check {
    fn from(check: &Healthcheck) -> Self {
        let nanos =
            |duration: Option<Duration>| duration.map(|it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
        Self {
            interval: nanos(check.interval),
            retries: check.retries,
            start_period: nanos(check.start_period),
            test: (!check.test.is_empty()).then(|| check.test.clone()),
            timeout: nanos(check.timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCKERS: &str = r#"{"architecture":"arm64","variant":"v8","author":"me","config":{"Hostname":"","User":"app",
        "AttachStdin":false,"ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin","EMPTY=","B=1=2","A=x"],
        "Cmd":["-c","true"],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":3},
        "Image":"sha256:00","Volumes":{"/data":{}},"WorkingDir":"/srv","Entrypoint":["/bin/sh"],"OnBuild":null,
        "Labels":{"b":"2","a":"1"},"StopSignal":"SIGINT","Shell":["/bin/bash"]},
        "container":"0123","created":"2026-01-02T03:04:05.678901234Z","docker_version":"20.10.24",
        "history":[{"created":"2026-01-01T00:00:00Z","created_by":"import"},{"created_by":"CMD","empty_layer":true}],
        "os":"linux","rootfs":{"type":"layers","diff_ids":
        ["sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"]}}"#;

    #[test]
    fn everything_meaningful_of_a_configuration_survives() {
        let config = ImageConfig::from_json(DOCKERS.as_bytes()).unwrap();
        assert_eq!(ImageConfig::from_json(&config.to_json()).unwrap(), config);
        assert_eq!(config.env.keys().collect::<Vec<_>>(), ["PATH", "EMPTY", "B", "A"]);
        assert_eq!(config.env["B"], "1=2");
        assert_eq!(config.healthcheck.as_ref().unwrap().interval, Some(Duration::from_secs(5)));
        assert_eq!(
            (config.entrypoint.unwrap(), config.variant.unwrap()),
            (vec!["/bin/sh".into()], "v8".into())
        );
        assert_eq!((config.history.len(), config.layers.len()), (2, 1));
    }

    #[test]
    fn what_go_writes_as_null_is_nothing() {
        let text = r#"{"config":null,"history":null,"rootfs":{"type":"layers","diff_ids":null}}"#;
        assert_eq!(ImageConfig::from_json(text.as_bytes()).unwrap(), ImageConfig::default());
        let text =
            r#"{"config":{"Env":null,"Cmd":null,"Labels":null,"Volumes":null},"rootfs":{"type":"layers"}}"#;
        assert_eq!(ImageConfig::from_json(text.as_bytes()).unwrap(), ImageConfig::default());
    }

    #[test]
    fn no_entrypoint_and_an_empty_one_are_told_apart() {
        let none = ImageConfig::default();
        let empty = ImageConfig { entrypoint: Some(Vec::new()), ..ImageConfig::default() };
        assert_ne!(none.to_json(), empty.to_json());
        assert_eq!(ImageConfig::from_json(&empty.to_json()).unwrap(), empty);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = ImageConfig::from_json(&bytes);
        }
    }
}
