//! Fetching an image: its manifest first, then what that names.

use futures_util::{StreamExt, TryStreamExt};
use oci_client::RegistryOperation;
use reqwest::header;
use takelage_model::Digest;

use super::{
    AT_ONCE, RegistryError, Settings, mirror::Endpoint, patience::Patience, progress::Meter, source,
};
use crate::{
    ImageConfig, ImageId, ImageRecord, ManifestError, Progress, Reference, credentials,
    embedded::store::{Fetch, Pulled, Store, StoreError},
    manifest::{
        self, CONFIG_LIMIT, DEPTH_LIMIT, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Document, MANIFEST_LIMIT,
        Manifest, OCI_INDEX, OCI_MANIFEST,
    },
};

/// All registries. Nothing is kept between two images.
#[derive(Debug, Clone)]
pub(crate) struct Registries {
    pub(super) settings: Settings,
}

/// A document as it came.
struct Fetched {
    bytes: Vec<u8>,
    media_type: String,
    digest: Digest,
    document: Document,
}

/// The image that a name leads to on this machine.
struct Resolved {
    /// The digest of what the name itself leads to.
    digest: Digest,
    manifest: Manifest,
    bytes: Vec<u8>,
    media_type: String,
    manifest_digest: Digest,
}

impl Registries {
    /// Takes hold of them. Nobody is asked anything yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Fetches an image into the store, under its name. What the store has is not fetched again, unless it is damaged.
    pub(crate) async fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        progress: Progress<'_>,
    ) -> Result<ImageRecord, RegistryError> {
        let mut sources = Vec::new();
        for endpoint in Endpoint::all(&self.settings, reference)? {
            let login = credentials::login(self.settings.config_dir.as_deref(), &endpoint.registry).await?;
            sources.push(source::Source::new(endpoint, login, RegistryOperation::Pull)?);
        }
        let resolved = self.resolve(&mut sources, reference).await?;
        let Manifest { config, layers } = &resolved.manifest;
        let mut wanted = vec![resolved.manifest_digest, config.digest];
        wanted.extend(layers.iter().map(|layer| layer.digest));
        let lease = store.lease(wanted).await?;
        let parsed = self.configuration(store, &sources, config).await?;
        resolved.manifest.check_layers(parsed.layers.len())?;
        if !parsed.os.is_empty() && parsed.os != "linux" {
            return Err(RegistryError::Platform(parsed.os));
        }
        let unpacked = self.layers(store, &sources, layers, &parsed.layers, progress).await?;
        let Resolved { digest, bytes, media_type, .. } = resolved;
        let id = ImageId(config.digest);
        let pulled = Pulled { reference, digest, manifest: bytes, media_type, id, unpacked };
        Ok(store.add_pulled(pulled, &lease).await?)
    }

    /// Follows a name through indexes to the manifest for this machine. The source that has it comes first from then on.
    async fn resolve(
        &self,
        sources: &mut [source::Source],
        reference: &Reference,
    ) -> Result<Resolved, RegistryError> {
        let wanted = reference.digest().unwrap_or(reference.tag()).to_owned();
        let (top, number) = self.document(sources, &wanted, None).await?;
        sources[..=number].rotate_right(1);
        let digest = top.digest;
        let mut current = top;
        for _ in 0..DEPTH_LIMIT {
            match current.document {
                Document::Image(manifest) => {
                    manifest.check()?;
                    let Fetched { bytes, media_type, digest: manifest_digest, .. } = current;
                    return Ok(Resolved { digest, manifest, bytes, media_type, manifest_digest });
                }
                Document::Index(manifests) => {
                    let chosen = manifest::choose(&manifests)?;
                    let announced = Some(chosen.media_type.as_str()).filter(|kind| !kind.is_empty());
                    (current, _) = self.document(sources, &chosen.digest.to_string(), announced).await?;
                }
            }
        }
        Err(ManifestError::Depth.into())
    }

    /// Fetches a manifest or index by its tag or digest from the first source that has it, and says which that is.
    async fn document(
        &self,
        sources: &[source::Source],
        wanted: &str,
        announced: Option<&str>,
    ) -> Result<(Fetched, usize), RegistryError> {
        let mut last = None;
        for (number, source) in sources.iter().enumerate() {
            let mut patience = Patience::new(self.settings.backoff);
            let error = loop {
                match fetch_document(source, wanted, announced).await {
                    Ok(fetched) => return Ok((fetched, number)),
                    Err(error) => {
                        if let Err(error) = patience.wait(error).await {
                            break error;
                        }
                    }
                }
            };
            tracing::info!(
                host = source.endpoint.host,
                error = &error as &dyn std::error::Error,
                "not from there"
            );
            last = Some(error);
        }
        Err(last.expect("an image has a registry"))
    }

    /// Fetches the configuration.
    async fn configuration(
        &self,
        store: &Store,
        sources: &[source::Source],
        descriptor: &Descriptor,
    ) -> Result<ImageConfig, RegistryError> {
        let digest = descriptor.digest;
        self.fetch(store, sources, descriptor, false, |_| ()).await?;
        let json = match store.bytes(digest, CONFIG_LIMIT).await {
            Err(StoreError::Damaged { .. }) => {
                self.fetch(store, sources, descriptor, true, |_| ()).await?;
                store.bytes(digest, CONFIG_LIMIT).await?
            }
            json => json?,
        };
        Ok(ImageConfig::from_json(&json)?)
    }

    /// Fetches the layers, several at once, and returns how much each unpacks to.
    async fn layers(
        &self,
        store: &Store,
        sources: &[source::Source],
        layers: &[Descriptor],
        diff_ids: &[Digest],
        progress: Progress<'_>,
    ) -> Result<Vec<u64>, RegistryError> {
        let sizes: Vec<u64> = layers.iter().map(Descriptor::size).collect::<Result<_, _>>()?;
        let meter = &Meter::new(progress, &sizes);
        // Owned, or the compiler does not see that the whole may move to another thread.
        let wanted: Vec<_> = layers.iter().cloned().zip(diff_ids.iter().copied()).enumerate().collect();
        let transfers = wanted.into_iter().map(|(number, (layer, diff_id))| async move {
            let seen = |bytes| meter.set(number, bytes);
            for anew in [false, true] {
                self.fetch(store, sources, &layer, anew, &seen).await?;
                match store.check_layer(layer.digest, diff_id).await {
                    Err(error @ StoreError::Damaged { .. }) if !anew => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "fetching it again");
                    }
                    unpacked => {
                        meter.set(number, layer.size()?);
                        return Ok(unpacked?);
                    }
                }
            }
            unreachable!("the second look is returned whatever it is")
        });
        futures_util::stream::iter(transfers).buffered(AT_ONCE).try_collect().await
    }

    /// Sees to it that the store has a blob.
    async fn fetch(
        &self,
        store: &Store,
        sources: &[source::Source],
        descriptor: &Descriptor,
        anew: bool,
        seen: impl Fn(u64) + Send + Sync,
    ) -> Result<(), RegistryError> {
        match store.fetch(descriptor.digest, descriptor.size()?, anew).await? {
            Fetch::Present => Ok(()),
            Fetch::Missing(mut partial) => {
                let path = format!("blobs/{}", descriptor.digest);
                self.download(sources, &mut partial, &path, seen).await
            }
        }
    }
}

