//! Manifests and indexes: what registries, layouts and archives say an image is made of.
//!
//! All of it comes from outside. Sizes are bounded before anything is read, digests are checked by whoever fetches,
//! and a document that could be read in two ways is refused.

mod platform;

use serde::{Deserialize, Serialize};
use takelage_model::Digest;
use thiserror::Error;

pub(crate) use platform::{architecture, choose};

/// A manifest or index longer than this is refused; registries have the same limit.
pub(crate) const MANIFEST_LIMIT: u64 = 4 << 20;
/// A configuration longer than this is refused.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;
/// Indexes that point to indexes; real ones have two.
pub(crate) const DEPTH_LIMIT: usize = 4;

/// Media types of documents.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media types of configurations.
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Media types of layers that takelage writes.
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Media types of layers that it reads. How they are compressed is seen from their first bytes, as Docker does it.
const LAYERS: [&str; 6] = [
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
];

/// A manifest or an index is not what it should be.
#[derive(Debug, Error)]
pub(crate) enum ManifestError {
    /// It is no JSON, or has other members.
    #[error("it is no manifest")]
    Json(#[from] serde_json::Error),
    /// It is longer than any manifest.
    #[error("it is longer than {MANIFEST_LIMIT} bytes")]
    TooLong,
    /// It is of a format that was given up.
    #[error("it has schema version {0}, which registries gave up; push it again with a current tool")]
    Schema(u64),
    /// It is something else.
    #[error("it is neither an index nor an image manifest")]
    Neither,
    /// It could be read as both, so that two readers would see two images.
    #[error("it is an index and an image manifest at once")]
    Both,
    /// It was announced as one thing and says to be another.
    #[error("it came as `{announced}` but says it is `{said}`")]
    MediaType {
        /// What it was announced as.
        announced: String,
        /// What it says it is.
        said: String,
    },
    /// Its indexes are nested too deeply.
    #[error("its indexes are nested too deeply")]
    Depth,
    /// It is not for this kind of machine.
    #[error("it has no image for `linux/{wanted}`, only {available}")]
    Platform {
        /// This machine's processor.
        wanted: &'static str,
        /// What there is.
        available: String,
    },
    /// A part has no size.
    #[error("`{0}` has no size")]
    NoSize(Digest),
    /// It describes something that is no image, such as a chart.
    #[error("it is no container image: its configuration is `{0}`")]
    NotAnImage(String),
    /// A layer may not be distributed and is to be fetched from somewhere else.
    #[error(
        "a layer is foreign (`{0}`): its maker does not let registries hand it out, so it cannot be fetched"
    )]
    Foreign(String),
    /// A layer is of an unknown kind.
    #[error("a layer is of the unknown kind `{0}`")]
    Layer(String),
    /// Manifest and configuration do not belong together.
    #[error("it has {manifest} layers, and its configuration {config}")]
    Layers {
        /// Layers of the manifest.
        manifest: usize,
        /// Layers of the configuration.
        config: usize,
    },
}

/// A pointer to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
}

/// The kind of machine that an image is for, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

/// The parts of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    /// Lowest first.
    pub(crate) layers: Vec<Descriptor>,
}

/// An index or a manifest: both are told apart by what they have, since media types may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Image(Manifest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

impl Document {
    /// Reads a document. `announced` is what it was said to be, if anything: it must not say otherwise itself.
    pub(crate) fn parse(bytes: &[u8], announced: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(ManifestError::TooLong);
        }
        let members: Members = serde_json::from_slice(bytes)?;
        if let Some(version) = members.schema_version.filter(|version| *version != 2) {
            return Err(ManifestError::Schema(version));
        }
        let known = [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST];
        if let (Some(announced), Some(said)) = (announced, members.media_type.filter(|said| !said.is_empty()))
            && known.contains(&announced)
            && announced != said
        {
            return Err(ManifestError::MediaType { announced: announced.to_owned(), said });
        }
        match (members.manifests, members.config, members.layers) {
            (Some(manifests), None, None) => Ok(Self::Index(manifests)),
            (None, Some(config), Some(layers)) => Ok(Self::Image(Manifest { config, layers })),
            (Some(_), _, _) => Err(ManifestError::Both),
            _ => Err(ManifestError::Neither),
        }
    }
}

/// Returns what a document says it is, if it does.
pub(crate) fn media_type(bytes: &[u8]) -> Option<String> {
    let members: Members = serde_json::from_slice(bytes).ok()?;
    members.media_type.filter(|said| !said.is_empty())
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size: Some(size), platform: None }
    }

    /// Returns the size, which a descriptor of a registry must have.
    pub(crate) fn size(&self) -> Result<u64, ManifestError> {
        self.size.ok_or(ManifestError::NoSize(self.digest))
    }
}

