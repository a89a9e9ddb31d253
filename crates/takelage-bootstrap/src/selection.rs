//! From a request to exactly these packages.

use std::fmt::Write as _;

use jiff::Timestamp;
use takelage_model::Digest;

use crate::{BootstrapError, Request, Settings, resolver, sources, suite::Suite};

/// Changes when the same packages would become another file system than before.
const RECIPE: u32 = 2;

/// The largest packages of the archive have some 2 GB; none of them is for an image.
pub(crate) const PACKAGE_LIMIT: u64 = 4 << 30;

/// The packages of an image, pinned by their digests.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// The suite's codename.
    pub codename: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// When the suite was last changed. No file of the image is younger.
    pub date: Timestamp,
    /// The packages, essential ones first.
    pub packages: Vec<Package>,
    /// What the image's `etc/apt/sources.list.d/debian.sources` says.
    pub(crate) sources: String,
}

/// One package of a [`Selection`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `all` or the selection's architecture.
    pub architecture: String,
    /// Digest of the `.deb`.
    pub digest: Digest,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// When it is configured.
    pub stage: Stage,
    /// Only there because another package needs it; apt's `autoremove` may remove it.
    pub automatic: bool,
    pub(crate) url: String,
}

/// When a package is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// First: it is essential, or something essential needs it.
    Essential,
    /// Afterwards, with everything essential at work.
    Rest,
}

impl Selection {
    /// Returns the digest of all that the image depends on: the same digest, the same image, byte for byte.
    pub fn digest(&self) -> Digest {
        let mut text =
            format!("recipe {RECIPE}\n{} {} {}\n", self.codename, self.architecture, self.date.as_second());
        for package in &self.packages {
            let Package { name, version, architecture, digest, stage, automatic, .. } = package;
            let _ = writeln!(text, "{name} {version} {architecture} {digest} {stage:?} {automatic}");
        }
        text.push_str(&self.sources);
        Digest::of(text)
    }

    /// Returns the number of bytes to download if the cache is empty.
    pub fn download_size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }
}

#[cfg(test)]
impl Selection {
    /// A selection of nothing, for tests.
    pub(crate) fn for_test(date: Timestamp) -> Self {
        let (codename, architecture) = ("test".into(), "amd64".into());
        Self { codename, architecture, date, packages: Vec::new(), sources: String::new() }
    }
}

#[cfg(test)]
impl Package {
    /// A package that is in no archive, for tests.
    pub(crate) fn for_test(name: &str) -> Self {
        Self {
            name: name.into(),
            version: "1".into(),
            architecture: "amd64".into(),
            digest: Digest::of(name),
            size: 0,
            stage: Stage::Rest,
            automatic: false,
            url: String::new(),
        }
    }
}

/// Finds the packages of an image in the suite's signed index.
///
/// Only the suite itself is used, as by `mmdebstrap`: packages of its updates and security archives come when
/// somebody upgrades the image, whose apt knows them.
pub fn resolve(request: &Request, settings: &Settings<'_>) -> Result<Selection, BootstrapError> {
    let signed = Suite::open(request, settings)?;
    let index = signed.index()?;
    let Request { suite, components, architecture, .. } = request;
    let mirror = request.mirror.download();
    let mut packages: Vec<Package> = resolver::closure(&index, suite, &request.include)?
        .into_iter()
        .map(|chosen| {
            let candidate = chosen.candidate;
            if candidate.size > PACKAGE_LIMIT {
                return Err(BootstrapError::TooLarge {
                    url: candidate.filename.into(),
                    limit: PACKAGE_LIMIT,
                });
            }
            Ok(Package {
                name: candidate.name.into(),
                version: candidate.version.into(),
                architecture: candidate.architecture.into(),
                digest: candidate.digest,
                size: candidate.size,
                stage: chosen.stage,
                automatic: chosen.automatic,
                url: format!("{mirror}/{}", candidate.filename),
            })
        })
        .collect::<Result<_, _>>()?;
    packages.sort_by(|a, b| (a.stage, &a.name).cmp(&(b.stage, &b.name)));
    let sources = sources::text(request.mirror.in_image(), &signed.release.codename, components);
    Ok(Selection {
        codename: signed.release.codename,
        architecture: architecture.clone(),
        date: signed.release.date,
        packages,
        sources,
    })
}
