//! The OCI image layout: `index.json` and blobs named by their digests, as a directory or a tar file.

use takelage_model::Digest;
use tempfile::TempDir;

use super::{ArchiveError, contents::Contents, image::Parts};
use crate::{
    ImageConfig,
    manifest::{DEPTH_LIMIT, Descriptor, Document, Manifest},
};

pub(super) use crate::manifest::architecture;

/// Reads the one image for linux and this machine's processor.
pub(super) fn read(contents: &Contents, scratch: &TempDir) -> Result<Parts, ArchiveError> {
    let mut place = "index.json".to_owned();
    let mut bytes = contents.bytes(&place)?;
    for _ in 0..DEPTH_LIMIT {
        let document = Document::parse(&bytes, None).map_err(|error| damaged(contents, &place, &error))?;
        match document {
            Document::Index(manifests) => {
                let chosen = choose(contents, &manifests)?;
                place = blob(&chosen.digest);
                bytes = verified(contents, &chosen)?;
            }
            Document::Image(manifest) => return image(contents, scratch, &place, &manifest),
        }
    }
    Err(contents.damaged(&place, "its indexes are nested too deeply"))
}

fn damaged(contents: &Contents, place: &str, error: &dyn std::error::Error) -> ArchiveError {
    contents.damaged(place, &super::image::reason(error))
}

fn image(
    contents: &Contents,
    scratch: &TempDir,
    place: &str,
    manifest: &Manifest,
) -> Result<Parts, ArchiveError> {
    let json = verified(contents, &manifest.config)?;
    let config = ImageConfig::from_json(&json)
        .map_err(|error| damaged(contents, &blob(&manifest.config.digest), &error))?;
    manifest.check_layers(config.layers.len()).map_err(|error| damaged(contents, place, &error))?;
    let layers = manifest
        .layers
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
