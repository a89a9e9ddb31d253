//! The check of a document against the schema: every problem at once, each as a sentence.

mod words;

use std::sync::LazyLock;

use jsonschema::{Draft, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use crate::{
    document::schema,
    error::Fault,
    position::{Marks, join, last},
    suggestion,
};
use words::{allowed, expected, found};

/// The schema, read as one of draft 7: it says the same there, and the validator's own start, which checks
/// the schema first, takes a third of the time that it takes for draft 2020-12.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schema();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    schema
});
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let validator = jsonschema::options().with_draft(Draft::Draft7).build(&SCHEMA);
    validator.expect("a generated schema is a valid schema, which a test shows")
});

/// Checks `value`, and takes out of it all that is wrong, so that the rest can be checked for its meaning.
pub(crate) fn check(value: &mut Value, marks: &Marks) -> Vec<Fault> {
    let mut check = Check { marks, schema: &SCHEMA, faults: Vec::new(), wrong: Vec::new() };
    for error in VALIDATOR.iter_errors(value) {
        check.report(&error, error.schema_path().as_str());
    }
    let Check { faults, mut wrong, .. } = check;
    // The last items of a list first, so that the others keep their places.
    wrong.sort_by_key(|pointer| std::cmp::Reverse((pointer.len(), pointer.clone())));
    for pointer in wrong {
        remove(value, &pointer);
    }
    faults
}

struct Check<'a> {
    marks: &'a Marks,
    schema: &'a Value,
    faults: Vec<Fault>,
    /// Pointers to what has no place in the document.
    wrong: Vec<String>,
}

impl Check<'_> {
    fn report(&mut self, error: &ValidationError<'_>, schema_path: &str) {
        let pointer = error.instance_path().as_str();
        let free = schema_path.rsplit('/').nth(1) == Some("additionalProperties");
        let subject = subject(pointer, free);
        // The schema of the value: the schema's path ends with the keyword.
        let node = schema_path
            .rsplit_once('/')
            .and_then(|(node, _)| self.schema.pointer(node))
            .unwrap_or(&Value::Null);
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = || {
                    node.get("properties").and_then(Value::as_object).into_iter().flat_map(|map| map.keys())
                };
                for key in unexpected {
                    let at = join(pointer, key);
                    let fault = Fault::new(self.marks.key(&at), format!("unknown key `{key}`"));
                    let fault = match suggestion::nearest(key, known().map(String::as_str)) {
                        Some(near) => {
                            Fault { message: format!("{}, did you mean `{near}`?", fault.message), ..fault }
                        }
                        None => fault.hint(format!("known here are {}", words::list(known()))),
                    };
                    self.faults.push(fault);
                    self.wrong.push(at);
                }
                return;
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                self.fault_at_key(pointer, format!("{subject} lacks the key `{key}`"));
            }
            ValidationErrorKind::AnyOf { context } => {
                // One of the branches is of the value's own kind: what is wrong is inside of it.
                let inside = |errors: &&Vec<ValidationError<'_>>| {
                    !errors.is_empty()
                        && errors.iter().all(|inner| inner.instance_path().as_str().len() > pointer.len())
                };
                if let Some(errors) = context.iter().find(inside) {
                    for inner in errors {
                        self.report(inner, inner.schema_path().as_str());
                    }
                    return;
                }
                self.mismatch(pointer, &subject, error.instance(), &expected(node, self.schema));
            }
            ValidationErrorKind::Type { .. } => {
                self.mismatch(pointer, &subject, error.instance(), &expected(node, self.schema));
            }
            ValidationErrorKind::Enum { .. } => {
                let options = allowed(node);
                let message = match error.instance() {
                    value if value.is_string() => {
                        let written = value.as_str().unwrap_or_default();
                        let message = format!("{subject} cannot be `{written}`");
                        match suggestion::nearest(written, options.iter().map(String::as_str)) {
                            Some(near) => format!("{message}, did you mean `{near}`?"),
                            None => message,
                        }
                    }
                    value => format!("{subject} cannot be {}", found(value)),
                };
                self.faults.push(
                    Fault::new(self.marks.value(pointer), message)
                        .hint(format!("use one of {}", words::list(&options))),
                );
            }
            ValidationErrorKind::MinProperties { .. } | ValidationErrorKind::MinItems { .. } => {
                self.faults
                    .push(Fault::new(self.marks.value(pointer), format!("{subject} must not be empty")));
            }
            ValidationErrorKind::Minimum { limit } => {
                self.faults.push(Fault::new(
                    self.marks.value(pointer),
                    format!("{subject} must be at least {limit}"),
                ));
            }
            // The schema has no other keywords today; whatever comes gets the validator's own words.
            _ => self.faults.push(Fault::new(self.marks.value(pointer), format!("{subject}: {error}"))),
        }
        self.wrong.push(pointer.to_owned());
    }

    fn mismatch(&mut self, pointer: &str, subject: &str, value: &Value, expected: &str) {
        let at = if value.is_null() { self.marks.key(pointer) } else { self.marks.value(pointer) };
        let fault = match value {
            Value::Null if pointer.is_empty() => Fault::new(at, "the file is empty"),
            Value::Null => Fault::new(at, format!("{subject} must be {expected}, but has no value"))
                .hint("leave the key out, or check whether a variable in it is set"),
            value => {
                let fault = Fault::new(at, format!("{subject} must be {expected}, not {}", found(value)));
                match value {
                    Value::Number(_) | Value::Bool(_) if expected.starts_with("a string") => {
                        fault.hint("put it in quotes")
                    }
                    _ => fault,
                }
            }
        };
        self.faults.push(fault);
    }

    fn fault_at_key(&mut self, pointer: &str, message: String) {
        self.faults.push(Fault::new(self.marks.key(pointer), message));
    }
}

/// Says what a pointer points to: a key, an item of a list by its number, or a `free` key by its map.
fn subject(pointer: &str, free: bool) -> String {
    let Some((around, _)) = pointer.rsplit_once('/') else { return "the file".to_owned() };
    let (step, around) = (last(pointer).unwrap_or_default(), last(around));
    match (step.parse::<usize>(), around) {
        (_, Some(map)) if free => format!("`{step}` in `{map}`"),
        (Ok(index), Some(list)) => format!("item {} of `{list}`", index + 1),
        _ => format!("`{step}`"),
    }
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, step)) = pointer.rsplit_once('/') else {
        *value = Value::Null;
        return;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.shift_remove(&step.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            if let Some(index) = step.parse().ok().filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}
