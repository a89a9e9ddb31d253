//! `$VAR` and `${VAR:-default}`: Molecule's interpolation, textual and before YAML.
//!
//! The rules are those of Molecule 25's `interpolation.py` (itself Docker Compose's of 2015). Where takelage
//! differs on purpose:
//!
//! - comments are left alone;
//! - an unbraced `$VAR` ends with its name; in Molecule `$VAR-foo` takes all up to the next `}` as a default;
//! - a default ends on its line, so that a missing brace is found where it is missing;
//! - a default may be one reference, `$OTHER` or `${OTHER}`, and nothing else that begins with `$`; in
//!   Molecule the braced form leaves a `}` behind and the rest is silently empty;
//! - within quotes a value stays within: it is escaped as the quotes demand. Outside it is put in as it is,
//!   as in Molecule, and may thus be a list or a map; but it must be one line.

mod context;

use crate::{Position, error::Fault};
use context::{Context, Quoting};

/// An interpolated text, with the way back to the file as written.
#[derive(Debug)]
pub(crate) struct Interpolated {
    pub(crate) text: String,
    /// Ordered by `out`; the first begins at 0.
    pieces: Vec<Piece>,
    /// Where each line of the file begins, in characters.
    lines: Vec<usize>,
    /// Length of the file in characters.
    length: usize,
}

/// A run of characters of the interpolated text.
#[derive(Debug)]
struct Piece {
    /// Index of its first character in the interpolated text.
    out: usize,
    /// Index of the character in the file that it comes from.
    source: usize,
    /// Whether the characters are the file's own, and not a variable's value.
    verbatim: bool,
}

impl Interpolated {
    /// Returns the position in the file of the character with this index in the interpolated text.
    pub(crate) fn locate(&self, index: usize) -> Position {
        let source = match self.pieces.partition_point(|piece| piece.out <= index).checked_sub(1) {
            Some(last) => {
                let piece = &self.pieces[last];
                piece.source + if piece.verbatim { index - piece.out } else { 0 }
            }
            None => 0,
        };
        self.position(source)
    }

    fn position(&self, source: usize) -> Position {
        let source = source.min(self.length);
        let line = self.lines.partition_point(|start| *start <= source).max(1);
        Position { line, column: source - self.lines[line - 1] + 1 }
    }
}

/// Replaces all references in `text` by the values that `env` gives.
///
/// What is malformed is reported and left as it is.
pub(crate) fn interpolate(text: &str, env: &dyn Fn(&str) -> Option<String>) -> (Interpolated, Vec<Fault>) {
    let chars: Vec<char> = text.chars().collect();
    let newlines = chars.iter().enumerate().filter(|(_, c)| **c == '\n').map(|(index, _)| index + 1);
    let mut result = Interpolated {
        text: String::with_capacity(text.len()),
        pieces: vec![Piece { out: 0, source: 0, verbatim: true }],
        lines: std::iter::once(0).chain(newlines).collect(),
        length: chars.len(),
    };
    let mut faults = Vec::new();
    let mut context = Context::default();
    let (mut index, mut out) = (0, 0);
    while let Some(&c) = chars.get(index) {
        if c != '$' || context.in_comment() {
            context.step(&chars, index);
            result.text.push(c);
            (index, out) = (index + 1, out + 1);
            continue;
        }
        let (length, value) = match parse(&chars[index..]) {
            Ok((length, reference)) => {
                let value = reference.resolve(env, context.quoting()).unwrap_or_else(|name| {
                    let message = format!("the value of variable `{name}` has more than one line");
                    faults.push(
                        Fault::new(result.position(index), message)
                            .hint("put the reference in double quotes, where line breaks can be written"),
                    );
                    String::new()
                });
                (length, value)
            }
            Err(hint) => {
                faults.push(Fault::new(result.position(index), "invalid placeholder").hint(hint));
                let length = extent(&chars[index..]);
                (length, chars[index..index + length].iter().collect())
            }
        };
        context.substituted();
        result.pieces.push(Piece { out, source: index, verbatim: false });
        out += value.chars().count();
        index += length;
        result.text.push_str(&value);
        result.pieces.push(Piece { out, source: index, verbatim: true });
    }
    (result, faults)
}