/// Asks one source once for a document, and checks it.
async fn fetch_document(
    source: &source::Source,
    wanted: &str,
    announced: Option<&str>,
) -> Result<Fetched, RegistryError> {
    let host = &source.endpoint.host;
    let corrupt = |reason| RegistryError::Corrupt { host: host.clone(), reason };
    let accept = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
    let answer = source.get(&format!("manifests/{wanted}"), &accept, 0).await?;
    let text = |name: &str| answer.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
    let kind = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
    let said: Option<Digest> = text("docker-content-digest").and_then(|digest| digest.parse().ok());
    let limit = usize::try_from(MANIFEST_LIMIT).unwrap_or(usize::MAX);
    let bytes = source::bounded(host, answer, limit).await?;
    let digest = Digest::of(&bytes);
    let expected = wanted.parse().ok().or(said).unwrap_or(digest);
    if digest != expected {
        return Err(corrupt(format!(
            "the manifest `{wanted}` has digest `{digest}` instead of `{expected}`"
        )));
    }
    let document = Document::parse(&bytes, Some(announced.unwrap_or(&kind)))?;
    // What it is stored as, and later sent as.
    let said = manifest::media_type(&bytes).or(announced.map(str::to_owned)).unwrap_or(kind);
    let media_type = if said == DOCKER_MANIFEST { said } else { OCI_MANIFEST.to_owned() };
    Ok(Fetched { bytes, media_type, digest, document })
}
