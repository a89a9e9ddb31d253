//! Any text at all.

use proptest::prelude::*;
use takelage_config::{ConfigError, Position, Problem};

use crate::files::parse_with;

/// Pieces of project files, right and wrong, that random texts are made of.
const PIECES: [&str; 48] = [
    "images:",
    "app:",
    "base:",
    "from: ",
    "bootstrap: ",
    "playbook: ",
    "layers: ",
    "tags: ",
    "config: ",
    "container: ",
    "env: ",
    "command: ",
    "inventory: ",
    "links: ",
    "cache: ",
    "size: ",
    "max_age: ",
    "healthcheck: ",
    "retries: ",
    "test: ",
    "tmpfs: ",
    "volumes: ",
    "expose: ",
    "memory: ",
    "name: ",
    "base",
    "app",
    "5",
    "1e400",
    "3.0",
    "-1",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    "\"",
    "&a ",
    "*a",
    "<<: ",
    "${X:-",
    "$",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "|\n",
];

proptest! {
    #[test]
    fn every_text_is_a_project_or_has_problems_in_order(
        text in prop_oneof![
            prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60).prop_map(|pieces| pieces.concat()),
            prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)
                .prop_map(|pieces| format!("images:\n  app:\n    from: debian\n{}", pieces.concat())),
            "\\PC{0,100}",
            prop::collection::vec(any::<u8>(), 0..100).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ]
    ) {
        let env = |name: &str| (name == "X").then(|| "a: [".to_owned());
        if let Err(ConfigError::Problems { problems }) = parse_with(&text, &env) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.is_sorted_by_key(Problem::position));
            let lines = text.split('\n').count();
            for problem in problems {
                prop_assert!(problem.position() >= Position::START && problem.line <= lines, "{problem}\n{text}");
                prop_assert!(!problem.message.contains("missing field") && !problem.message.contains("invalid type"), "{problem}\n{text}");
            }
        }
    }

    /// A value of any type at every key: what the schema lets through can be read, and what it does not is a
    /// problem at that very line.
    #[test]
    fn the_schema_is_as_strict_as_the_types(
        key in prop::sample::select(keys()),
        value in prop::sample::select(&["", "5", "-1", "3.0", "1e30", "99999999999999999999", "yes", "text", "[]", "[a]", "[1]", "[[a]]", "{}", "{a: b}", "{a: 1}", "{a: {b: c}}", "{a: null}", "[null]"][..]),
    ) {
        let steps: Vec<_> = key.split('/').enumerate().map(|(level, step)| "  ".repeat(level) + step + ":").collect();
        let text = format!("{} {value}\n", steps.join("\n"));
        if let Err(ConfigError::Problems { problems }) = parse_with(&text, &|_| None) {
            for problem in problems {
                let known = ["`images`", "`from`", "`suite`", "`test`"].iter().any(|name| problem.message.contains(name));
                prop_assert!(known || problem.line == steps.len(), "{problem}\n{text}");
                prop_assert!(!problem.message.contains("expected"), "{problem}\n{text}");
            }
        }
    }
}

/// All keys that the schema knows, as paths.
fn keys() -> Vec<String> {
    fn collect(node: &serde_json::Value, root: &serde_json::Value, path: &str, into: &mut Vec<String>) {
        if let Some(reference) = node["$ref"].as_str() {
            return collect(root.pointer(&reference[1..]).expect("a definition"), root, path, into);
        }
        if !path.is_empty() {
            into.push(path.to_owned());
        }
        let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") };
        for (key, property) in node["properties"].as_object().into_iter().flatten() {
            collect(property, root, &at(key), into);
        }
        if node["additionalProperties"].is_object() {
            collect(&node["additionalProperties"], root, &at("app"), into);
        }
    }
    let schema = takelage_config::schema();
    let mut keys = Vec::new();
    collect(&schema, &schema, "", &mut keys);
    assert!(keys.contains(&"images/app/container/env/app".to_owned()), "{keys:?}");
    keys
}