/// Returns how much a malformed placeholder takes up: up to its first closing brace, if it has one.
fn extent(chars: &[char]) -> usize {
    if chars.get(1) != Some(&'{') {
        return 1;
    }
    let end = chars.iter().position(|c| matches!(c, '}' | '\n'));
    end.filter(|end| chars[*end] == '}').map_or(1, |end| end + 1)
}

/// What stands behind a `$`.
#[derive(Debug, PartialEq)]
enum Reference {
    /// `$$`.
    Dollar,
    /// `$NAME`, `${NAME}`, `${NAME-…}` or `${NAME:-…}`.
    Variable { name: String, default: Option<Default>, empty_counts: bool },
}

#[derive(Debug, PartialEq)]
enum Default {
    /// As written; escapes in it are the file's own.
    Text(String),
    Variable(String),
}

impl Reference {
    /// Returns the text to put in, or the name of a variable whose value does not fit there.
    fn resolve(self, env: &dyn Fn(&str) -> Option<String>, quoting: Quoting) -> Result<String, String> {
        let Self::Variable { name, default, empty_counts } = self else { return Ok("$".to_owned()) };
        match (env(&name), default) {
            (Some(value), None) => quoting.escape(&value).ok_or(name),
            (Some(value), Some(_)) if empty_counts || !value.is_empty() => quoting.escape(&value).ok_or(name),
            (_, Some(Default::Text(text))) => Ok(text),
            (_, Some(Default::Variable(other))) => {
                quoting.escape(&env(&other).unwrap_or_default()).ok_or(other)
            }
            (None, None) => Ok(String::new()),
        }
    }
}

/// Reads a reference at the beginning of `chars`, which is a `$`. Returns its length too, or else a hint.
fn parse(chars: &[char]) -> Result<(usize, Reference), &'static str> {
    match chars.get(1) {
        Some('$') => Ok((2, Reference::Dollar)),
        Some('{') => {
            let (length, name) = word(&chars[2..]).ok_or("write `${NAME}`, or `$$` for a dollar sign")?;
            let rest = &chars[2 + length..];
            let (operator, empty_counts) = match rest {
                ['}', ..] => {
                    let reference = Reference::Variable { name, default: None, empty_counts: true };
                    return Ok((length + 3, reference));
                }
                ['-', ..] => (1, true),
                [':', '-', ..] => (2, false),
                _ => {
                    return Err(
                        "only `${NAME}`, `${NAME-default}` and `${NAME:-default}` are known; `$$` is a dollar sign",
                    );
                }
            };
            let (size, default) = default(&rest[operator..])?;
            let reference = Reference::Variable { name, default: Some(default), empty_counts };
            Ok((2 + length + operator + size, reference))
        }
        _ => {
            let (length, name) = word(&chars[1..]).ok_or("write `$$` for a dollar sign")?;
            Ok((1 + length, Reference::Variable { name, default: None, empty_counts: true }))
        }
    }
}

/// Reads a default and the brace behind it.
fn default(chars: &[char]) -> Result<(usize, Default), &'static str> {
    const NESTED: &str = "a default that begins with `$` must be one reference, `$NAME` or `${NAME}`";
    if let ['$', rest @ ..] = chars {
        let braced = usize::from(rest.first() == Some(&'{'));
        let (length, name) = word(&rest[braced..]).ok_or(NESTED)?;
        let closing = rest[braced + length..].iter().take_while(|c| **c == '}').count();
        return if closing > braced {
            Ok((1 + 2 * braced + length + 1, Default::Variable(name)))
        } else {
            Err(NESTED)
        };
    }
    match chars.iter().position(|c| matches!(c, '}' | '\n')) {
        None => Err("the closing `}` is missing"),
        Some(end) if chars[end] == '\n' => Err("the closing `}` is missing"),
        Some(0) => Err("the default is empty; leave it out, what is not set is empty anyway"),
        Some(end) => Ok((end + 1, Default::Text(chars[..end].iter().collect()))),
    }
}

/// Reads a variable's name: a letter or underscore, then letters, digits, underscores.
fn word(chars: &[char]) -> Option<(usize, String)> {
    let length = chars.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count();
    let name: String = chars[..length].iter().collect();
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((length, name))
}

#[cfg(test)]
mod tests;
