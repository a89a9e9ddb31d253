//! Shell patterns, as Python's `glob` and `fnmatch` understand them: `*`, `?`, `[…]`, and braces where asked for.

use std::path::{Path, PathBuf};

/// Whether `name` as a whole matches `pattern`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    matches_chars(&pattern, &name)
}

fn matches_chars(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skipped| matches_chars(rest, &name[skipped..])),
        ['?', rest @ ..] => !name.is_empty() && matches_chars(rest, &name[1..]),
        ['[', rest @ ..] => match (class(rest), name) {
            (Some((set, negated, length)), [first, after @ ..]) => {
                let inside = set.iter().any(|(low, high)| (low..=high).contains(&first));
                inside != negated && matches_chars(&rest[length..], after)
            }
            (Some(_), []) => false,
            (None, name) => name.first() == Some(&'[') && matches_chars(rest, &name[1..]),
        },
        [literal, rest @ ..] => name.first() == Some(literal) && matches_chars(rest, &name[1..]),
    }
}

type Class = (Vec<(char, char)>, bool, usize);

/// Reads a character class behind its opening bracket: its ranges, whether it is negated, and its length. `None`: the
/// bracket is never closed, and stands for itself.
fn class(pattern: &[char]) -> Option<Class> {
    let negated = pattern.first() == Some(&'!');
    let start = usize::from(negated);
    // A bracket in the first place is one of the class.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let mut ranges = Vec::new();
    let mut inner = &pattern[start..end];
    while let [low, rest @ ..] = inner {
        if let ['-', high, rest @ ..] = rest {
            ranges.push((*low, *high));
            inner = rest;
        } else {
            ranges.push((*low, *low));
            inner = rest;
        }
    }
    Some((ranges, negated, end + 1))
}

/// Returns the paths below `directory` that match `pattern`, a path of patterns; hidden names only match a pattern that
/// begins with a dot. The result is spelt as Python's `glob` spells it: `..` stays.
pub(crate) fn paths(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let (mut found, parts) = match pattern.strip_prefix('/') {
        Some(rest) => (vec![PathBuf::from("/")], rest),
        None => (vec![directory.to_owned()], pattern),
    };
    let parts: Vec<&str> = parts.split('/').filter(|part| !part.is_empty()).collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        found = found.iter().flat_map(|path| step(path, part)).collect();
        if !last {
            found.retain(|path| path.is_dir());
        }
    }
    found
}

fn step(directory: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains(['*', '?', '[']) {
        let path = directory.join(part);
        return if path.symlink_metadata().is_ok() { vec![path] } else { Vec::new() };
    }
    let mut names: Vec<String> = fs_err::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') || part.starts_with('.'))
        .filter(|name| matches(part, name))
        .collect();
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}

/// Returns the patterns that a pattern with braces stands for: `{a,b}*` is `a*` and `b*`.
pub(crate) fn unfold_braces(pattern: &str) -> Vec<String> {
    let Some(open) = pattern.find('{') else { return vec![pattern.to_owned()] };
    let mut depth = 0;
    let mut cuts = vec![open];
    for (index, c) in pattern.char_indices().skip_while(|(index, _)| *index < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => cuts.push(index),
            _ => {}
        }
        if depth == 0 {
            cuts.push(index);
            break;
        }
    }
    if depth != 0 || cuts.len() < 3 {
        // Not closed, or nothing to choose from: it stands for itself.
        return vec![pattern.to_owned()];
    }
    let (before, after) = (&pattern[..open], &pattern[cuts[cuts.len() - 1] + 1..]);
    let choices = cuts.windows(2).map(|pair| &pattern[pair[0] + 1..pair[1]]);
    choices.flat_map(|choice| unfold_braces(&format!("{before}{choice}{after}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shells_do() {
        for (pattern, name) in [
            ("test_*.py", "test_a.py"),
            ("*", ""),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("[]]", "]"),
            ("[", "["),
            ("a*b*c", "aXbYbc"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("test_*.py", "test_a.pyc"), ("?", ""), ("[!a]", "a"), ("[ab]", "c"), ("a", "A")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn braces_are_a_choice() {
        assert_eq!(unfold_braces("{a,b}_*"), ["a_*", "b_*"]);
        assert_eq!(unfold_braces("x{1,{2,3}}{y,z}"), ["x1y", "x1z", "x2y", "x2z", "x3y", "x3z"]);
        assert_eq!(unfold_braces("{a}"), ["{a}"]);
        assert_eq!(unfold_braces("{a,b"), ["{a,b"]);
    }

    #[test]
    fn paths_keep_their_spelling_and_hidden_names_stay_hidden() {
        let root = tempfile::tempdir().unwrap();
        for path in ["roles/a/tests", "roles/b/tests", "roles/.c/tests", "tests"] {
            fs_err::create_dir_all(root.path().join(path)).unwrap();
        }
        fs_err::write(root.path().join("roles/b/tests/test_x.py"), "").unwrap();
        let at = root.path().join("tests");
        assert_eq!(paths(&at, "../roles/*/tests/test_*.py"), [at.join("../roles/b/tests/test_x.py")]);
        assert_eq!(paths(&at, "../roles/*/tests").len(), 2);
        assert!(paths(&at, "nothing").is_empty());
    }
}
