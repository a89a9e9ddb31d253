//! Sending an image: its blobs, unless the registry has them, and last the manifest that names them.

use std::sync::{Arc, atomic::Ordering};

use futures_util::{StreamExt, TryStreamExt};
use oci_client::{RegistryOperation, errors::OciDistributionError};
use reqwest::header::HeaderValue;
use tokio_util::io::ReaderStream;

use super::{
    AT_ONCE, Packing, RegistryError, mirror::Endpoint, patience::Patience, progress::Meter, pull::Registries,
    source::Source,
};
use crate::{
    Progress, Reference, credentials,
    embedded::store::{Store, StoreError},
    manifest::Descriptor,
    progress::reporting,
};

/// As much of a file is read at once.
const CHUNK: usize = 1 << 17;

impl Registries {
    /// Sends an image of the store to its registry. Afterwards the store knows it by the registry's digest as well.
    pub(crate) async fn push(
        &self,
        store: &Store,
        reference: &Reference,
        progress: Progress<'_>,
    ) -> Result<(), RegistryError> {
        if reference.digest().is_some() {
            return Err(StoreError::Given(reference.to_string()).into());
        }
        let endpoint = Endpoint::origin(reference);
        let login = credentials::login(self.settings.config_dir.as_deref(), &endpoint.registry).await?;
        let source = Source::new(endpoint, login, RegistryOperation::Push)?;
        self.patiently(|| async { source.authenticate().await.map(drop) }).await?;
        // Packing takes long, so it is not begun for a registry that does not answer or does not want it.
        let image = store.sendable(reference, self.settings.packing == Packing::Gzip).await?;
        self.send_all(store, &source, &image.blobs, progress).await?;
        let kind = HeaderValue::from_str(&image.media_type).map_err(|_| {
            let reason = format!("`{}` is no media type", image.media_type);
            RegistryError::Protocol { host: source.endpoint.host.clone(), reason }
        })?;
        let name = source.reference(reference.tag());
        self.patiently(|| async {
            source.refresh().await?;
            let sent = source.client.push_manifest_raw(&name, image.bytes.clone(), kind.clone()).await;
            sent.map(drop).map_err(|error| RegistryError::client(&source.endpoint.host, error))
        })
        .await?;
        Ok(store.sent(image, reference).await?)
    }

    async fn send_all(
        &self,
        store: &Store,
        source: &Source,
        blobs: &[Descriptor],
        progress: Progress<'_>,
    ) -> Result<(), RegistryError> {
        let sizes: Vec<u64> = blobs.iter().map(Descriptor::size).collect::<Result<_, _>>()?;
        let meter = &Meter::new(progress, &sizes);
        // Owned, or the compiler does not see that the whole may move to another thread.
        let wanted: Vec<_> = blobs.iter().cloned().enumerate().collect();
        let transfers = wanted
            .into_iter()
            .map(|(number, blob)| async move { self.send(store, source, &blob, number, meter).await });
        let all = futures_util::stream::iter(transfers).buffered(AT_ONCE).try_collect::<()>();
        reporting(all, || meter.report()).await
    }

    /// Sends one blob if the registry does not have it.
    async fn send(
        &self,
        store: &Store,
        source: &Source,
        blob: &Descriptor,
        number: usize,
        meter: &Meter<'_>,
    ) -> Result<(), RegistryError> {
        let (size, digest, name) = (blob.size()?, blob.digest.to_string(), source.reference("latest"));
        let failed = |error| RegistryError::client(&source.endpoint.host, error);
        self.patiently(|| async {
            source.refresh().await?;
            if source.client.blob_exists(&name, &digest).await.map_err(failed)? {
                return Ok(());
            }
            let file = tokio::fs::File::from_std(store.checked_file(blob.digest).await?);
            let counter = meter.counter(number);
            let mut sent = 0;
            let stream = ReaderStream::with_capacity(file, CHUNK).map_ok(move |bytes| {
                sent += bytes.len() as u64;
                Arc::clone(&counter).fetch_max(sent, Ordering::Relaxed);
                bytes
            });
            let stream = stream.map_err(OciDistributionError::from);
            let pushed = source.client.push_blob_stream(&name, stream, &digest, Some(size)).await;
            pushed.map(drop).map_err(failed)
        })
        .await?;
        meter.counter(number).store(size, Ordering::Relaxed);
        Ok(())
    }

    /// Does something until it works or there is no sense in going on.
    async fn patiently<F>(&self, mut work: impl FnMut() -> F) -> Result<(), RegistryError>
    where
        F: Future<Output = Result<(), RegistryError>>,
    {
        let mut patience = Patience::new(self.settings.backoff);
        loop {
            match work().await {
                Ok(()) => return Ok(()),
                Err(error) => patience.wait(error).await?,
            }
        }
    }
}
