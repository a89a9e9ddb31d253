//! Frames as bytes, see [`takelage_model::frame`]. What comes in is not trusted: every length is checked before
//! memory is spent on it, and memory grows with the bytes that really arrive.

use std::io;

use bytes::{Bytes, BytesMut};
use takelage_model::frame::{HEADER_LIMIT, Reply, Request};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A blob longer than this is refused: it is held in memory on its way into the container.
pub(super) const BLOB_LIMIT: u64 = 4 << 30;

/// How much is reserved for a blob before its bytes arrive.
const FIRST_RESERVATION: u64 = 1 << 20;

/// The other end does not speak the protocol, or is gone.
#[derive(Debug, Error)]
pub(super) enum WireError {
    /// The stream broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// A header longer than [`HEADER_LIMIT`].
    #[error("a header of {length} bytes is longer than {HEADER_LIMIT}")]
    LongHeader {
        /// The length it claims.
        length: usize,
    },
    /// A blob longer than [`BLOB_LIMIT`].
    #[error("{length} bytes at once are more than {BLOB_LIMIT}")]
    LongBlob {
        /// The length it claims.
        length: u64,
    },
    /// A header that is no request.
    #[error("the header is no request: {0}")]
    Header(serde_json::Error),
}

/// Reads the next request's header. `None`: the client closed the connection between two requests.
pub(super) async fn read_request(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Request>, WireError> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > HEADER_LIMIT {
        return Err(WireError::LongHeader { length });
    }
    let mut header = vec![0; length];
    from.read_exact(&mut header).await?;
    serde_json::from_slice(&header).map(Some).map_err(WireError::Header)
}

/// Reads a blob of `length` bytes.
pub(super) async fn read_blob(from: &mut (impl AsyncRead + Unpin), length: u64) -> Result<Bytes, WireError> {
    if length > BLOB_LIMIT {
        return Err(WireError::LongBlob { length });
    }
    let mut blob = BytesMut::with_capacity(usize::try_from(length.min(FIRST_RESERVATION)).unwrap_or(0));
    let mut limited = from.take(length);
    while limited.read_buf(&mut blob).await? > 0 {}
    if blob.len() as u64 != length {
        return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(blob.freeze())
}

/// Writes a reply's header. Its blobs, if any, follow.
pub(super) async fn write_reply(to: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> Result<(), WireError> {
    let header = serde_json::to_vec(reply).map_err(|source| WireError::Io(io::Error::other(source)))?;
    let length = u32::try_from(header.len()).map_err(|source| WireError::Io(io::Error::other(source)))?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&header).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use takelage_model::frame::VERSION;

    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn frame(header: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(header.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes
    }

    #[test]
    fn requests_arrive_until_the_client_closes() {
        let mut bytes = frame(br#"{"op":"hello","version":1}"#);
        bytes.extend(frame(br#"{"op":"exec","host":"app","argv":["id"],"stdin":3}"#));
        bytes.extend(b"abc");
        let mut from = bytes.as_slice();
        block(async {
            assert_eq!(read_request(&mut from).await.unwrap(), Some(Request::Hello { version: VERSION }));
            let exec = Request::Exec {
                host: "app".into(),
                argv: vec!["id".into()],
                user: None,
                stdin: 3,
                zygote: None,
                task: None,
            };
            assert_eq!(read_request(&mut from).await.unwrap(), Some(exec));
            assert_eq!(read_blob(&mut from, 3).await.unwrap(), "abc");
            assert_eq!(read_request(&mut from).await.unwrap(), None);
        });
    }

    #[test]
    fn an_operation_of_a_newer_version_is_unknown() {
        let bytes = frame(br#"{"op":"teleport"}"#);
        assert_eq!(block(read_request(&mut bytes.as_slice())).unwrap(), Some(Request::Unknown));
    }

    #[test]
    fn a_claimed_length_reserves_nothing_and_is_bounded() {
        assert!(matches!(
            block(read_request(&mut [0xff, 0xff, 0xff, 0xff, b'{'].as_slice())),
            Err(WireError::LongHeader { .. })
        ));
        assert!(matches!(block(read_blob(&mut b"ab".as_slice(), BLOB_LIMIT)), Err(WireError::Io(_))));
        assert!(matches!(block(read_blob(&mut b"ab".as_slice(), u64::MAX)), Err(WireError::LongBlob { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut from = bytes.as_slice();
            block(async { while let Ok(Some(_)) = read_request(&mut from).await {} });
        }

        #[test]
        fn no_header_makes_it_panic(header: Vec<u8>) {
            let bytes = frame(&header);
            let _ = block(read_request(&mut bytes.as_slice()));
        }

        #[test]
        fn blobs_arrive_whole(content: Vec<u8>) {
            let read = block(read_blob(&mut content.as_slice(), content.len() as u64)).unwrap();
            prop_assert_eq!(read.as_ref(), content.as_slice());
        }
    }
}
