//! Writing a docker-archive.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
};

use serde_json::json;

use super::{compression, image::Parts};
use crate::{ImageId, Reference};

/// Writes a docker-archive with one image. Layers that are given without their files must be in the engine's store
/// already; the manifest names them all the same.
///
/// ```text
/// CONFIG-DIGEST.json    the configuration, byte for byte
/// LAYER-DIGEST.tar      one for each layer with a file, unpacked
/// manifest.json         [{"Config": …, "RepoTags": null or [NAME], "Layers": […]}]
/// ```
pub(super) fn docker_archive(
    id: ImageId,
    parts: &Parts,
    name: Option<&Reference>,
    to: impl Write,
) -> io::Result<()> {
    let mut builder = tar::Builder::new(to);
    let config = format!("{}.json", id.0.hex());
    append(&mut builder, &config, parts.json.len() as u64, parts.json.as_slice())?;
    let mut written = HashSet::new();
    for layer in &parts.layers {
        if !written.insert(layer.digest) {
            continue;
        }
        let file = fs_err::File::open(&layer.place.file)?.into_parts().0;
        let content = compression::span(file, layer.place.offset, layer.place.length)?;
        append(&mut builder, &format!("{}.tar", layer.digest.hex()), layer.place.length, content)?;
    }
    let layers: Vec<_> = parts.config.layers.iter().map(|digest| format!("{}.tar", digest.hex())).collect();
    let names = name.map(|name| [format!("{}:{}", name.name(), name.tag())]);
    let manifest = serde_json::to_vec(&json!([{"Config": config, "RepoTags": names, "Layers": layers}]))?;
    append(&mut builder, "manifest.json", manifest.len() as u64, manifest.as_slice())?;
    builder.into_inner()?.flush()
}

/// Appends a file that is the same whoever writes it.
pub(super) fn append<W: Write>(
    builder: &mut tar::Builder<W>,
    name: &str,
    length: u64,
    mut content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, &mut content)
}
