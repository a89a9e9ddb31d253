//! Sparse files: which parts of a file are in the archive. The rest are holes.
//!
//! GNU tar has written this in four ways. The oldest is in the header and in blocks behind it; two are in extended
//! headers; the last is text at the beginning of the content:
//!
//! ```text
//! COUNT \n OFFSET \n LENGTH \n OFFSET \n LENGTH \n … zeros to the end of the block
//! ```

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::{
    header::{self, Wrong},
    pax,
    stream::BLOCK,
};

/// So many parts may a file have; each costs memory until the file is written.
const MOST_EXTENTS: usize = 1 << 20;
/// The longest line of the text form.
const LONGEST_LINE: usize = 20;

/// A part of a file that is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Where a file's content belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    /// In the order in which the archive has them, which is that of the file.
    pub(super) extents: Vec<Extent>,
    /// The file's length, with its holes.
    pub(super) size: u64,
}

impl Map {
    /// A file without holes.
    pub(super) fn whole(size: u64) -> Self {
        let extents = if size == 0 { vec![] } else { vec![Extent { offset: 0, length: size }] };
        Self { extents, size }
    }

    /// Whether it has no holes.
    pub(super) fn is_whole(&self) -> bool {
        self.extents.iter().map(|extent| extent.length).sum::<u64>() == self.size
    }

    /// Checks that the parts are in order, do not overlap, end within the file, and are together what is `stored`.
    ///
    /// All but the last must fill their blocks: programs disagree on where the next one begins otherwise.
    pub(super) fn new(mut extents: Vec<Extent>, size: u64, stored: u64) -> Result<Self, Wrong> {
        // The end of a file that ends with a hole is marked by an empty part.
        extents.retain(|extent| extent.length > 0);
        let (mut end, mut sum) = (0, 0_u64);
        for (index, extent) in extents.iter().enumerate() {
            if extent.offset < end {
                return Err("the parts of a sparse file overlap");
            }
            if !extent.length.is_multiple_of(BLOCK as u64) && index + 1 < extents.len() {
                return Err("a part of a sparse file does not fill its blocks");
            }
            end = extent.offset.checked_add(extent.length).ok_or("a sparse file is too long")?;
            sum = sum.checked_add(extent.length).ok_or("a sparse file is too long")?;
        }
        if end > size || sum != stored {
            return Err("the parts of a sparse file are not its content");
        }
        Ok(Self { extents, size })
    }
}

/// Takes numbers as offsets and lengths in turn.
pub(super) fn pairs(numbers: &[u64]) -> Result<Vec<Extent>, Wrong> {
    let (pairs, rest) = numbers.as_chunks();
    if !rest.is_empty() {
        return Err("the map of a sparse file is incomplete");
    }
    Ok(pairs.iter().map(|&[offset, length]| Extent { offset, length }).collect())
}

/// Reads the oldest form; `more` delivers the blocks behind the header.
pub(super) fn old<E: From<Wrong>>(
    header: &Header,
    mut more: impl FnMut() -> Result<[u8; BLOCK], E>,
) -> Result<(Vec<Extent>, u64), E> {
    let gnu = header.as_gnu().ok_or("a sparse file has no header of GNU tar")?;
    let size = header::count(&gnu.realsize).ok_or("the length of a sparse file is no number")?;
    let mut extents = Vec::new();
    collect(&mut extents, &gnu.sparse)?;
    let mut extended = gnu.is_extended();
    while extended {
        let mut block = GnuExtSparseHeader::new();
        *block.as_mut_bytes() = more()?;
        collect(&mut extents, block.sparse())?;
        extended = block.is_extended();
    }
    Ok((extents, size))
}

fn collect(extents: &mut Vec<Extent>, parts: &[GnuSparseHeader]) -> Result<(), Wrong> {
    for part in parts.iter().take_while(|part| part.numbytes[0] != 0) {
        let (Some(offset), Some(length)) = (header::count(&part.offset), header::count(&part.numbytes))
        else {
            return Err("the map of a sparse file is not of numbers");
        };
        push(extents, Extent { offset, length })?;
    }
    Ok(())
}

fn push<T>(all: &mut Vec<T>, one: T) -> Result<(), Wrong> {
    if all.len() >= MOST_EXTENTS {
        return Err("a sparse file has too many parts");
    }
    all.push(one);
    Ok(())
}

/// Reads numbers that are separated by commas.
pub(super) fn list(text: &[u8]) -> Result<Vec<u64>, Wrong> {
    let mut numbers = Vec::new();
    for number in text.split(|&byte| byte == b',') {
        push(&mut numbers, pax::decimal(number).ok_or("the map of a sparse file is not of numbers")?)?;
    }
    Ok(numbers)
}

/// Reads the text form, block by block, from `more`.
pub(super) fn text<E: From<Wrong>>(
    mut more: impl FnMut() -> Result<[u8; BLOCK], E>,
) -> Result<Vec<Extent>, E> {
    let mut numbers = Vec::new();
    let mut wanted = None;
    let mut line = Vec::new();
    while wanted != Some(numbers.len()) {
        for byte in more()? {
            if byte != b'\n' {
                line.push(byte);
                if line.len() > LONGEST_LINE {
                    return Err("the map of a sparse file is not of numbers".into());
                }
                continue;
            }
            let number = pax::decimal(&line).ok_or("the map of a sparse file is not of numbers")?;
            line.clear();
            if wanted.is_none() {
                let count = usize::try_from(number).ok().filter(|&count| count <= MOST_EXTENTS);
                wanted = Some(2 * count.ok_or("a sparse file has too many parts")?);
            } else {
                numbers.push(number);
            }
            if wanted == Some(numbers.len()) {
                break;
            }
        }
    }
    Ok(pairs(&numbers)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(offset: u64, length: u64) -> Extent {
        Extent { offset, length }
    }

    #[test]
    fn maps_are_in_order_and_complete() {
        assert!(Map::new(vec![extent(0, 512), extent(1024, 5), extent(9999, 0)], 9999, 517).is_ok());
        assert_eq!(Map::new(vec![extent(9999, 0)], 9999, 0).unwrap().extents, []);
        for (extents, size, stored) in [
            (vec![extent(512, 512), extent(0, 512)], 1024, 1024),
            (vec![extent(0, 512), extent(511, 512)], 2048, 1024),
            (vec![extent(0, 5), extent(512, 512)], 1024, 517),
            (vec![extent(0, 512)], 511, 512),
            (vec![extent(0, 512)], 512, 1024),
            (vec![extent(u64::MAX, 512)], u64::MAX, 512),
        ] {
            assert!(Map::new(extents.clone(), size, stored).is_err(), "{extents:?}");
        }
    }

    #[test]
    fn the_text_form_may_end_exactly_with_a_block() {
        let mut block = [b'0'; BLOCK];
        block[..3].copy_from_slice(b"1\n7");
        block[BLOCK - 20] = b'\n';
        block[BLOCK - 1] = b'\n';
        // The first number would be far too long.
        assert!(text::<Wrong>(|| Ok(block)).is_err());
        let lines = format!("15\n{}", "1234567890123456\n".repeat(30));
        assert!(lines.len() > BLOCK);
        let mut blocks = lines.as_bytes().chunks(BLOCK).map(|chunk| {
            let mut block = [0; BLOCK];
            block[..chunk.len()].copy_from_slice(chunk);
            block
        });
        let extents = text::<Wrong>(|| blocks.next().ok_or("there is no more")).unwrap();
        assert_eq!(extents, vec![extent(1_234_567_890_123_456, 1_234_567_890_123_456); 15]);
        assert!(blocks.next().is_none());
    }
}
