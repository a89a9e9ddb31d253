//! Values that may be written in more than one way.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// A command: a line, or its words. What a line means depends on the key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum Command {
    /// One line.
    Line(String),
    /// Program and arguments.
    Words(Vec<String>),
}

/// A string that may look like a number or a boolean, such as `8080` or `true`.
///
/// What counts is how it is written (`Mark::text`): `1.10` is not 1.1. The value here is a stand-in.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text(pub(crate) Value);

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
