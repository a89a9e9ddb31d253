//! What layers show when they lie on each other, read from their archives alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Read},
    ops::{Bound, Range},
};

use super::{
    LayerError, Limits,
    digesting::Digesting,
    listing::{TreeFile, listed},
    marker::{self, Said},
    member::{Kind, Member},
    members::Members,
    name::Name,
};

/// A layer's archive, not compressed, of which each part can be read at any time.
pub(crate) trait Archive {
    /// Returns how many bytes it has.
    fn length(&self) -> u64;

    /// Reads a part of it.
    fn part(&self, range: Range<u64>) -> io::Result<impl Read>;
}

/// A name in the order in which directories are walked: all below it follows it at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Vec<u8>);

impl Key {
    fn of(name: &Name) -> Self {
        // No name has a zero byte.
        Self(name.as_bytes().iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect())
    }

    /// Returns the name.
    pub(super) fn name(&self) -> Name {
        let bytes: Vec<u8> = self.0.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect();
        Name::parse(&bytes, usize::MAX).unwrap_or_default()
    }

    /// Returns the keys of the directories that it lies in, the root included.
    fn parents(&self) -> impl Iterator<Item = Self> {
        let ends = self.0.iter().enumerate().rev().filter(|(_, byte)| **byte == 0).map(|(end, _)| end);
        let root = (!self.0.is_empty()).then_some(0);
        ends.chain(root).map(|end| Self(self.0[..end].to_vec()))
    }

    /// Returns the range of all keys below it.
    fn below(&self) -> (Bound<Self>, Bound<Self>) {
        if self.0.is_empty() {
            return (Bound::Excluded(self.clone()), Bound::Unbounded);
        }
        let with = |byte: u8| Self([self.0.as_slice(), &[byte]].concat());
        (Bound::Excluded(with(0)), Bound::Excluded(with(1)))
    }
}

/// An entry of an archive, with the headers that are about it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Which layer it is in.
    pub(super) layer: usize,
    /// Where it lies in there.
    pub(super) place: Range<u64>,
    pub(super) is_directory: bool,
    /// Of a file with several names in this archive: the entry that has its content.
    pub(super) file: Option<Range<u64>>,
    pub(super) listed: TreeFile,
}

/// What layers hide of those below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// What is in the directory.
    Content,
    /// All of this name.
    Whole,
}

/// How something is said to be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The name is gone.
    Gone,
    /// The directory is opaque.
    Opaque,
}

/// What is said of a name.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) entry: Option<Entry>,
    pub(super) mark: Option<Mark>,
}

/// Returns what `layers` show, lowest first, of names in the order in which directories are walked.
pub(super) fn show<A: Archive>(layers: &[A]) -> Result<BTreeMap<Key, Entry>, LayerError> {
    Stack::of(layers).map(|stack| stack.shown)
}

/// Returns what `layers` show, lowest first, of names in the order in which directories are walked. What they hide is marked if
/// `below` shows it.
pub(super) fn stack<A: Archive>(layers: &[A], below: &[A]) -> Result<BTreeMap<Key, Piece>, LayerError> {
    // A file hides what is below by being there.
    let Stack { shown, mut hidden } = Stack::of(layers)?;
    hidden.retain(|key, _| shown.get(key).is_none_or(|entry| entry.is_directory));
    let mut base = Base::asked_of(&hidden);
    for layer in below {
        base.lay(layer)?;
    }
    let piece = |(key, entry)| (key, Piece { entry: Some(entry), mark: None });
    let mut pieces: BTreeMap<Key, Piece> = shown.into_iter().map(piece).collect();
    for (key, there) in base.shown {
        let is_hidden_whole = hidden.get(&key) == Some(&Hidden::Whole);
        let above = pieces.get(&key).and_then(|piece| piece.entry.as_ref());
        let mark = match (there, above) {
            (Some(_), None) if is_hidden_whole => Mark::Gone,
            (Some(There::Directory), None) => Mark::Opaque,
            (Some(There::Directory), Some(entry)) if entry.is_directory => Mark::Opaque,
            _ => continue,
        };
        pieces.entry(key).or_default().mark = Some(mark);
    }
    Ok(pieces)
}

/// Layers so far.
#[derive(Default)]
struct Stack {
    shown: BTreeMap<Key, Entry>,
    hidden: BTreeMap<Key, Hidden>,
}

impl Stack {
    fn of<A: Archive>(layers: &[A]) -> Result<Self, LayerError> {
        let mut stack = Self::default();
        for (number, layer) in layers.iter().enumerate() {
            stack.lay(number, layer)?;
        }
        Ok(stack)
    }

