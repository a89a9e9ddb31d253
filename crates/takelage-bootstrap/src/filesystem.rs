//! What was laid out so far, and where a path of a package ends up.
//!
//! Packages write `./bin/sh` while `/bin` is a link to `usr/bin`. dpkg follows such links, so they are followed here, never
//! beyond the root: targets are resolved within what was laid out, and `..` in a package's own paths is refused.

use std::collections::HashMap;

/// Something laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A file, or anything else that is no directory, with the index of the package that has it.
    File,
}

/// A tree of nodes by canonical path; the root is the empty path.
#[derive(Debug, Default)]
pub(crate) struct Filesystem {
    nodes: HashMap<Vec<u8>, (Node, usize)>,
}

/// Links followed for one path; Linux has the same limit.
const LINK_LIMIT: usize = 40;

impl Filesystem {
    /// Returns where the entry `path` of a package ends up: its parents resolved, its last component not.
    ///
    /// The empty path is the root itself. Fails with a reason for paths that leave the root or pass through a file.
    pub(crate) fn place(&self, path: &[u8]) -> Result<Vec<u8>, String> {
        let components: Vec<&[u8]> = components(path).collect();
        if components.iter().any(|component| *component == b"..") {
            return Err("it contains `..`".into());
        }
        if path.contains(&0) {
            return Err("it contains a zero byte".into());
        }
        let Some((last, parents)) = components.split_last() else { return Ok(Vec::new()) };
        let mut place = self.resolve(parents)?;
        push(&mut place, last);
        Ok(place)
    }

    /// Returns what is at a canonical path, and the package that it is of.
    pub(crate) fn get(&self, place: &[u8]) -> Option<&(Node, usize)> {
        self.nodes.get(place)
    }

    pub(crate) fn insert(&mut self, place: Vec<u8>, node: Node, package: usize) {
        self.nodes.insert(place, (node, package));
    }

    /// Whether a canonical path is a directory, perhaps by way of links.
    pub(crate) fn is_directory(&self, place: &[u8]) -> bool {
        let components: Vec<_> = components(place).collect();
        self.resolve(&components).is_ok_and(|place| {
            place.is_empty() || matches!(self.nodes.get(&place), Some((Node::Directory, _)))
        })
    }

    /// Returns the parents of a canonical path that nobody has laid out, outermost first.
    pub(crate) fn missing_parents(&self, place: &[u8]) -> Vec<Vec<u8>> {
        (0..place.len())
            .filter(|end| place[*end] == b'/')
            .map(|end| place[..end].to_vec())
            .filter(|parent| !self.nodes.contains_key(parent))
            .collect()
    }

    fn resolve(&self, path: &[&[u8]]) -> Result<Vec<u8>, String> {
        let mut place = Vec::new();
        let mut rest: Vec<Vec<u8>> = path.iter().rev().map(|component| component.to_vec()).collect();
        let mut links = 0;
        while let Some(component) = rest.pop() {
            if component == b".." {
                let end = place.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                place.truncate(end);
                continue;
            }
            let parent = place.len();
            push(&mut place, &component);
            match self.nodes.get(&place) {
                Some((Node::Symlink(target), _)) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err("it passes through too many links".into());
                    }
                    place.truncate(if target.starts_with(b"/") { 0 } else { parent });
                    rest.extend(components(target).collect::<Vec<_>>().into_iter().rev().map(<[u8]>::to_vec));
                }
                Some((Node::File, _)) => {
                    return Err(format!("it passes through the file `/{}`", String::from_utf8_lossy(&place)));
                }
                Some((Node::Directory, _)) | None => {}
            }
        }
        Ok(place)
    }
}

/// Splits at slashes and leaves out `.` and what is empty.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|component| !component.is_empty() && *component != b".")
}

fn push(place: &mut Vec<u8>, component: &[u8]) {
    if !place.is_empty() {
        place.push(b'/');
    }
    place.extend_from_slice(component);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged() -> Filesystem {
        let mut filesystem = Filesystem::default();
        for (path, node) in [
            ("usr", Node::Directory),
            ("usr/bin", Node::Directory),
            ("bin", Node::Symlink(b"usr/bin".to_vec())),
            ("up", Node::Symlink(b"../../usr/./bin/../bin".to_vec())),
            ("top", Node::Symlink(b"/usr".to_vec())),
            ("loop", Node::Symlink(b"/loop/x".to_vec())),
            ("usr/file", Node::File),
        ] {
            filesystem.insert(path.into(), node, 0);
        }
        filesystem
    }

    #[test]
    fn parents_are_followed_within_the_root() {
        let filesystem = merged();
        let place = |path: &str| filesystem.place(path.as_bytes()).map(|p| String::from_utf8(p).unwrap());
        assert_eq!(place("./bin/sh").unwrap(), "usr/bin/sh");
        assert_eq!(place("/up/sh").unwrap(), "usr/bin/sh");
        assert_eq!(place("top/bin/sh").unwrap(), "usr/bin/sh");
        assert_eq!(place("./bin/").unwrap(), "bin");
        assert_eq!(place("./").unwrap(), "");
        for hostile in ["../etc/passwd", "usr/../../x", "loop/x", "usr/file/x", "a\0b"] {
            assert!(place(hostile).is_err(), "{hostile}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(
            links in proptest::collection::vec(("[abc/]{1,6}", "[abc./]{1,12}"), 0..6),
            path in "[abc./]{0,16}",
        ) {
            let mut filesystem = Filesystem::default();
            for (index, (at, target)) in links.iter().enumerate() {
                if let Ok(place) = filesystem.place(at.as_bytes()) {
                    filesystem.insert(place, Node::Symlink(target.clone().into_bytes()), index);
                }
            }
            if let Ok(place) = filesystem.place(path.as_bytes()) {
                prop_assert!(!place.starts_with(b"/"));
                prop_assert!(place.split(|b| *b == b'/').all(|c| c != b".." && c != b"."));
            }
        }
    }
}
