//! The published schema.

use std::{collections::BTreeSet, path::Path};

use takelage_config::schema;

/// The file that editors use is the schema of the types. `cargo xtask generate` writes it anew.
#[test]
fn the_published_schema_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/takelage.schema.json");
    let published: serde_json::Value = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
    assert!(
        published == schema(),
        "docs/reference/takelage.schema.json is out of date, run `cargo xtask generate`"
    );
}

#[test]
fn the_schema_is_valid_and_describes_every_key() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, object) in definitions.iter().chain([(&"the file".to_owned(), &schema)]) {
        assert_eq!(object["additionalProperties"], false, "{name}");
        for (key, property) in object["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}: {key}");
        }
    }
    assert!(!schema.to_string().contains("\"null\""));
    assert!(nothing_but_words_beside_references(&schema), "draft 7, by which takelage checks, ignores them");
}

fn nothing_but_words_beside_references(node: &serde_json::Value) -> bool {
    match node {
        serde_json::Value::Object(map) => {
            let free = !map.contains_key("$ref")
                || map.keys().all(|key| matches!(key.as_str(), "$ref" | "description"));
            free && map.values().all(nothing_but_words_beside_references)
        }
        serde_json::Value::Array(items) => items.iter().all(nothing_but_words_beside_references),
        _ => true,
    }
}

/// The hand-written reference names every key, and no key that is none.
#[test]
fn the_reference_names_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/project-file.md");
    let text = fs_err::read_to_string(file).unwrap();
    let schema = schema();
    let objects = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    let keys: BTreeSet<&str> = objects
        .flat_map(|object| object["properties"].as_object().unwrap().keys().map(String::as_str))
        .collect();
    // The first cell of a row of a table of keys: `key` or `outer.key`.
    let rows =
        text.split("\n## Top level\n").nth(1).unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
    let cells =
        rows.filter_map(|row| row.split_once("` | ")).filter(|(_, rest)| rest.matches(" | ").count() == 2);
    let named: BTreeSet<&str> = cells.filter_map(|(key, _)| key.rsplit('.').next()).collect();
    let below: BTreeSet<&str> = ["links", "healthcheck"].into();
    assert_eq!(named, keys.difference(&below).copied().collect());
}
