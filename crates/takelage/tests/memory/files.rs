//! The files of an image, as its users find them.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
    path::Path,
};

/// What is at a path. Times are left out: they are those of the run.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum File {
    /// Whatever the first layer has there: that of the base image, which nobody changes.
    Base,
    /// A regular file.
    Regular { mode: u32, owner: (u64, u64), content: Vec<u8> },
    /// Anything else: its kind, and where it leads if it is a link.
    Other { kind: u8, mode: u32, owner: (u64, u64), target: String },
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Base => f.write_str("as in the base image"),
            Self::Regular { mode, owner, content } => {
                let text = String::from_utf8_lossy(&content[..content.len().min(300)]);
                write!(f, "file {mode:o} {owner:?} {} bytes {text:?}", content.len())
            }
            Self::Other { kind, mode, owner, target } => {
                write!(f, "kind {kind} {mode:o} {owner:?} {target:?}")
            }
        }
    }
}

/// Returns the files of the one image in an archive as `docker save` writes it, all layers on top of each other.
pub(crate) fn of_archive(path: &Path) -> BTreeMap<String, File> {
    let mut blobs = BTreeMap::new();
    let mut archive = tar::Archive::new(fs_err::File::open(path).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        blobs.insert(name, content);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&blobs["manifest.json"]).unwrap();
    let mut files = BTreeMap::new();
    for (index, layer) in manifest[0]["Layers"].as_array().unwrap().iter().enumerate() {
        add_layer(&mut files, &blobs[layer.as_str().unwrap()], index == 0);
    }
    files
}

fn add_layer(files: &mut BTreeMap<String, File>, layer: &[u8], is_base: bool) {
    let mut archive = tar::Archive::new(Cursor::new(layer));
    let mut added = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().trim_start_matches("./").to_owned();
        let path = format!("/{}", path.trim_matches('/'));
        if is_base {
            files.insert(path, File::Base);
            continue;
        }
        let (directory, name) = path.rsplit_once('/').unwrap();
        if let Some(hidden) = name.strip_prefix(".wh.") {
            let below =
                if hidden == ".wh..opq" { format!("{directory}/") } else { format!("{directory}/{hidden}/") };
            files.remove(&format!("{directory}/{hidden}"));
            files.retain(|path, _| !path.starts_with(&below));
            continue;
        }
        let header = entry.header().clone();
        let (mode, owner) = (header.mode().unwrap(), (header.uid().unwrap(), header.gid().unwrap()));
        let kind = header.entry_type();
        let file = if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            File::Regular { mode, owner, content }
        } else if kind.is_hard_link() {
            let target = format!(
                "/{}",
                entry.link_name().unwrap().unwrap().to_string_lossy().trim_start_matches("./")
            );
            match added.get(&target).or_else(|| files.get(&target)) {
                Some(file) => File::clone(file),
                None => panic!("{path} is a link to {target}, which is not there"),
            }
        } else {
            let target = entry.link_name().unwrap().map(|target| target.to_string_lossy().into_owned());
            File::Other { kind: kind.as_byte(), mode, owner, target: target.unwrap_or_default() }
        };
        added.insert(path, file);
    }
    for (path, file) in added {
        // What was a directory and is none any more takes along what was in it.
        if !matches!(file, File::Other { kind: b'5', .. }) {
            let below = format!("{path}/");
            files.retain(|path, _| !path.starts_with(&below));
        }
        files.insert(path, file);
    }
}
