//! Names and ids that appear in events, labels and file names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of an image in the project file: its key below `images:`.
///
/// It becomes part of container names and image references, so it follows the rule of a reference's path
/// component: lowercase letters and digits, separated by single `.`, `_` or by `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ImageName(String);

/// The text is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` is no image name: use lowercase letters and digits, separated by `-`, `_` or `.`")]
pub struct ImageNameError {
    /// What was given instead.
    pub name: String,
}

impl ImageName {
    /// Returns the name as written in the project file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(name: &str) -> Result<Self, ImageNameError> {
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends = [name.bytes().next(), name.bytes().last()];
        let separated = !["..", "._", "_.", "-.", ".-", "_-", "-_"].iter().any(|pair| name.contains(pair));
        let valid = ends.iter().all(|end| end.is_some_and(alphanumeric))
            && name.bytes().all(|b| alphanumeric(b) || matches!(b, b'-' | b'_' | b'.'))
            && separated
            && name.len() <= 64;
        if valid { Ok(Self(name.to_owned())) } else { Err(ImageNameError { name: name.to_owned() }) }
    }
}

impl TryFrom<String> for ImageName {
    type Error = ImageNameError;

    fn try_from(name: String) -> Result<Self, ImageNameError> {
        name.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One invocation of takelage: 12 hexadecimal digits, unique on this host for all practical purposes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Makes an id from 6 random bytes that the caller drew.
    pub fn from_random(bytes: [u8; 6]) -> Self {
        Self(hex::encode(bytes))
    }

    /// Takes an id that was read back from a label or a file name.
    pub fn from_recorded(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_path_components_of_a_reference() {
        for good in ["app", "a", "takel-base", "web_1", "v1.2", "a--b"] {
            assert!(good.parse::<ImageName>().is_ok(), "{good}");
        }
        for bad in ["", "App", "-a", "a-", "a..b", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }
}
