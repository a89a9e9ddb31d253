//! Checks the tracked files for what must never be committed.

use std::process::Command;

use crate::chore::{self, Broken, Finding};

/// What is looked for, and why. The texts are put together so that this file does not contain them.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("to", "do!("), "unfinished code"),
    (concat!("unimple", "mented!("), "unfinished code"),
    (concat!("db", "g!("), "a debugging aid"),
    (concat!("FIX", "ME"), "a note to oneself: file an issue, or do it"),
    (concat!("XX", "X"), "a note to oneself: file an issue, or do it"),
    (concat!("TO", "DO"), "a note to oneself: file an issue, or do it"),
    (concat!("<<<<", "<<< "), "a conflict that was not resolved"),
    (concat!(">>>>", ">>> "), "a conflict that was not resolved"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/tmp/tar", "get"), "a path of one machine"),
    (concat!("BEGIN OPENSSH PRI", "VATE KEY"), "a secret"),
    (concat!("BEGIN RSA PRI", "VATE KEY"), "a secret"),
];

/// Checks every tracked file that is text.
pub(crate) fn check() -> Result<Vec<Finding>, Broken> {
    let listed = chore::run(Command::new("git").args(["ls-files", "-z"]))?;
    let names = String::from_utf8_lossy(&listed.stdout);
    let mut findings = Vec::new();
    for name in names.split_terminator('\0') {
        let path = chore::workspace().join(name);
        // A tracked file may be a link, be deleted in the work tree or be no text.
        let Ok(content) = fs_err::read(path) else { continue };
        let Ok(text) = std::str::from_utf8(&content) else { continue };
        findings.extend(found(name, text));
    }
    Ok(findings)
}

fn found(name: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (forbidden, reason) in FORBIDDEN {
            if contains_word(line, forbidden) {
                findings.push(format!("{name}:{}: `{forbidden}`: {reason}", index + 1));
            }
        }
    }
    findings
}

/// Whether `line` contains `word` and not only as a part of a longer one: `mktemp` wants a row of X.
fn contains_word(line: &str, word: &str) -> bool {
    let letter = |edge: Option<char>| edge.is_some_and(|edge| edge.is_alphanumeric() || edge == '_');
    let [first, last] = [letter(word.chars().next()), letter(word.chars().next_back())];
    line.match_indices(word).any(|(at, _)| {
        let before = letter(line[..at].chars().next_back());
        let after = letter(line[at + word.len()..].chars().next());
        !((first && before) || (last && after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_forbidden_text_is_found_with_its_line() {
        for (forbidden, _) in FORBIDDEN {
            let findings = found("file", &format!("good\n    {forbidden}\n"));
            assert_eq!(findings.len(), 1, "{forbidden}");
            assert!(findings[0].starts_with("file:2: "), "{findings:?}");
        }
    }

    #[test]
    fn parts_of_longer_words_are_not() {
        let row = "X".repeat(8);
        assert_eq!(found("file", &format!("mktemp -d name.{row}")), Vec::<String>::new());
        assert_eq!(found("file", concat!("MASTO", "DON")), Vec::<String>::new());
    }

    #[test]
    fn this_file_forbids_nothing_of_itself() {
        assert_eq!(found("forbid.rs", include_str!("forbid.rs")), Vec::<String>::new());
    }
}
