//! The members of an archive, one after the other.
//!
//! The `tar` crate could iterate over members, but not over those of strangers: it reads an extended header of any
//! length into memory, takes a newline in an attribute for the end of a record and then misses the rest, a file's
//! length among it, and takes a sparse file of GNU tar's present format for an ordinary one.

use std::{io::Read, ops::Range};

use takelage_model::Digest;
use tar::{EntryType, Header};

use super::{
    LayerError, Limits,
    digesting::Digesting,
    extension::{Extension, Holes},
    header::{self, Wrong},
    member::{Kind, Member, Metadata, Number},
    name::{Name, NameError},
    sparse::{self, Map},
    stream::{BLOCK, Stop, Stream},
};

/// Extended headers and long names end here; real ones have some hundred bytes.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// Reads the members of an archive in order.
pub(super) struct Members<R> {
    stream: Stream<R>,
    limits: Limits,
    /// Headers so far.
    headers: u64,
    /// Bytes of names so far.
    names: u64,
    /// Bytes of files so far, with their holes.
    bytes: u64,
    /// What is left of the present member's content, and what fills its last block.
    content: u64,
    filling: u64,
    /// Where the present member lies in the stream.
    place: Range<u64>,
    /// The present member, for messages.
    present: Name,
    end: End,
}

/// Whether and how the archive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// With the blocks of zeros that end an archive.
    Marked,
    /// With the stream. Some programs write no mark.
    Unmarked,
}

/// What is known of a member before its own header.
#[derive(Default)]
struct Before {
    extension: Option<Extension>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// Why there is no member; in which one is said later.
enum Reason {
    Damaged(Wrong),
    Refused(String),
    TooMuch(u64, &'static str),
    Stop(Stop),
}

impl From<Wrong> for Reason {
    fn from(wrong: Wrong) -> Self {
        Self::Damaged(wrong)
    }
}

impl From<NameError> for Reason {
    fn from(error: NameError) -> Self {
        Self::Refused(error.reason().to_owned())
    }
}

impl From<Stop> for Reason {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl<R: Read> Members<R> {
    pub(super) fn new(source: R, limits: Limits, digesting: Digesting) -> Result<Self, LayerError> {
        let stream = Stream::new(source, limits.bytes, digesting).map_err(LayerError::Read)?;
        Ok(Self {
            stream,
            limits,
            headers: 0,
            names: 0,
            bytes: 0,
            content: 0,
            filling: 0,
            place: 0..0,
            present: Name::default(),
            end: End::NotYet,
        })
    }

    /// Returns the next member; what nobody read of the present one is skipped. `None`: there is no further one.
    pub(super) fn next(&mut self) -> Result<Option<Member>, LayerError> {
        self.advance().map_err(|reason| explain(reason, &self.present, &self.limits))
    }

    /// Returns where the present member lies in the stream, with the headers that are about it and what fills its last block.
    pub(super) fn place(&self) -> Range<u64> {
        self.place.clone()
    }

    /// Returns the next piece of the present member's content, at least one and at most so many bytes.
    pub(super) fn content(&mut self, most: u64) -> Result<&[u8], LayerError> {
        match self.stream.take(most.min(self.content)) {
            Ok(piece) => {
                self.content -= piece.len() as u64;
                Ok(piece)
            }
            Err(stop) => Err(explain(stop.into(), &self.present, &self.limits)),
        }
    }

    /// Returns how many headers there were.
    pub(super) fn headers(&self) -> u64 {
        self.headers
    }

    /// Checks that the archive ended as archives should. A stream that broke off between two members did not.
    pub(super) fn check_end(&self) -> Result<(), LayerError> {
        match self.end {
            End::Marked => Ok(()),
            End::NotYet | End::Unmarked => Err(explain(Stop::TooEarly.into(), &self.present, &self.limits)),
        }
    }

    /// Reads whatever follows the archive. Returns digest, if it was wanted, and length of the whole stream.
    pub(super) fn finish(self) -> Result<(Option<Digest>, u64), LayerError> {
        let Self { stream, present, limits, .. } = self;
        stream.finish().map_err(|stop| explain(stop.into(), &present, &limits))
    }

    fn advance(&mut self) -> Result<Option<Member>, Reason> {
        let rest = self.content + self.filling;
        (self.content, self.filling) = (0, 0);
        self.stream.skip(rest)?;
        let start = self.stream.position();
        let mut before = Before::default();
        while let Some(header) = self.header()? {
            match header.entry_type() {
                EntryType::XHeader
                | EntryType::XGlobalHeader
                | EntryType::GNULongName
                | EntryType::GNULongLink => self.extend(&header, &mut before)?,
                _ => {
                    let member = self.member(&header, before)?;
                    self.place = start..self.stream.position() + self.content + self.filling;
                    return Ok(Some(member));
                }
            }
        }
        if before.extension.is_some() || before.name.is_some() || before.link.is_some() {
            return Err("it ends with an extended header".into());
        }
        Ok(None)
    }

    /// Reads a header. `None`: the archive ends here.
    fn header(&mut self) -> Result<Option<Header>, Reason> {
        if self.end != End::NotYet {
            return Ok(None);
        }
        let Some(block) = self.stream.block()? else {
            self.end = End::Unmarked;
            return Ok(None);
        };
        let Some(header) = header::read(&block)? else {
            self.end = End::Marked;
            // What follows a single block of zeros is read by some programs and not by others.
            return match self.stream.block()? {
                Some(next) if next != [0; BLOCK] => Err("it goes on behind its end".into()),
                _ => Ok(None),
            };
        };
        self.headers += 1;
        if self.headers > self.limits.entries {
            return Err(Reason::TooMuch(self.limits.entries, "entries"));
        }
        Ok(Some(header))
    }

