//! Schemas and values in words.

use serde_json::Value;

/// Says what a schema wants: `a list of strings`.
pub(super) fn expected(node: &Value, root: &Value) -> String {
    if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
        return reference
            .strip_prefix('#')
            .and_then(|at| root.pointer(at))
            .map_or_else(String::new, |to| expected(to, root));
    }
    if let Some(branches) = node.get("anyOf").and_then(Value::as_array) {
        let branches: Vec<_> = branches.iter().map(|branch| expected(branch, root)).collect();
        return branches.join(" or ");
    }
    if node.get("enum").is_some() {
        return format!("one of {}", list(allowed(node)));
    }
    match node.get("type") {
        // What may look like a number or a boolean is still a string to those who write it.
        Some(Value::Array(names)) if names.iter().any(|name| name == "string") => "a string".to_owned(),
        Some(Value::Array(names)) => {
            let names: Vec<_> =
                names.iter().filter_map(Value::as_str).map(|name| single(name, node, root)).collect();
            match names.as_slice() {
                [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                _ => names.concat(),
            }
        }
        Some(Value::String(name)) => single(name, node, root),
        _ => "something else".to_owned(),
    }
}

fn single(name: &str, node: &Value, root: &Value) -> String {
    match name {
        "object" => "a map".to_owned(),
        "array" => match node.get("items").map(|items| expected(items, root)).as_deref() {
            Some("a string") => "a list of strings".to_owned(),
            _ => "a list".to_owned(),
        },
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => "a whole number".to_owned(),
        other => format!("a {other}"),
    }
}

/// Says what a value is: `a number`.
pub(super) fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Returns the values that a schema lists.
pub(super) fn allowed(node: &Value) -> Vec<String> {
    let options = node.get("enum").and_then(Value::as_array).into_iter().flatten();
    options.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Lists names: `` `a`, `b` and `c` ``.
pub(super) fn list(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}
