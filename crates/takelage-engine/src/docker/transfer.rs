//! Bytes on their way to and from the daemon.

use std::{fs::Permissions, io, os::unix::fs::PermissionsExt as _, path::Path};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::ImageArchive;

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

/// Writes a stream to the file `path`, by a temporary file beside it and a rename.
pub(super) async fn download(
    mut stream: impl Stream<Item = Result<Bytes, bollard::errors::Error>> + Unpin,
    path: &Path,
) -> Result<(), DownloadError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (file, temporary) = tempfile::Builder::new()
        .prefix(".takelage-")
        // Less the umask, as for any new file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(DownloadError::File)?
        .into_parts();
    let mut file = tokio::io::BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file));
    while let Some(bytes) = stream.next().await {
        file.write_all(&bytes.map_err(DownloadError::Daemon)?).await.map_err(DownloadError::File)?;
    }
    file.flush().await.map_err(DownloadError::File)?;
    file.get_ref().sync_all().await.map_err(DownloadError::File)?;
    temporary.persist(path).map_err(|error| DownloadError::File(error.error))
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
