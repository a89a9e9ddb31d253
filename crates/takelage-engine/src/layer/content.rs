//! A file's content out of an archive, with its holes.

use std::io::{self, Read, Write};

use super::{LayerError, members::Members, sparse::Map};

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
