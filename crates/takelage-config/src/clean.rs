//! What an image is rid of before it is committed.

use std::path::{Component, Path};

use takelage_model::Leftovers;

use crate::glob;

/// One entry of `clean:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clean {
    /// What provisioning has left, of a kind.
    Kind(Leftovers),
    /// What provisioning has written at certain paths.
    Paths(PathPattern),
}

/// A pattern of absolute paths. `*`, `?` and `[…]` stand for parts of a name, `**` for any number of directories.
///
/// It matches a path and everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(Vec<String>);

impl PathPattern {
    /// Reads a pattern. `None`: it does not begin with `/`, has a component `..`, or would match everything.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts = text.strip_prefix('/')?.split('/').filter(|part| !part.is_empty() && *part != ".");
        let parts: Vec<String> = parts.map(str::to_owned).collect();
        let names_something = parts.iter().any(|part| !part.trim_matches('*').is_empty());
        (names_something && !parts.iter().any(|part| part == "..")).then_some(Self(parts))
    }

    /// Whether a path, absolute or below the root, matches.
    pub fn matches(&self, path: &Path) -> bool {
        let names: Vec<_> = path
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_string_lossy()),
                _ => None,
            })
            .collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        begins(&self.0, &names)
    }
}

/// Whether the first of `names` match all of `parts`.
fn begins(parts: &[String], names: &[&str]) -> bool {
    match (parts, names) {
        ([], _) => true,
        ([part, rest @ ..], names) if part == "**" => {
            (0..=names.len()).any(|skipped| begins(rest, &names[skipped..]))
        }
        ([part, rest @ ..], [name, names @ ..]) => glob::matches(part, name) && begins(rest, names),
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_it_names_and_what_is_below() {
        for (pattern, path, expected) in [
            ("/opt/build", "/opt/build", true),
            ("/opt/build/", "opt/build/a/b", true),
            ("/opt/build", "opt/builder", false),
            ("/opt/build", "srv/opt/build", false),
            ("/opt/*.o", "opt/a.o", true),
            ("/opt/*.o", "opt/a/b.o", false),
            ("/opt/**/*.o", "opt/a.o", true),
            ("/opt/**/*.o", "opt/a/b/c.o", true),
            ("/**/.git", "home/bob/src/.git/HEAD", true),
            ("/**/.git", "home/bob/src/git", false),
        ] {
            let pattern = PathPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(Path::new(path)), expected, "{pattern:?} {path}");
        }
        for wrong in ["opt", "", "/", "//", "/*", "/**", "/**/*", "/opt/../etc"] {
            assert_eq!(PathPattern::parse(wrong), None, "{wrong}");
        }
    }
}