    fn lay<A: Archive>(&mut self, number: usize, archive: &A) -> Result<(), LayerError> {
        let (mut names, mut added) = (HashMap::new(), Vec::new());
        let mut marks = Vec::new();
        read(archive, |member, place| {
            match said(member) {
                Some((key, mark)) => marks.push((key, mark)),
                None if is_own(member) => {}
                None => {
                    let mut entry = Entry {
                        layer: number,
                        place: place.clone(),
                        is_directory: matches!(member.kind, Kind::Directory),
                        file: None,
                        listed: listed(member, None),
                    };
                    if let Kind::HardLink(target) = &member.kind {
                        let missing = || {
                            LayerError::refused(&member.name, "it is a link to what the layer does not have")
                        };
                        let (file, of): &(Range<u64>, TreeFile) = names.get(target).ok_or_else(missing)?;
                        entry.listed = listed(member, Some(of));
                        entry.file = Some(file.clone());
                    }
                    let file = entry.file.clone().unwrap_or(place);
                    names.insert(member.name.clone(), (file, entry.listed.clone()));
                    added.push((Key::of(&member.name), entry));
                }
            }
            Ok(())
        })?;
        // What a layer hides is in those below it, wherever it says so.
        for (key, mark) in marks {
            self.hide(key, mark);
        }
        let several: BTreeSet<u64> =
            added.iter().filter_map(|(_, entry)| entry.file.as_ref()).map(|file| file.start).collect();
        for (key, mut entry) in added {
            if several.contains(&entry.place.start) {
                entry.file = Some(entry.place.clone());
            }
            if !entry.is_directory {
                self.hide(key.clone(), Mark::Gone);
            }
            self.shown.insert(key, entry);
        }
        Ok(())
    }

    fn hide(&mut self, key: Key, mark: Mark) {
        remove(&mut self.shown, &key);
        remove(&mut self.hidden, &key);
        match mark {
            Mark::Gone => {
                self.shown.remove(&key);
                self.hidden.insert(key, Hidden::Whole);
            }
            Mark::Opaque => drop(self.hidden.entry(key).or_insert(Hidden::Content)),
        }
    }
}

/// Removes what is below a key.
fn remove<T>(of: &mut BTreeMap<Key, T>, key: &Key) {
    let below: Vec<Key> = of.range(key.below()).map(|(key, _)| key.clone()).collect();
    for key in below {
        of.remove(&key);
    }
}

/// What there is of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Directory,
    Other,
}

/// What the layers below show of the names that count.
struct Base {
    shown: BTreeMap<Key, Option<There>>,
}

impl Base {
    /// Asks for what is hidden, but for what is in something that is hidden: that is gone with it.
    fn asked_of(hidden: &BTreeMap<Key, Hidden>) -> Self {
        let highest = hidden.keys().filter(|key| !key.parents().any(|parent| hidden.contains_key(&parent)));
        Self { shown: highest.map(|key| (key.clone(), None)).collect() }
    }

    fn lay<A: Archive>(&mut self, archive: &A) -> Result<(), LayerError> {
        if self.shown.is_empty() {
            return Ok(());
        }
        let (mut marks, mut added) = (Vec::new(), Vec::new());
        read(archive, |member, _| {
            match said(member) {
                Some(mark) => marks.push(mark),
                None if is_own(member) => {}
                None => {
                    let key = Key::of(&member.name);
                    let counts = self.shown.contains_key(&key)
                        || self.shown.range(key.below()).next().is_some()
                        || key.parents().any(|parent| self.shown.contains_key(&parent));
                    if counts {
                        added.push((key, matches!(member.kind, Kind::Directory)));
                    }
                }
            }
            Ok(())
        })?;
        for (key, mark) in marks {
            self.forget_below(&key);
            if let (Mark::Gone, Some(there)) = (mark, self.shown.get_mut(&key)) {
                *there = None;
            }
        }
        for (key, is_directory) in added {
            // Not all archives have entries for all directories.
            for parent in key.parents() {
                if let Some(there) = self.shown.get_mut(&parent) {
                    *there = Some(There::Directory);
                }
            }
            if !is_directory {
                self.forget_below(&key);
            }
            if let Some(there) = self.shown.get_mut(&key) {
                *there = Some(if is_directory { There::Directory } else { There::Other });
            }
        }
        Ok(())
    }

    fn forget_below(&mut self, key: &Key) {
        self.shown.range_mut(key.below()).for_each(|(_, there)| *there = None);
    }
}

/// Shows all members of an archive.
fn read<A: Archive>(
    archive: &A,
    mut see: impl FnMut(&Member, Range<u64>) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    let source = archive.part(0..archive.length()).map_err(LayerError::Read)?;
    let mut members = Members::new(source, Limits::default(), Digesting::No)?;
    while let Some(member) = members.next()? {
        see(&member, members.place())?;
    }
    Ok(())
}

/// Returns what an entry says to be hidden, if it is about that.
fn said(member: &Member) -> Option<(Key, Mark)> {
    let (parent, component) = member.name.split()?;
    let parent = Name::parse(parent, usize::MAX).ok()?;
    match marker::said(component) {
        Said::Gone(name) => Some((Key::of(&parent.join(name)), Mark::Gone)),
        Said::Opaque => Some((Key::of(&parent), Mark::Opaque)),
        Said::Name | Said::Aufs | Said::Nonsense => None,
    }
}

/// Whether an entry is neither about a file nor about what is hidden.
fn is_own(member: &Member) -> bool {
    let said = member.name.split().map(|(_, component)| marker::said(component));
    matches!(said, Some(Said::Aufs | Said::Nonsense))
}