impl Manifest {
    /// Checks that it is a container image whose parts takelage can fetch and unpack.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        let kind = &self.config.media_type;
        if kind != OCI_CONFIG && kind != DOCKER_CONFIG {
            return Err(ManifestError::NotAnImage(kind.clone()));
        }
        if self.config.size()? > CONFIG_LIMIT {
            return Err(ManifestError::TooLong);
        }
        for layer in &self.layers {
            layer.size()?;
            let kind = &layer.media_type;
            if kind.contains(".foreign.") || kind.contains(".nondistributable.") {
                return Err(ManifestError::Foreign(kind.clone()));
            }
            if !LAYERS.contains(&kind.as_str()) {
                return Err(ManifestError::Layer(kind.clone()));
            }
        }
        Ok(())
    }

    /// Checks that a configuration with so many layers belongs to it.
    pub(crate) fn check_layers(&self, config: usize) -> Result<(), ManifestError> {
        let manifest = self.layers.len();
        if manifest == config { Ok(()) } else { Err(ManifestError::Layers { manifest, config }) }
    }

    /// Writes it as an OCI image manifest.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.config,
            "layers": self.layers,
        });
        serde_json::to_vec(&document).expect("strings, numbers and string keys are always JSON")
    }
}

/// Reads a document as a fuzzer gives it; nothing but an error may come of it.
#[cfg(feature = "fuzzing")]
pub fn fuzz(bytes: &[u8]) {
    match Document::parse(bytes, Some(OCI_MANIFEST)).or_else(|_| Document::parse(bytes, None)) {
        Ok(Document::Index(manifests)) => drop(choose(&manifests)),
        Ok(Document::Image(manifest)) => {
            drop(manifest.check());
            let again = Document::parse(&manifest.to_json(), Some(OCI_MANIFEST));
            assert_eq!(again.ok(), Some(Document::Image(manifest)), "what is written is read as the same");
        }
        Err(_) => drop(crate::ImageConfig::from_json(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(document: &serde_json::Value) -> Result<Document, ManifestError> {
        Document::parse(&serde_json::to_vec(document).unwrap(), Some(OCI_MANIFEST))
    }

    fn descriptor(media_type: &str) -> Descriptor {
        Descriptor::new(media_type, Digest::of(media_type), 7)
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let part = descriptor(OCI_CONFIG);
        let both = json!({"schemaVersion": 2, "manifests": [], "config": part, "layers": []});
        assert!(matches!(parse(&both), Err(ManifestError::Both)));
        let other = json!({"mediaType": OCI_INDEX, "config": part, "layers": []});
        assert!(matches!(parse(&other), Err(ManifestError::MediaType { .. })));
        assert!(matches!(parse(&json!({"schemaVersion": 2})), Err(ManifestError::Neither)));
        let old = json!({"schemaVersion": 1, "fsLayers": []});
        assert!(matches!(parse(&old), Err(ManifestError::Schema(1))));
        let long = vec![b' '; usize::try_from(MANIFEST_LIMIT).unwrap() + 1];
        assert!(matches!(Document::parse(&long, None), Err(ManifestError::TooLong)));
    }

    #[test]
    fn only_images_of_known_layers_pass() {
        let image = |config: &str, layer: &str| {
            Manifest { config: descriptor(config), layers: vec![descriptor(layer)] }.check()
        };
        for layer in LAYERS {
            image(OCI_CONFIG, layer).unwrap();
            image(DOCKER_CONFIG, layer).unwrap();
        }
        for foreign in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ] {
            assert!(matches!(image(OCI_CONFIG, foreign), Err(ManifestError::Foreign(_))));
        }
        assert!(matches!(image(OCI_CONFIG, "application/x-sound"), Err(ManifestError::Layer(_))));
        let chart = "application/vnd.cncf.helm.config.v1+json";
        assert!(matches!(image(chart, OCI_LAYER_GZIP), Err(ManifestError::NotAnImage(_))));
        let mut huge = Manifest { config: descriptor(OCI_CONFIG), layers: Vec::new() };
        huge.config.size = Some(CONFIG_LIMIT + 1);
        assert!(huge.check().is_err());
        huge.config.size = None;
        assert!(matches!(huge.check(), Err(ManifestError::NoSize(_))));
        assert!(huge.check_layers(1).is_err() && huge.check_layers(0).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = Document::parse(&bytes, None);
        }

        #[test]
        fn what_is_written_is_read_as_the_same(names in proptest::collection::vec("[a-z./+]{0,20}", 1..6), size: u64) {
            let mut parts: Vec<_> = names.iter().map(|name| descriptor(name)).collect();
            parts[0].size = Some(size);
            let manifest = Manifest { config: parts.remove(0), layers: parts };
            let again = Document::parse(&manifest.to_json(), Some(OCI_MANIFEST)).unwrap();
            prop_assert_eq!(again, Document::Image(manifest));
        }
    }
}
