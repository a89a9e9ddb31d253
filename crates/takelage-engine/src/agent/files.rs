//! Single files.

use takelage_model::agent::Request;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter};

use super::{
    AgentClient, AgentError,
    request::{Answer, unexpected},
};

/// How much of a file is read or written at once, in bytes.
const BUFFER: usize = 1 << 20;

impl AgentClient {
    /// Writes a file as `user` with what `content` has, as `cat >` would: links are followed, and what is there keeps its
    /// owner, and its mode unless one is given. Otherwise a new file has the mode 0644.
    ///
    /// If this fails or is dropped in the middle, the file has the first part only.
    pub async fn put(
        &self,
        path: &str,
        user: Option<&str>,
        mode: Option<u32>,
        mut content: impl AsyncRead + Unpin,
    ) -> Result<(), AgentError> {
        let (path, user) = (path.to_owned(), user.map(str::to_owned));
        let mut request = self.request(&Request::Put { path, user, mode })?;
        let feed = request.feed();
        let write = async {
            let mut buffer = vec![0; BUFFER];
            loop {
                match content.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(count) => {
                        if !feed.data(buffer.get(..count).unwrap_or_default()).await {
                            return std::future::pending().await;
                        }
                    }
                    Err(error) => return AgentError::Source(error),
                }
            }
            feed.send(&Request::End, &[]);
            std::future::pending().await
        };
        tokio::select! {
            done = request.done() => done,
            error = write => Err(error),
        }
    }

    /// Reads a file as `user` into `to`, and returns its length. Links are followed.
    ///
    /// That there is no such file, and that it is a directory, are [refusals](AgentError::Refused) of their own kinds.
    pub async fn get(
        &self,
        path: &str,
        user: Option<&str>,
        to: impl AsyncWrite + Unpin,
    ) -> Result<u64, AgentError> {
        let mut to = BufWriter::with_capacity(BUFFER, to);
        let (path, user) = (path.to_owned(), user.map(str::to_owned));
        let mut request = self.request(&Request::Get { path, user })?;
        let mut length = 0;
        loop {
            match request.answer().await? {
                Answer::Data(_, bytes) => {
                    to.write_all(&bytes).await.map_err(AgentError::Sink)?;
                    request.handed_on(bytes.len());
                    length += bytes.len() as u64;
                }
                Answer::Done => break,
                _ => return Err(unexpected()),
            }
        }
        to.flush().await.map_err(AgentError::Sink)?;
        Ok(length)
    }
}
