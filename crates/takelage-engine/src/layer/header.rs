//! Headers: the blocks that say what follows.
//!
//! Where which field lies is the `tar` crate's knowledge. How a number is written is not left to it: it has no
//! negative numbers, and it refuses an empty field, which every other program takes for zero.

use rustix::fs::Timespec;
use tar::Header;

use super::stream::BLOCK;

/// How a block is wrong.
pub(super) type Wrong = &'static str;

/// Takes a block as a header. `None`: it is all zeros, the end of the archive.
pub(super) fn read(block: &[u8; BLOCK]) -> Result<Option<Header>, Wrong> {
    if *block == [0; BLOCK] {
        return Ok(None);
    }
    let mut header = Header::new_old();
    *header.as_mut_bytes() = *block;
    if !is_checked(&header) {
        return Err("the checksum of its header is wrong");
    }
    // What follows the word is a version that some writers leave out; the fields are the same.
    if block[257..].starts_with(b"ustar\0") {
        header.as_mut_bytes()[263..265].copy_from_slice(b"00");
    }
    Ok(Some(header))
}

/// Whether the checksum is right, summed up as bytes or, as some old programs did, as signed bytes.
fn is_checked(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let counted = bytes[..148].iter().chain(&[b' '; 8]).chain(&bytes[156..]);
    let sum: i64 = counted.clone().map(|&byte| i64::from(byte)).sum();
    let signed: i64 = counted.map(|&byte| i64::from(byte.cast_signed())).sum();
    number(&header.as_old().cksum).is_some_and(|said| said == sum || said == signed)
}

/// Reads a number: octal digits between spaces and zeros, or, as GNU tar writes what does not fit, base 256 in two's
/// complement behind a set bit. Nothing at all is zero.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // The second bit is the sign.
        let start = i128::from((first << 1).cast_signed() >> 1);
        let value = rest.iter().try_fold(start, |value, &byte| {
            value.checked_mul(256).and_then(|value| value.checked_add(i128::from(byte)))
        })?;
        return i64::try_from(value).ok();
    }
    let digits = field.trim_ascii_start();
    let digits = &digits[..digits.iter().position(|&byte| byte == 0).unwrap_or(digits.len())];
    digits.trim_ascii_end().iter().try_fold(0_i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Reads a number that counts something.
pub(super) fn count(field: &[u8]) -> Option<u64> {
    number(field).and_then(|value| u64::try_from(value).ok())
}

/// Reads a number that is a user, a group or part of a device's number.
pub(super) fn id(field: &[u8]) -> Option<u32> {
    // The last number is what `chown` takes for "leave it".
    number(field).and_then(|value| u32::try_from(value).ok()).filter(|&id| id != u32::MAX)
}

/// Returns the mode's twelve bits; some writers add those of the kind.
pub(super) fn mode(header: &Header) -> Option<u32> {
    number(&header.as_old().mode).and_then(|mode| u32::try_from(mode & 0o7777).ok())
}

/// Returns the whole seconds of the header's time.
pub(super) fn mtime(header: &Header) -> Option<Timespec> {
    number(&header.as_old().mtime).map(|tv_sec| Timespec { tv_sec, tv_nsec: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, value) in [
            (b"0000644\0".as_slice(), Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644 \0xyz", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"77777777", Some(0o7777_7777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"+000001\0", None),
            (b"\x80\0\0\0\0\0\0\x07", Some(7)),
            (b"\x80\0\0\x02\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xc0\0\0\0\0\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
        assert_eq!(id(b"\x80\0\0\0\xff\xff\xff\xff"), None);
        assert_eq!(count(b"\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn a_block_is_checked_and_a_version_left_out_is_forgiven() {
        let mut header = Header::new_ustar();
        header.set_path("a".repeat(90) + "/" + &"b".repeat(90)).unwrap();
        header.as_mut_bytes()[263..265].copy_from_slice(b"\0\0");
        header.set_cksum();
        let read = super::read(header.as_bytes()).unwrap().unwrap();
        assert_eq!(read.path_bytes().len(), 181);
        header.as_mut_bytes()[3] ^= 1;
        assert!(super::read(header.as_bytes()).is_err());
        assert!(super::read(&[0; BLOCK]).unwrap().is_none());
    }
}
