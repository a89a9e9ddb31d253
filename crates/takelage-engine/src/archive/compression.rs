//! Compressed streams, told apart by their first bytes.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Take},
};

/// The length of the longest magic number.
const MAGIC: usize = 6;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Compression {
    /// Not at all.
    Plain,
    Gzip,
    Xz,
    Zstd,
    /// Compressed in a way that container tools have given up.
    Bzip2,
}

impl Compression {
    /// Tells from the start of a stream how it is compressed.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// Tells how the part of `file` from `offset` on is compressed.
    pub(crate) fn sniff(file: &mut File, offset: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        let mut start = Vec::with_capacity(MAGIC);
        file.take(MAGIC as u64).read_to_end(&mut start)?;
        Ok(Self::of(&start))
    }

    /// Returns a reader of what `compressed` unpacks to.
    pub(crate) fn reader<'a, R: Read + 'a>(self, compressed: R) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Plain => Box::new(compressed),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(compressed)),
            Self::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(compressed)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(compressed)?),
            Self::Bzip2 => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "bzip2 is not supported, repack it with gzip",
                ));
            }
        })
    }
}

/// Returns a reader of `length` bytes of `file` from `offset` on.
pub(super) fn span(mut file: File, offset: u64, length: u64) -> io::Result<BufReader<Take<File>>> {
    file.seek(SeekFrom::Start(offset))?;
    Ok(BufReader::with_capacity(1 << 16, file.take(length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_make_a_decoder_panic(bytes: Vec<u8>, kind in 0..4_usize) {
            let compression = [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd][kind];
            let _ = compression.reader(bytes.as_slice()).unwrap().read_to_end(&mut Vec::new());
        }
    }
}
