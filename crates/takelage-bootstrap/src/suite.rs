//! What a mirror says that a suite has: its release file, whose signature is checked, and the indexes that it vouches for.

use std::io::Read;

use jiff::Timestamp;

use crate::{
    BootstrapError, Request, Settings,
    download::{Downloads, Expected, in_parallel},
    index::Index,
    keyring::Keyring,
    release::Release,
};

/// An `InRelease` is some 200 kB.
const RELEASE_LIMIT: u64 = 16 << 20;
/// An uncompressed `Packages` is some 60 MB.
const INDEX_LIMIT: u64 = 1 << 30;
/// A suite, as its signers describe it.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) release: Release,
    architecture: String,
    /// For each component its address and its `Packages`.
    texts: Vec<(String, String)>,
}

impl Suite {
    /// Downloads and checks what the request needs to be answered.
    pub(crate) fn open(request: &Request, settings: &Settings<'_>) -> Result<Self, BootstrapError> {
        check(request)?;
        let Request { suite, components, architecture, .. } = request;
        let downloads = Downloads::new(settings, "index", None)?;
        let directory = format!("{}/dists/{suite}", request.mirror.download());

        let url = format!("{directory}/InRelease");
        let signed = downloads.fetch_changing(&url, RELEASE_LIMIT)?;
        let text = String::from_utf8(signed).map_err(|error| BootstrapError::malformed(&*url, error))?;
        let keyring = Keyring::new(&settings.keyrings)?;
        let release = Release::verify(&url, &text, suite, &keyring, Timestamp::now())?;
        downloads.keep_changing(&url, text.as_bytes())?;
        for (wanted, known) in components
            .iter()
            .map(|component| (component, &release.components))
            .chain([(architecture, &release.architectures)])
        {
            if !known.contains(wanted) {
                return Err(BootstrapError::NotInSuite { suite: suite.clone(), missing: wanted.clone() });
            }
        }

        let mut texts = Vec::new();
        let collect = |component: &String, text: String| {
            texts.push((format!("{directory}/{component}"), text));
            Ok(())
        };
        let read =
            |component: &String| index_text(&downloads, &release, &directory, suite, component, architecture);
        in_parallel(components, 4, 4, read, collect)?;
        Ok(Self { release, architecture: architecture.clone(), texts })
    }

    /// Returns the packages of all components.
    pub(crate) fn index(&self) -> Result<Index<'_>, BootstrapError> {
        let mut index = Index::default();
        for (file, text) in &self.texts {
            index.add(file, text, &self.architecture)?;
        }
        Ok(index)
    }
}

fn index_text(
    downloads: &Downloads<'_>,
    release: &Release,
    directory: &str,
    suite: &str,
    component: &str,
    architecture: &str,
) -> Result<String, BootstrapError> {
    let path = format!("{component}/binary-{architecture}/Packages.xz");
    let (digest, size) = *release
        .files
        .get(&path)
        .ok_or_else(|| BootstrapError::NotInSuite { suite: suite.into(), missing: path.clone() })?;
    let url = format!("{directory}/{path}");
    if size > INDEX_LIMIT {
        return Err(BootstrapError::TooLarge { url, limit: INDEX_LIMIT });
    }
    let compressed = downloads.fetch(&url, Expected { digest, size })?;
    let mut text = String::new();
    liblzma::read::XzDecoder::new_multi_decoder(compressed.as_slice())
        .take(INDEX_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| BootstrapError::malformed(&*url, error))?;
    Ok(text)
}

/// Checks what becomes a part of an address, of a path or of a configuration file.
fn check(request: &Request) -> Result<(), BootstrapError> {
    let word = |text: &str| {
        !text.is_empty()
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.~_".contains(&b))
    };
    let refuse = |what, value: &str| Err(BootstrapError::Request { what, value: value.into() });
    if !request.suite.split('/').all(word) {
        return refuse("suite", &request.suite);
    }
    if !word(&request.architecture) {
        return refuse("architecture", &request.architecture);
    }
    if request.components.is_empty() {
        return refuse("list of components", "");
    }
    if let Some(component) = request.components.iter().find(|component| !word(component)) {
        return refuse("component", component);
    }
    let mirror = request.mirror.download();
    if !(mirror.starts_with("http://") || mirror.starts_with("https://"))
        || mirror.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return refuse("http or https address", mirror);
    }
    Ok(())
}