    /// Reads a header that only describes the next one.
    fn extend(&mut self, header: &Header, before: &mut Before) -> Result<(), Reason> {
        let size = header::count(&header.as_old().size).filter(|&size| size <= LONGEST_EXTENSION);
        let size = size.ok_or("an extended header is too long")?;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            bytes.extend_from_slice(self.stream.take(size - bytes.len() as u64)?);
        }
        self.stream.skip(filling(size))?;
        let twice = match header.entry_type() {
            EntryType::XHeader => before.extension.replace(Extension::read(&bytes)?).is_some(),
            EntryType::GNULongName => before.name.replace(until_zero(bytes)).is_some(),
            EntryType::GNULongLink => before.link.replace(until_zero(bytes)).is_some(),
            _ if Extension::read(&bytes)?.is_empty() => false,
            _ => return Err(Reason::Refused("an extended header speaks of all further entries".to_owned())),
        };
        if twice { Err("two extended headers speak of one entry".into()) } else { Ok(()) }
    }

    /// Puts a member together.
    fn member(&mut self, header: &Header, before: Before) -> Result<Member, Reason> {
        let mut extension = before.extension.unwrap_or_default();
        let name = choose(before.name, extension.path.take(), || header.path_bytes().into_owned())?;
        let link = choose(before.link, extension.link.take(), || {
            header.link_name_bytes().unwrap_or_default().into_owned()
        })?;
        self.present = Name::shown(&name);
        self.names += (name.len() + link.len()) as u64;
        if self.names > self.limits.names {
            return Err(Reason::TooMuch(self.limits.names, "bytes of names"));
        }
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(header, &extension, name.ends_with(b"/"))?
            }
            // What is no file has no content, whatever its header says: so say GNU tar and Docker.
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink if link.is_empty() || link.contains(&0) || link.len() > self.limits.name => {
                return Err(Reason::Refused("it is a link to nothing that can be".to_owned()));
            }
            EntryType::Symlink => Kind::Symlink(link),
            EntryType::Link => Kind::HardLink(Name::parse(&link, self.limits.name)?),
            EntryType::Char => Kind::CharacterDevice(Number::read(header)?),
            EntryType::Block => Kind::BlockDevice(Number::read(header)?),
            EntryType::Fifo => Kind::Fifo,
            other => {
                let kind = other.as_byte().escape_ascii();
                return Err(Reason::Refused(format!("entries of kind `{kind}` are not known")));
            }
        };
        let name = Name::parse(&name, self.limits.name)?;
        Ok(Member { name, kind, metadata: Metadata::read(header, extension)? })
    }

    /// Tells where a file's content belongs, and notes how much of it follows.
    fn file(&mut self, header: &Header, extension: &Extension, slash: bool) -> Result<Kind, Reason> {
        let size = extension.size.or_else(|| header::count(&header.as_old().size));
        let mut stored = size.ok_or("its length is no number")?;
        let map = match (header.entry_type(), extension.holes()?) {
            (EntryType::GNUSparse, None) => {
                let (extents, length) = sparse::old(header, || self.whole_block())?;
                Map::new(extents, length, stored)?
            }
            (EntryType::GNUSparse, Some(_)) => return Err("it has two maps of its holes".into()),
            (_, Some(Holes::Here(extents, length))) => Map::new(extents, length, stored)?,
            (_, Some(Holes::InContent(length))) => {
                let extents = sparse::text(|| {
                    stored =
                        stored.checked_sub(BLOCK as u64).ok_or("the map of a sparse file is incomplete")?;
                    self.whole_block()
                })?;
                Map::new(extents, length, stored)?
            }
            // Archives older than the kind of a directory mark one by its name.
            (_, None) if slash && stored == 0 => return Ok(Kind::Directory),
            (_, None) if slash => return Err("a directory has content".into()),
            (_, None) => Map::whole(stored),
        };
        self.bytes = self.bytes.saturating_add(map.size);
        if self.bytes > self.limits.bytes {
            return Err(Reason::TooMuch(self.limits.bytes, "bytes in its files"));
        }
        (self.content, self.filling) = (stored, filling(stored));
        Ok(Kind::File(map))
    }

    fn whole_block(&mut self) -> Result<[u8; BLOCK], Reason> {
        Ok(self.stream.block()?.ok_or(Stop::TooEarly)?)
    }
}

/// Says where something is wrong.
fn explain(reason: Reason, present: &Name, limits: &Limits) -> LayerError {
    let entry = present.to_string();
    match reason {
        Reason::Damaged(wrong) => LayerError::Damaged { entry, reason: wrong.to_owned() },
        Reason::Refused(reason) => LayerError::Refused { entry, reason },
        Reason::TooMuch(limit, what) => LayerError::TooMuch { limit, what },
        Reason::Stop(Stop::Failed(source)) => LayerError::Read(source),
        Reason::Stop(Stop::TooEarly) => LayerError::Damaged { entry, reason: "it ends too early".to_owned() },
        Reason::Stop(Stop::TooLong) => LayerError::TooMuch { limit: limits.bytes, what: "bytes" },
    }
}

/// Chooses between GNU tar's long name, that of an extended header, and that of the header itself.
///
/// Programs disagree on which of the first two counts if both are there.
fn choose(
    gnu: Option<Vec<u8>>,
    extended: Option<Vec<u8>>,
    own: impl FnOnce() -> Vec<u8>,
) -> Result<Vec<u8>, Wrong> {
    match (gnu, extended) {
        (Some(_), Some(_)) => Err("it has two long names"),
        (Some(name), None) | (None, Some(name)) => Ok(name),
        (None, None) => Ok(own()),
    }
}

/// Returns how many bytes fill the last block of so many.
fn filling(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// GNU tar's long names end with a zero byte.
fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    bytes
}
