//! An archive written again without some of its files: copies of the other entries, byte for byte.

use std::{
    collections::BTreeSet,
    io::{BufWriter, Write},
    path::PathBuf,
};

use tar::EntryType;

use super::{
    Archive, LayerError, Limits,
    content::{copy_part, zeros},
    digesting::Digesting,
    entry::Entry,
    member::Kind,
    members::Members,
    stream::BLOCK,
};

/// Files that an archive is to lose. Their paths are below the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Omitted {
    /// What is not there any more. Of a directory that goes, all that it holds must go as well.
    pub gone: BTreeSet<PathBuf>,
    /// Regular files that are there, and have nothing in them.
    pub emptied: BTreeSet<PathBuf>,
}

/// Writes `archive` again without what is omitted. A file that goes by several names loses one of them only with all of
/// them, and with it its content.
pub(crate) fn omit(archive: &impl Archive, omitted: &Omitted, to: impl Write) -> Result<(), LayerError> {
    let whole = || archive.part(0..archive.length()).map_err(LayerError::Read);
    // A name that goes may be the one with the content, to which others that stay are linked.
    let mut links = Vec::new();
    let mut members = Members::new(whole()?, Limits::default(), Digesting::No)?;
    while let Some(member) = members.next()? {
        if let Kind::HardLink(target) = &member.kind {
            links.push((member.name.to_path(), target.to_path()));
        }
    }
    let mut needed = BTreeSet::new();
    // A link leads to what comes before it, and that may be a link itself.
    for (name, target) in links.into_iter().rev() {
        if !omitted.gone.contains(&name) || needed.contains(&name) {
            needed.insert(target);
        }
    }
    let mut to = BufWriter::new(to);
    let mut members = Members::new(whole()?, Limits::default(), Digesting::No)?;
    while let Some(member) = members.next()? {
        let path = member.name.to_path();
        let is_needed = needed.contains(&path);
        if omitted.gone.contains(&path) && !is_needed {
            continue;
        }
        if omitted.emptied.contains(&path) && !is_needed && matches!(member.kind, Kind::File(_)) {
            let empty = Entry::about(&member.name, EntryType::Regular, &member.metadata);
            to.write_all(&empty.to_blocks()).map_err(LayerError::Write)?;
            continue;
        }
        copy_part(archive, members.place(), &mut to)?;
    }
    zeros(2 * BLOCK as u64, &mut to)?;
    to.flush().map_err(LayerError::Write)
}
