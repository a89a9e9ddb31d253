//! Bytes on their way to and from the daemon.

use std::{io, path::Path};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::{ImageArchive, whole_file::WholeFile};

/// How much is in flight between a thread that packs and the connection.
const BUFFER: usize = 1 << 18;

/// What went wrong with a download.
pub(super) enum DownloadError {
    /// The daemon or the connection.
    Daemon(bollard::errors::Error),
    /// The file.
    File(io::Error),
}

/// Streams an archive while it is packed on a thread of its own, which ends with its result.
pub(super) fn upload(
    archive: ImageArchive,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, tokio::task::JoinHandle<io::Result<ImageArchive>>)
{
    let (near, far) = tokio::io::duplex(BUFFER);
    let pack = tokio::task::spawn_blocking(move || {
        archive.write(io::BufWriter::with_capacity(BUFFER, SyncIoBridge::new(near)))?;
        // Returned, so that its files stay until the last byte is read.
        Ok(archive)
    });
    (ReaderStream::with_capacity(far, BUFFER), pack)
}

/// Writes a stream to the file `path`, which is there when it is whole. `seen` is told how many bytes have come.
pub(super) async fn download(
    mut stream: impl Stream<Item = Result<Bytes, bollard::errors::Error>> + Unpin,
    path: &Path,
    mut seen: impl FnMut(u64),
) -> Result<(), DownloadError> {
    let whole = WholeFile::begin(path).map_err(DownloadError::File)?;
    let file = tokio::fs::File::from_std(whole.reopen().map_err(DownloadError::File)?);
    let mut file = tokio::io::BufWriter::with_capacity(BUFFER, file);
    let mut size = 0;
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(DownloadError::Daemon)?;
        file.write_all(&bytes).await.map_err(DownloadError::File)?;
        size += bytes.len() as u64;
        seen(size);
    }
    file.flush().await.map_err(DownloadError::File)?;
    whole.finish().await.map_err(DownloadError::File)
}

/// Reads a stream into memory.
pub(super) async fn collect(
    stream: impl Stream<Item = Result<Bytes, bollard::errors::Error>> + Unpin,
) -> Result<Bytes, bollard::errors::Error> {
    let whole: bytes::BytesMut = stream
        .try_fold(bytes::BytesMut::new(), |mut whole, bytes| async move {
            whole.extend_from_slice(&bytes);
            Ok(whole)
        })
        .await?;
    Ok(whole.freeze())
}
