//! The release file of a suite: what the suite is called, and the digests of its indexes.

use std::{collections::BTreeMap, str::FromStr};

use deb822_fast::borrowed::{BorrowedParagraph, parse_borrowed};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use takelage_model::Digest;

use crate::{BootstrapError, keyring::Keyring};

/// What a verified `InRelease` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Release {
    pub(crate) suite: String,
    pub(crate) codename: String,
    pub(crate) date: Timestamp,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) components: Vec<String>,
    pub(crate) architectures: Vec<String>,
    /// Digest and size by path below the suite's directory.
    pub(crate) files: BTreeMap<String, (Digest, u64)>,
}

impl Release {
    /// Checks signature, name and age, in this order, and reads what is signed.
    pub(crate) fn verify(
        url: &str,
        signed: &str,
        suite: &str,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<Self, BootstrapError> {
        let text =
            keyring.verify(signed).map_err(|reason| BootstrapError::Signature { url: url.into(), reason })?;
        let release = Self::parse(&text).map_err(|reason| BootstrapError::malformed(url, reason))?;
        // A mirror that answers with another suite, signed all the same, would bring its older packages.
        if release.suite != suite && release.codename != suite {
            return Err(BootstrapError::WrongSuite {
                url: url.into(),
                asked: suite.into(),
                found: release.codename,
            });
        }
        match release.valid_until {
            Some(until) if until < now => Err(BootstrapError::Expired { url: url.into(), until }),
            _ => Ok(release),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let paragraphs = parse_borrowed(text).map_err(|error| error.to_string())?;
        let [paragraph] = paragraphs.as_slice() else { return Err("it is not one paragraph".into()) };
        let single = |name: &str| single(paragraph, name);
        let required = |name: &str| single(name).ok_or_else(|| format!("it has no `{name}`"));
        let words = |name: &str| {
            single(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let codename = required("Codename")?.to_owned();
        let mut files = BTreeMap::new();
        for line in paragraph.get("SHA256").ok_or("it has no `SHA256`")? {
            let mut words = line.split_whitespace();
            let (Some(digest), Some(size), Some(path), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                if line.trim().is_empty() {
                    continue;
                }
                return Err(format!("`{line}` is not digest, size and path"));
            };
            let digest = Digest::from_str(&format!("sha256:{digest}")).map_err(|error| error.to_string())?;
            let size = size.parse().map_err(|_| format!("`{size}` is not a size"))?;
            files.insert(path.to_owned(), (digest, size));
        }
        Ok(Self {
            suite: single("Suite").unwrap_or(&codename).to_owned(),
            date: date(required("Date")?)?,
            valid_until: single("Valid-Until").map(date).transpose()?,
            // Security archives say `updates/main` where everybody else says `main`.
            components: words("Components")
                .iter()
                .map(|c| c.rsplit_once('/').map_or(c.as_str(), |(_, last)| last).to_owned())
                .collect(),
            architectures: words("Architectures"),
            codename,
            files,
        })
    }
}

fn single<'a>(paragraph: &BorrowedParagraph<'a>, name: &str) -> Option<&'a str> {
    paragraph.get_single(name).map(str::trim).filter(|value| !value.is_empty())
}

/// Parses `Sat, 09 Aug 2025 09:16:30 UTC`, the form that apt requires.
fn date(text: &str) -> Result<Timestamp, String> {
    let refuse = || format!("`{text}` is not a date");
    let civil = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")).ok_or_else(refuse)?;
    let civil = DateTime::strptime("%a, %d %b %Y %H:%M:%S", civil).map_err(|_| refuse())?;
    Ok(civil.to_zoned(TimeZone::UTC).map_err(|_| refuse())?.timestamp())
}
