//! Fetching one blob: from where it broke off, from whoever has it, until it is right.

use reqwest::{StatusCode, header};

use super::{RegistryError, patience::Patience, pull::Registries, source::Source};
use crate::embedded::store::{Partial, StoreError};

/// An attempt that brought less brought nothing, or somebody could keep one busy for ever.
const WORTHWHILE: u64 = 1 << 16;

impl Registries {
    /// Fetches what is missing of a blob. `seen` learns how many bytes have come.
    pub(super) async fn download(
        &self,
        sources: &[Source],
        partial: &mut Partial,
        path: &str,
        seen: impl Fn(u64) + Send + Sync,
    ) -> Result<(), RegistryError> {
        let mut last = None;
        for source in sources {
            match self.download_from(source, partial, path, &seen).await {
                Ok(()) => return Ok(()),
                // The disk, not the registry: another one will not help.
                Err(error @ RegistryError::Store(_)) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("an image has a registry"))
    }

    async fn download_from(
        &self,
        source: &Source,
        partial: &mut Partial,
        path: &str,
        seen: &(impl Fn(u64) + Send + Sync),
    ) -> Result<(), RegistryError> {
        let mut patience = Patience::new(self.settings.backoff);
        loop {
            let before = partial.length();
            let mut result = attempt(source, partial, path, seen).await;
            if result.is_ok() {
                result = match partial.finish().await {
                    Ok(()) => return Ok(()),
                    Err(StoreError::Digest { actual, .. }) => {
                        let reason = format!("`{path}` has digest `{actual}`");
                        Err(RegistryError::Corrupt { host: source.endpoint.host.clone(), reason })
                    }
                    Err(error) => return Err(error.into()),
                };
            } else {
                partial.pause().await?;
            }
            if partial.length() >= before + WORTHWHILE {
                patience.progressed();
            }
            if let Err(error) = result {
                patience.wait(error).await?;
            }
        }
    }
}

/// Asks once for what is missing and takes what comes.
async fn attempt(
    source: &Source,
    partial: &mut Partial,
    path: &str,
    seen: &(impl Fn(u64) + Send + Sync),
) -> Result<(), RegistryError> {
    let host = &source.endpoint.host;
    if partial.length() == partial.size() {
        return Ok(());
    }
    let from = partial.length();
    let mut answer = match source.get(path, "application/octet-stream", from).await {
        Err(RegistryError::Status { status: 416, .. }) => {
            // It has less than came before, so what came is not of it.
            partial.restart().await?;
            source.get(path, "application/octet-stream", 0).await?
        }
        answer => answer?,
    };
    let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT && begins_at(&answer) == Some(from);
    if from > 0 && !goes_on {
        if answer.status() == StatusCode::PARTIAL_CONTENT {
            let reason = format!("it was asked for what follows byte {from} and sends something else");
            return Err(RegistryError::Corrupt { host: host.clone(), reason });
        }
        // It sends the whole.
        partial.restart().await?;
    }
    while let Some(bytes) = answer.chunk().await.map_err(|error| RegistryError::transport(host, &error))? {
        if partial.length() + bytes.len() as u64 > partial.size() {
            partial.restart().await?;
            let reason = format!("`{path}` is longer than the {} bytes that were announced", partial.size());
            return Err(RegistryError::Corrupt { host: host.clone(), reason });
        }
        partial.write(&bytes).await?;
        seen(partial.length());
    }
    if partial.length() < partial.size() {
        let reason = format!("it ended after {} of {} bytes", partial.length(), partial.size());
        return Err(RegistryError::Broken { host: host.clone(), reason });
    }
    Ok(())
}

/// Reads where a part begins: `Content-Range: bytes FIRST-LAST/ALL`.
fn begins_at(answer: &reqwest::Response) -> Option<u64> {
    let range = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}
