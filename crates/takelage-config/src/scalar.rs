//! What a scalar of YAML means.
//!
//! The rules are those of YAML 1.2's core schema, and two of YAML 1.1 that everybody expects who writes for
//! Ansible or Molecule, whose reader (`PyYAML`) is of that version: `yes`, `no`, `on` and `off` are booleans, and
//! a leading zero makes a number octal (`mode: 0644`). Dates and base-60 numbers stay strings.

use std::borrow::Cow;

use saphyr::{Scalar, ScalarStyle, Tag};
use serde_json::{Number, Value};

/// Returns the value, or why there is none.
pub(crate) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Result<Value, String> {
    if let Some(tag) = tag
        && !tag.is_yaml_core_schema()
        && !(tag.handle.is_empty() && tag.suffix == "!")
    {
        return Err(format!("the tag `{tag}` has no meaning here"));
    }
    if style == ScalarStyle::Plain && tag.is_none() {
        match text {
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Ok(Value::Bool(true)),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Ok(Value::Bool(false)),
            _ => {}
        }
        if let Some(number) = octal(text) {
            return Ok(number.into());
        }
    }
    match Scalar::parse_from_cow_and_metadata(text.into(), style, tag) {
        Some(Scalar::Null) => Ok(Value::Null),
        Some(Scalar::Boolean(value)) => Ok(value.into()),
        Some(Scalar::Integer(value)) => Ok(value.into()),
        Some(Scalar::FloatingPoint(value)) => {
            Number::from_f64(*value).map(Value::Number).ok_or_else(|| format!("`{text}` is no finite number"))
        }
        Some(Scalar::String(value)) => Ok(Value::String(value.into_owned())),
        None => Err(format!("`{text}` does not fit its tag")),
    }
}

/// Reads `0644` and the like, perhaps with a sign.
fn octal(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.strip_prefix('0')?;
    if digits.is_empty() || !digits.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return None;
    }
    i64::from_str_radix(digits, 8).ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_mean_what_ansible_takes_them_for() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("on", json!(true)),
            ("No", json!(false)),
            ("y", json!("y")),
            ("42", json!(42)),
            ("0644", json!(420)),
            ("0o17", json!(15)),
            ("0x1f", json!(31)),
            ("089", json!(89)),
            ("1.5", json!(1.5)),
            ("22:22", json!("22:22")),
            ("2024-01-01", json!("2024-01-01")),
            ("nope", json!("nope")),
        ] {
            assert_eq!(resolve(text, ScalarStyle::Plain, None), Ok(value), "{text}");
        }
        assert_eq!(resolve("on", ScalarStyle::DoubleQuoted, None), Ok(json!("on")));
        assert!(resolve(".inf", ScalarStyle::Plain, None).is_err());
    }
}
