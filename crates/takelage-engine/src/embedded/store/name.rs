//! Names of images, in the one form in which the store keeps them: as Docker shows them.

use takelage_model::Digest;

use super::StoreError;
use crate::Reference;

/// What somebody means by a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An image by its id.
    Id(Digest),
    /// A name, and if there is no such name and the word looks like it, the start of an id.
    Name {
        /// The name, with its tag or digest.
        name: String,
        /// The digits.
        prefix: Option<String>,
    },
}

impl Wanted {
    pub(super) fn parse(word: &str) -> Result<Self, StoreError> {
        if let Ok(digest) = word.parse().or_else(|_| format!("sha256:{word}").parse()) {
            return Ok(Self::Id(digest));
        }
        let name = stored(&word.parse()?);
        let digits = word.strip_prefix("sha256:").unwrap_or(word);
        let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        Ok(Self::Name { name, prefix: hexadecimal.then(|| digits.to_owned()) })
    }
}

/// Returns the name without a tag, Docker's own registry and directory left out.
pub(super) fn repository(reference: &Reference) -> String {
    let repository = reference.repository();
    match reference.registry() {
        "docker.io" | "index.docker.io" => match repository.strip_prefix("library/") {
            Some(own) if !own.contains('/') => own.to_owned(),
            _ => repository.to_owned(),
        },
        registry => format!("{registry}/{repository}"),
    }
}

/// Returns the name with its tag, or with its digest if it has one.
pub(super) fn stored(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => format!("{}@{digest}", repository(reference)),
        None => tagged(reference),
    }
}

/// Returns the name with its tag.
pub(super) fn tagged(reference: &Reference) -> String {
    format!("{}:{}", repository(reference), reference.tag())
}

/// Returns the name with a digest.
pub(super) fn digested(reference: &Reference, digest: &Digest) -> String {
    format!("{}@{digest}", repository(reference))
}

/// Returns a stored name without its tag or digest.
pub(super) fn of(stored: &str) -> &str {
    match stored.split_once('@') {
        Some((name, _)) => name,
        None => stored.rsplit_once(':').map_or(stored, |(name, _)| name),
    }
}

/// Whether a stored name has a digest.
pub(super) fn has_digest(stored: &str) -> bool {
    stored.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_has_one_name() {
        for written in ["debian", "debian:latest", "docker.io/debian", "index.docker.io/library/debian"] {
            assert_eq!(stored(&written.parse().unwrap()), "debian:latest", "{written}");
        }
        let digest = Digest::of("");
        for (written, expected) in [
            ("a/b".to_owned(), "a/b:latest".to_owned()),
            ("docker.io/library/a/b:1".to_owned(), "library/a/b:1".to_owned()),
            ("localhost:5000/a".to_owned(), "localhost:5000/a:latest".to_owned()),
            (format!("a:1@{digest}"), format!("a@{digest}")),
        ] {
            let name = stored(&written.parse().unwrap());
            assert_eq!(name, expected);
            // It is a name itself, and the same.
            assert_eq!(stored(&name.parse().unwrap()), name);
            assert_eq!(of(&name), repository(&written.parse().unwrap()));
        }
    }

    #[test]
    fn ids_and_names_are_told_apart() {
        let digest = Digest::of("");
        for word in [digest.to_string(), digest.hex()] {
            assert_eq!(Wanted::parse(&word).unwrap(), Wanted::Id(digest));
        }
        let prefix = |word: &str| match Wanted::parse(word).unwrap() {
            Wanted::Name { prefix, .. } => prefix,
            Wanted::Id(_) => None,
        };
        assert_eq!(prefix("cafe").as_deref(), Some("cafe"));
        assert_eq!(prefix("sha256:cafe").as_deref(), Some("cafe"));
        assert_eq!(prefix("cafe:latest"), None);
        for wrong in ["", "a b", "../containers/json?", "UPPER/case", "sha256:"] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_refused_or_means_one_thing(word in ".{0,80}|[a-f0-9:@/.]{0,80}") {
            if let Ok(Wanted::Name { name, .. }) = Wanted::parse(&word) {
                assert_eq!(stored(&name.parse().unwrap()), name);
            }
        }
    }
}
