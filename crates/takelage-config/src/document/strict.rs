//! The generated schema, made as strict as the file is read.

use schemars::{Schema, transform::transform_subschemas};
use serde_json::Value;

/// Takes away that optional keys may be `null`.
///
/// A key without a value is nearly always a slip, or a variable that is not set; the file must rather leave
/// the key out. The transformation does not touch free values, whose schema is `true`.
pub(super) fn without_null(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut() {
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(options)) = object.get_mut("enum") {
            options.retain(|option| !option.is_null());
        }
        if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
            branches.retain(|branch| branch != &serde_json::json!({"type": "null"}));
            if let [Value::Object(only)] = branches.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                // The key's own description is more precise than that of its type.
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
    transform_subschemas(&mut without_null, schema);
}
