//! The OCI image layout: `index.json` and blobs named by their digests, as a directory or a tar file.

use serde::Deserialize;
use takelage_model::Digest;
use tempfile::TempDir;

use super::{ArchiveError, contents::Contents, image::Parts};
use crate::ImageConfig;

/// Indexes that point to indexes; real layouts have two.
const DEPTH_LIMIT: usize = 4;

/// An index or a manifest: both are told apart by what they have, since media types may be left out.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize, Clone)]
struct Descriptor {
    digest: Digest,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize, Clone)]
struct Platform {
    os: String,
    architecture: String,
}

/// Reads the one image for linux and this machine's processor.
pub(super) fn read(contents: &Contents, scratch: &TempDir) -> Result<Parts, ArchiveError> {
    let mut document: Document = contents.json("index.json")?;
    let mut place = "index.json".to_owned();
    for _ in 0..DEPTH_LIMIT {
        if let Some(manifests) = document.manifests {
            let chosen = choose(contents, &manifests)?;
            place = blob(&chosen.digest);
            let bytes = verified(contents, &chosen)?;
            document = serde_json::from_slice(&bytes)
                .map_err(|error| contents.damaged(&place, &error.to_string()))?;
            continue;
        }
        let (Some(config), Some(layers)) = (document.config, document.layers) else {
            return Err(contents.damaged(&place, "it is neither an index nor an image manifest"));
        };
        return image(contents, scratch, &config, &layers);
    }
    Err(contents.damaged(&place, "its indexes are nested too deeply"))
}

fn image(
    contents: &Contents,
    scratch: &TempDir,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<Parts, ArchiveError> {
    let json = verified(contents, config)?;
    let place = blob(&config.digest);
    let config = ImageConfig::from_json(&json)
        .map_err(|error| contents.damaged(&place, &super::image::reason(&error)))?;
    if config.layers.len() != layers.len() {
        let reason =
            format!("{} layers are configured, {} in the manifest", config.layers.len(), layers.len());
        return Err(contents.damaged(&place, &reason));
    }
    let layers = layers
        .iter()
        .zip(&config.layers)
        .map(|(layer, diff)| contents.layer(&blob(&layer.digest), scratch, Some(layer.digest), *diff))
        .collect::<Result<_, _>>()?;
    Ok(Parts { json, config, layers })
}

/// Chooses the only manifest, or the only one for linux and this machine's processor.
fn choose(contents: &Contents, manifests: &[Descriptor]) -> Result<Descriptor, ArchiveError> {
    let fits = |it: &&Descriptor| {
        it.platform.as_ref().is_none_or(|it| it.os == "linux" && it.architecture == architecture())
    };
    let mut fitting: Vec<_> = manifests.iter().filter(fits).collect();
    fitting.dedup_by_key(|descriptor| descriptor.digest);
    match fitting.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let all: Vec<_> = manifests.iter().filter_map(|it| it.platform.as_ref()).collect();
            let all: Vec<_> = all.iter().map(|it| format!("`{}/{}`", it.os, it.architecture)).collect();
            let there = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
            Err(contents.choice(format!("has no image for `linux/{}`, only {there}", architecture())))
        }
        several => Err(contents.choice(format!("holds {} images, not one", several.len()))),
    }
}

/// Reads a small blob and checks its size and digest.
fn verified(contents: &Contents, descriptor: &Descriptor) -> Result<Vec<u8>, ArchiveError> {
    let name = blob(&descriptor.digest);
    let bytes = contents.bytes(&name)?;
    let actual = Digest::of(&bytes);
    if actual != descriptor.digest {
        return Err(contents.damaged(&name, &format!("its digest is {actual}")));
    }
    match descriptor.size {
        Some(size) if size != bytes.len() as u64 => {
            Err(contents.damaged(&name, &format!("it has {} bytes instead of {size}", bytes.len())))
        }
        _ => Ok(bytes),
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Returns this machine's processor in Go's words.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}
