//! The docker-archive: a tar file with `manifest.json`, configurations and layers.

use serde::Deserialize;
use tempfile::TempDir;

use super::{ArchiveError, contents::Contents, image::Parts};
use crate::ImageConfig;

/// One image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Reads the one image of a docker-archive.
pub(super) fn read(contents: &Contents, scratch: &TempDir) -> Result<Parts, ArchiveError> {
    const MANIFEST: &str = "manifest.json";
    let mut manifests: Vec<Manifest> = contents.json(MANIFEST)?;
    let names = |manifest: &Manifest| match &manifest.repo_tags {
        Some(names) if !names.is_empty() => names.join(" "),
        _ => manifest.config.clone(),
    };
    if manifests.len() > 1 {
        let all: Vec<_> = manifests.iter().map(|manifest| format!("`{}`", names(manifest))).collect();
        return Err(contents.choice(format!("holds {} images ({}), not one", all.len(), all.join(", "))));
    }
    let manifest = manifests.pop().ok_or_else(|| contents.damaged(MANIFEST, "it names no image"))?;
    let json = contents.bytes(&manifest.config)?;
    let config = ImageConfig::from_json(&json)
        .map_err(|error| contents.damaged(&manifest.config, &super::image::reason(&error)))?;
    let names = manifest.layers.unwrap_or_default();
    if names.len() != config.layers.len() {
        let reason = format!("{} layers are listed, {} configured", names.len(), config.layers.len());
        return Err(contents.damaged(MANIFEST, &reason));
    }
    let layers = names
        .iter()
        .zip(&config.layers)
        .map(|(name, digest)| contents.layer(name, scratch, None, *digest))
        .collect::<Result<_, _>>()?;
    Ok(Parts { json, config, layers })
}
