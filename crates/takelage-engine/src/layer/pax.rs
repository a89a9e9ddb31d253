//! Extended headers: records that say of the next entry what its own header has no room for.
//!
//! ```text
//! LENGTH SPACE KEY = VALUE NEWLINE        LENGTH counts the whole record, itself included
//! ```
//!
//! A value may be any bytes. The `tar` crate takes a newline in it for the end of the record, which damages file
//! capabilities and hides what follows, so records are read here.

/// Begins the keys of extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// A key and its value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// The records of an extended header are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Iterates over the records of an extended header.
pub(super) fn records(mut left: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if left.is_empty() {
            return None;
        }
        let Some((record, rest)) = split(left) else {
            left = &[];
            return Some(Err(Malformed));
        };
        left = rest;
        Some(Ok(record))
    })
}

/// Parts the first record from the rest.
fn split(left: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = left.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&left[..space])?).ok()?;
    if length > left.len() {
        return None;
    }
    let (record, rest) = left.split_at(length);
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    (equals > 0).then_some(((&record[..equals], &record[equals + 1..]), rest))
}

/// Appends a record.
pub(super) fn append(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Reads a decimal number without a sign.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a time: seconds with a sign and a fraction. Returns whole seconds, rounded down, and nanoseconds.
pub(super) fn time(text: &[u8]) -> Option<(i64, i64)> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let dot = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = dot.map_or((text, b"".as_slice()), |dot| (&text[..dot], &text[dot + 1..]));
    let whole = i64::try_from(decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, _) => (whole, nanoseconds),
        (true, 0) => (-whole, 0),
        (true, _) => (-whole - 1, 1_000_000_000 - nanoseconds),
    })
}

/// Returns the attribute that a key names. `None`: it is no attribute.
pub(super) fn attribute(key: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut left = key.strip_prefix(XATTR)?;
    // A key cannot have an `=`, so GNU tar writes it, and the sign that it needs for that, in this way.
    while let Some((&first, rest)) = left.split_first() {
        let (byte, rest) = match first {
            b'%' if rest.starts_with(b"3D") => (b'=', &rest[2..]),
            b'%' if rest.starts_with(b"25") => (b'%', &rest[2..]),
            byte => (byte, rest),
        };
        name.push(byte);
        left = rest;
    }
    Some(name)
}

/// Returns the key of an attribute.
pub(super) fn key(attribute: &[u8]) -> Vec<u8> {
    let mut key = XATTR.to_vec();
    for &byte in attribute {
        match byte {
            b'=' => key.extend_from_slice(b"%3D"),
            b'%' => key.extend_from_slice(b"%25"),
            byte => key.push(byte),
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_rounded_down() {
        assert_eq!(time(b"12"), Some((12, 0)));
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"12.1234567891"), Some((12, 123_456_789)));
        assert_eq!(time(b"-12"), Some((-12, 0)));
        assert_eq!(time(b"-12.25"), Some((-13, 750_000_000)));
        for wrong in [b"".as_slice(), b"-", b".5", b"1e5", b"1.x", b"+1", b"99999999999999999999"] {
            assert_eq!(time(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_record_is_malformed() {
        for wrong in [
            b"5".as_slice(),
            b"5 a=b",
            b"6 a=b\n7 c",
            b"99 a=b\n",
            b"3 a\n",
            b"2 a=b\n",
            b"0 a=b\n",
            b"+6 a=b\n",
            b"5 =b\n",
        ] {
            assert!(records(wrong).any(|record| record.is_err()), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_were_written(all: Vec<(Vec<u8>, Vec<u8>)>, long in 0..3000_usize) {
            let mut all: Vec<_> = all.into_iter().map(|(name, value)| (key(&name), value)).collect();
            all.push((key(b"security.capability"), vec![b'\n'; long]));
            let mut written = Vec::new();
            for (key, value) in &all {
                append(&mut written, key, value);
            }
            let read: Vec<_> = records(&written).map(|record| record.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect();
            prop_assert_eq!(read, all.into_iter().map(Ok).collect::<Vec<_>>());
        }

        #[test]
        fn attributes_have_keys_of_their_own(name: Vec<u8>) {
            let key = key(&name);
            prop_assert!(!key.contains(&b'='));
            prop_assert_eq!(attribute(&key), Some(name));
        }
    }
}
