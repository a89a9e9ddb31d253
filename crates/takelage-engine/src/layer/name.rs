//! Names of entries: where below the root something lies.

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt, path::PathBuf};

/// As much of a name is shown in an error.
const LONGEST_SHOWN: usize = 4096;

/// A path below the root of a tree: components that are neither empty nor `.` nor `..`, joined by `/`.
/// The root itself is the empty name.
///
/// Nothing is said about what lies there: a component may be a symbolic link. Only the
/// [kernel](super::tree::Tree) resolves names, never this type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Name(Vec<u8>);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameError {
    /// It has a component `..`.
    Parent,
    /// It has a zero byte.
    Zero,
    /// It is longer than is allowed.
    Long,
}

impl NameError {
    /// Says so, as the reason of a refusal.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Parent => "it has a name with a component `..`",
            Self::Zero => "it has a name with a zero byte",
            Self::Long => "it has a name that is too long",
        }
    }
}

impl Name {
    /// Cleans a name as archives write it: `/a//b/./c/` is `a/b/c`.
    ///
    /// `..` is no part of a name that anybody needs; what it means where `a` is a symbolic link is understood
    /// differently by every unpacker.
    pub(super) fn parse(raw: &[u8], most: usize) -> Result<Self, NameError> {
        if raw.len() > most {
            return Err(NameError::Long);
        }
        if raw.contains(&0) {
            return Err(NameError::Zero);
        }
        let mut name = Vec::with_capacity(raw.len());
        for component in raw.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(NameError::Parent),
                component => {
                    if !name.is_empty() {
                        name.push(b'/');
                    }
                    name.extend_from_slice(component);
                }
            }
        }
        Ok(Self(name))
    }

    /// Takes a text that is shown in an error and never resolved.
    pub(super) fn shown(raw: &[u8]) -> Self {
        Self(raw[..raw.len().min(LONGEST_SHOWN)].to_vec())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Parts the last component from what it lies in. `None`: it is the root.
    pub(super) fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (b"", &self.0),
        })
    }

    /// Returns the components from the root on.
    pub(super) fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|component| !component.is_empty())
    }

    /// Returns the name of `component` in this directory.
    pub(super) fn join(&self, component: &[u8]) -> Self {
        let mut name = self.0.clone();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(component);
        Self(name)
    }

    pub(super) fn to_path(&self) -> PathBuf {
        if self.is_root() { PathBuf::from(".") } else { PathBuf::from(OsStr::from_bytes(&self.0)) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { ".".into() } else { String::from_utf8_lossy(&self.0) }.as_ref())
    }
}
