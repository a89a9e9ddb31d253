//! Values as Python's `str` writes them, which is what Molecule puts into `ansible.cfg` and the environment.

use std::fmt::Write as _;

use serde_json::Value;

/// Returns what `str(value)` gives: `True`, `None`, `['a', 1]`, and a string as it is.
pub(super) fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let mut text = String::new();
            repr(other, &mut text);
            text
        }
    }
}

fn repr(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        // Both write the shortest digits that mean the same number.
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => quoted(string, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                repr(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                quoted(key, text);
                text.push_str(": ");
                repr(value, text);
            }
            text.push('}');
        }
    }
}

/// Python prefers single quotes, unless only they occur in the string.
fn quoted(string: &str, text: &mut String) {
    let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for c in string.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            c if c == quote => text.extend(['\\', c]),
            // Writing to a string cannot fail.
            c if c.is_control() => drop(write!(text, "\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push(quote);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_python_writes_them() {
        for (value, text) in [
            (json!("a b"), "a b"),
            (json!(true), "True"),
            (json!(null), "None"),
            (json!(1.5), "1.5"),
            (json!(-3), "-3"),
            (json!(["a", 1, "it's", "\"'"]), r#"['a', 1, "it's", '"\'']"#),
            (json!({"a": [null]}), "{'a': [None]}"),
        ] {
            assert_eq!(str(&value), text);
        }
    }
}
