//! What layers show, file by file, read from their archives alone.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    Archive, LayerError, Limits,
    content::copy_content,
    digesting::Digesting,
    member::{Kind, Member},
    members::Members,
    stack::show,
};

/// A file of layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// What it is.
    pub kind: FileKind,
    /// The lower twelve bits of its mode.
    pub mode: u32,
    /// Whose it is.
    pub uid: u32,
    /// Which group's it is.
    pub gid: u32,
    /// Its length in bytes, with its holes.
    pub size: u64,
    /// Which layer shows it, from 0.
    pub layer: usize,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link to this.
    Symlink(String),
    /// A device.
    Device,
    /// A named pipe.
    Fifo,
}

/// Files by their paths below the root, and where their content lies.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The files.
    pub(crate) files: BTreeMap<PathBuf, TreeFile>,
    places: BTreeMap<PathBuf, Range<u64>>,
}

impl Listing {
    /// Lists what `layers` show, lowest first.
    pub(crate) fn of<A: Archive>(layers: &[A]) -> Result<Self, LayerError> {
        let (mut files, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (key, entry) in show(layers)? {
            let path = key.name().to_path();
            places.insert(path.clone(), entry.file.clone().unwrap_or_else(|| entry.place.clone()));
            files.insert(path, TreeFile { layer: entry.layer, ..entry.listed });
        }
        Ok(Self { files, places })
    }

    /// Returns the content of a file. `None`: there is no such file, or it has more than `most` bytes, be they holes.
    pub(crate) fn content<A: Archive>(
        &self,
        layers: &[A],
        path: &Path,
        most: u64,
    ) -> Result<Option<Vec<u8>>, LayerError> {
        let (Some(file), Some(place)) = (self.files.get(path), self.places.get(path)) else {
            return Ok(None);
        };
        let source = layers[file.layer].part(place.clone()).map_err(LayerError::Read)?;
        let mut members = Members::new(source, Limits::default(), Digesting::No)?;
        let Some(Member { kind: Kind::File(map), .. }) = members.next()? else { return Ok(None) };
        if map.size > most {
            return Ok(None);
        }
        let mut content = Vec::new();
        copy_content(&mut members, &map, &mut content)?;
        Ok(Some(content))
    }
}

/// Says of a member what a list says of a file. Of one more name of a file, `of` is what was said of the first.
pub(super) fn listed(member: &Member, of: Option<&TreeFile>) -> TreeFile {
    let kind = match &member.kind {
        Kind::File(_) => FileKind::File,
        Kind::Directory => FileKind::Directory,
        Kind::Symlink(target) => FileKind::Symlink(String::from_utf8_lossy(target).into_owned()),
        Kind::HardLink(_) => of.map_or(FileKind::File, |of| of.kind.clone()),
        Kind::CharacterDevice(_) | Kind::BlockDevice(_) => FileKind::Device,
        Kind::Fifo => FileKind::Fifo,
    };
    let size = match &member.kind {
        Kind::File(map) => map.size,
        _ => of.map_or(0, |of| of.size),
    };
    let metadata = &member.metadata;
    TreeFile { kind, mode: metadata.mode, uid: metadata.uid, gid: metadata.gid, size, layer: 0 }
}
