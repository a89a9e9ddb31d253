//! The published schema.

use std::path::Path;

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
}
