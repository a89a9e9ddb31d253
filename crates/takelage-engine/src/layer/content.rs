//! What an archive has, copied: a file's content with its holes, and entries as they are.

use std::{
    io::{self, Read, Write},
    ops::Range,
};

use super::{Archive, LayerError, members::Members, sparse::Map};

/// Writes the present member's content, which lies as `map` says, with zeros where it has holes.
pub(super) fn copy_content<R: Read>(
    members: &mut Members<R>,
    map: &Map,
    to: &mut impl Write,
) -> Result<(), LayerError> {
    let mut at = 0;
    for extent in &map.extents {
        zeros(extent.offset - at, to)?;
        let mut left = extent.length;
        while left > 0 {
            let piece = members.content(left)?;
            to.write_all(piece).map_err(LayerError::Write)?;
            left -= piece.len() as u64;
        }
        at = extent.offset + extent.length;
    }
    zeros(map.size - at, to)
}

/// Writes so many zeros.
pub(super) fn zeros(length: u64, to: &mut impl Write) -> Result<(), LayerError> {
    io::copy(&mut io::repeat(0).take(length), to).map(drop).map_err(LayerError::Write)
}

/// Writes a part of an archive.
pub(super) fn copy_part(
    archive: &impl Archive,
    place: Range<u64>,
    to: &mut impl Write,
) -> Result<(), LayerError> {
    let length = place.end - place.start;
    let mut part = archive.part(place).map_err(LayerError::Read)?;
    let copied = io::copy(&mut part, to).map_err(LayerError::Write)?;
    if copied == length { Ok(()) } else { Err(LayerError::Read(io::ErrorKind::UnexpectedEof.into())) }
}
