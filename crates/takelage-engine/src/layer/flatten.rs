//! The archives of layers that lie on each other made one: copies of entries, byte for byte, that need no tree.

use std::{
    collections::HashMap,
    io::{BufWriter, Write},
    ops::Range,
};

use tar::EntryType;

use super::{
    Archive, LayerError, Limits,
    content::{copy_content, copy_part, zeros},
    digesting::Digesting,
    entry::Entry,
    marker,
    member::{Kind, Member},
    members::Members,
    name::Name,
    stack::{self, Mark, Piece, stack},
    stream::BLOCK,
};

/// Writes the archive of one layer that shows above `below` what `layers` show, all lowest first. Returns false if that is
/// nothing, and writes nothing then.
///
/// Entries come as directories are walked. Each is as it was in its layer. Only where the first name of a file is gone, the next one
/// gets the content. What is gone is said of what `below` has, and of nothing else.
pub(crate) fn flatten<A: Archive>(layers: &[A], below: &[A], to: impl Write) -> Result<bool, LayerError> {
    let pieces = stack(layers, below)?;
    let mut flat = Flat { layers, to: BufWriter::new(to), names: HashMap::new(), run: None };
    let any = !pieces.is_empty();
    for (key, piece) in pieces {
        flat.write(&key.name(), piece)?;
    }
    if any {
        flat.finish()?;
    }
    Ok(any)
}

/// A layer and where in its archive something lies.
type Place = (usize, Range<u64>);

/// What is written so far.
struct Flat<'a, A, W: Write> {
    layers: &'a [A],
    to: BufWriter<W>,
    /// The first names of files that have several, by layer and where the content begins.
    names: HashMap<(usize, u64), Name>,
    /// Entries that lie behind each other, to be copied at once.
    run: Option<Place>,
}

impl<A: Archive, W: Write> Flat<'_, A, W> {
    fn write(&mut self, name: &Name, piece: Piece) -> Result<(), LayerError> {
        if let Some(entry) = piece.entry {
            match &entry.file {
                None => self.copy((entry.layer, entry.place))?,
                Some(file) => self.one_of_several(name, &entry, file)?,
            }
        }
        match piece.mark {
            None => Ok(()),
            Some(Mark::Opaque) => self.marker(&name.join(marker::OPAQUE_ENTRY)),
            Some(Mark::Gone) => {
                let (parent, component) = name.split().unwrap_or_default();
                self.marker(&Name::shown(parent).join(&marker::whiteout(component)))
            }
        }
    }

    /// Writes a file that has several names: its content with the first of them, wherever it was before.
    fn one_of_several(
        &mut self,
        name: &Name,
        entry: &stack::Entry,
        file: &Range<u64>,
    ) -> Result<(), LayerError> {
        let id = (entry.layer, file.start);
        let is_first = !self.names.contains_key(&id);
        let first = self.names.entry(id).or_insert_with(|| name.clone()).clone();
        let had_content = entry.place.start == file.start;
        let place = (entry.layer, entry.place.clone());
        if is_first && had_content {
            return self.copy(place);
        }
        let link = self.member(&place)?;
        if let Kind::HardLink(target) = &link.kind
            && *target == first
        {
            return self.copy(place);
        }
        if is_first {
            return self.renamed(name, (entry.layer, file.clone()));
        }
        self.header(&Entry { link: first.as_bytes(), ..Entry::about(name, EntryType::Link, &link.metadata) })
    }

    /// Writes the file that lies somewhere under another name.
    fn renamed(&mut self, name: &Name, place: Place) -> Result<(), LayerError> {
        let layers = self.layers;
        let source = layers[place.0].part(place.1).map_err(LayerError::Read)?;
        let mut members = Members::new(source, Limits::default(), Digesting::No)?;
        let member = members.next()?.ok_or_else(|| LayerError::refused(name, "its content is gone"))?;
        let (kind, link, device) = match &member.kind {
            Kind::File(_) => (EntryType::Regular, b"".as_slice(), None),
            Kind::Symlink(target) => (EntryType::Symlink, target.as_slice(), None),
            Kind::CharacterDevice(number) => (EntryType::Char, b"".as_slice(), Some(*number)),
            Kind::BlockDevice(number) => (EntryType::Block, b"".as_slice(), Some(*number)),
            Kind::Fifo => (EntryType::Fifo, b"".as_slice(), None),
            Kind::Directory | Kind::HardLink(_) => {
                return Err(LayerError::refused(name, "it is a link to no file"));
            }
        };
        let size = if let Kind::File(map) = &member.kind { map.size } else { 0 };
        self.header(&Entry { size, link, device, ..Entry::about(name, kind, &member.metadata) })?;
        if let Kind::File(map) = &member.kind {
            copy_content(&mut members, map, &mut self.to)?;
            zeros(map.size.wrapping_neg() % BLOCK as u64, &mut self.to)?;
        }
        Ok(())
    }

    /// Reads the headers of an entry.
    fn member(&self, (layer, place): &Place) -> Result<Member, LayerError> {
        let source = self.layers[*layer].part(place.clone()).map_err(LayerError::Read)?;
        let member = Members::new(source, Limits::default(), Digesting::No)?.next()?;
        member.ok_or_else(|| LayerError::refused(&Name::default(), "an entry is gone"))
    }

    fn marker(&mut self, name: &Name) -> Result<(), LayerError> {
        self.header(&Entry::marker(name.as_bytes()))
    }

    fn header(&mut self, entry: &Entry<'_>) -> Result<(), LayerError> {
        self.flush()?;
        self.to.write_all(&entry.to_blocks()).map_err(LayerError::Write)
    }

    /// Copies an entry, together with those before that it follows in its archive.
    fn copy(&mut self, (layer, place): Place) -> Result<(), LayerError> {
        if let Some((of, run)) = &mut self.run
            && *of == layer
            && run.end == place.start
        {
            run.end = place.end;
            return Ok(());
        }
        self.flush()?;
        self.run = Some((layer, place));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LayerError> {
        let Some((layer, run)) = self.run.take() else { return Ok(()) };
        copy_part(&self.layers[layer], run, &mut self.to)
    }

    fn finish(mut self) -> Result<(), LayerError> {
        self.flush()?;
        zeros(2 * BLOCK as u64, &mut self.to)?;
        self.to.flush().map_err(LayerError::Write)
    }
}
