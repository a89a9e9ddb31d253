//! Images: how they are named, what their configuration says.

mod json;
mod patch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::Duration,
};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use takelage_model::Digest;
use thiserror::Error;

pub use json::ConfigError;
pub(crate) use json::environment;
pub use patch::DEFAULT_PATH;

/// The digest by which an engine knows an image: that of its configuration, or, in the image store that Docker has of
/// containerd (the default from version 29 on), that of its manifest. Equal ids are equal images on one engine; two
/// engines may know one image by different ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Digest);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An image's name: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, by the rules of the `distribution` project.
///
/// It keeps what was written; [`Reference::registry`], [`Reference::repository`] and [`Reference::tag`] give
/// the meaning, with Docker's defaults (`docker.io`, `library/`, `latest`) filled in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    written: String,
    registry: String,
    repository: String,
    tag: String,
    digest: Option<String>,
}

/// The text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no image reference: {reason}")]
pub struct ReferenceError {
    /// What was given instead.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Reference {
    /// Returns it as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Returns what was written without its tag and its digest.
    pub fn name(&self) -> &str {
        let name = self.written.split_once('@').map_or(self.as_str(), |(name, _)| name);
        match name.rsplit_once(':') {
            Some((name, tag)) if tag == self.tag => name,
            _ => name,
        }
    }

    /// Returns the registry's host, with its port if one was given; `docker.io` by default.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the path within the registry, with `library/` in front of Docker's own images.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, `latest` by default.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the digest, if one was given.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refuse = |reason| ReferenceError { text: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                digest
                    .parse::<Digest>()
                    .map_err(|_| refuse("the digest is not `sha256:` and 64 hexadecimal digits"))?;
                (rest, Some(digest.to_owned()))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (rest, "latest"),
        };
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !tag.bytes().next().is_some_and(word)
            || tag.len() > 128
            || !tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
        {
            return Err(refuse("the tag has a character that tags cannot have"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => ("docker.io", name),
        };
        if path.is_empty() {
            return Err(refuse("it names no repository"));
        }
        for component in path.split('/') {
            let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            let ends = [component.bytes().next(), component.bytes().last()];
            if !ends.iter().all(|end| end.is_some_and(alphanumeric))
                || !component.bytes().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'))
            {
                return Err(refuse(
                    "a path component must be lowercase letters and digits, separated by `.`, `_` or `-`",
                ));
            }
        }
        let repository = match (registry, path.contains('/')) {
            ("docker.io", false) => format!("library/{path}"),
            _ => path.to_owned(),
        };
        Ok(Self {
            written: text.to_owned(),
            registry: registry.to_owned(),
            repository,
            tag: tag.to_owned(),
            digest,
        })
    }
}

/// An image in the engine's store.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// Its id.
    pub id: ImageId,
    /// All its names with a tag.
    pub tags: Vec<String>,
    /// Names with a digest, by which registries know it.
    pub digests: Vec<String>,
    /// Unpacked size in bytes, layers that it shares included.
    pub size: u64,
    /// Its configuration.
    pub config: ImageConfig,
}

/// What an image says of itself, beside its files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageConfig {
    /// The processor, in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// The processor's variant, such as `v8`, where that matters.
    pub variant: Option<String>,
    /// The operating system: `linux`.
    pub os: String,
    /// When it was made, RFC 3339.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The digests of its layers, unpacked, lowest first.
    pub layers: Vec<Digest>,
    /// Where its layers came from; entries may stand for no layer.
    pub history: Vec<History>,
    /// What starts, in front of the command. None and empty differ from one another only for inspection.
    pub entrypoint: Option<Vec<String>>,
    /// What starts, or arguments of the entrypoint.
    pub cmd: Option<Vec<String>>,
    /// User name or id, with `:GROUP` if wanted; empty is root.
    pub user: String,
    /// Working directory; empty is the root directory.
    pub workdir: String,
    /// Environment, in order.
    pub env: IndexMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports, `80/tcp`.
    pub expose: BTreeSet<String>,
    /// Mount points of anonymous volumes.
    pub volumes: BTreeSet<String>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// How to see whether it is well.
    pub healthcheck: Option<Healthcheck>,
    /// The shell of shell-form instructions.
    pub shell: Option<Vec<String>>,
    /// Instructions for images built from it.
    pub onbuild: Vec<String>,
}

/// Where a layer came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// By what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it stands for metadata only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// How to see whether a container is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", "…"]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Time between checks.
    pub interval: Option<Duration>,
    /// How long a check may take.
    pub timeout: Option<Duration>,
    /// Grace after the start.
    pub start_period: Option<Duration>,
    /// Failures in a row until it counts as unwell.
    pub retries: Option<u64>,
}

/// Changes to an image's configuration; what is `None` or empty stays as it is.
///
/// Lists of words replace; `env`, `labels`, `expose` and `volumes` are added to what the base has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigPatch {
    /// Replaces the entrypoint; an empty list removes it. Like in a Dockerfile, it resets the base's command.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the command; an empty list removes it.
    pub cmd: Option<Vec<String>>,
    /// Replaces the user.
    pub user: Option<String>,
    /// Replaces the working directory.
    pub workdir: Option<String>,
    /// Added to the environment. `$NAME` and `${NAME}` stand for the base's values.
    pub env: IndexMap<String, String>,
    /// Added to the labels.
    pub labels: BTreeMap<String, String>,
    /// Added to the ports.
    pub expose: BTreeSet<String>,
    /// Added to the volumes.
    pub volumes: BTreeSet<String>,
    /// Replaces the stop signal.
    pub stop_signal: Option<String>,
    /// Replaces the health check.
    pub healthcheck: Option<Healthcheck>,
}

/// A docker-archive, OCI archive or OCI directory, or a root file system, that becomes an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// What it is.
    pub kind: crate::ArchiveKind,
    /// Where it is.
    pub path: std::path::PathBuf,
}
