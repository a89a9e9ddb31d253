//! Options that become flags of a program: `provisioner.options`, `verifier.options` and `dependency.options`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::reader::{Reader, subject};
use crate::position::join;

/// What an option is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// The flag alone, or not at all.
    Flag(bool),
    /// The flag with a value.
    Text(String),
}

/// Options by name, sorted as Molecule sorts them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags(BTreeMap<String, OptionValue>);

impl Flags {
    /// Sets a flag, in place of what it was set to.
    pub fn set(&mut self, name: &str, value: OptionValue) {
        self.0.insert(name.to_owned(), value);
    }

    /// Sets a flag to a text.
    pub fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, OptionValue::Text(value.into()));
        self
    }

    /// Sets a flag without a value.
    pub fn flag(mut self, name: &str) -> Self {
        self.set(name, OptionValue::Flag(true));
        self
    }

    /// Takes a flag away.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Returns what a flag is set to.
    pub fn get(&self, name: &str) -> Option<&OptionValue> {
        self.0.get(name)
    }

    /// Returns these flags with those of `other` in place of equal ones.
    pub fn overridden_by(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// Takes out `v`, `vv` and so on and returns the most that one of them asks for.
    ///
    /// In Molecule they reach no `ansible-playbook`, and from four on they are a flag that Ansible does not know.
    pub fn take_verbosity(&mut self) -> usize {
        let asks = |name: &String, value: &OptionValue| {
            let letters = !name.is_empty() && name.bytes().all(|byte| byte == b'v');
            (letters && *value != OptionValue::Flag(false)).then_some(name.len())
        };
        let most = self.0.iter().filter_map(|(name, value)| asks(name, value)).max().unwrap_or(0);
        self.0.retain(|name, _| name.is_empty() || name.bytes().any(|byte| byte != b'v'));
        if most > 0 {
            self.0.remove("verbose");
        }
        most
    }

    /// Returns the arguments that the flags become: `--key`, `--key value`, or with one dash if the key is a letter.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for (name, value) in &self.0 {
            let dashes = if name.chars().count() == 1 { "-" } else { "--" };
            let flag = format!("{dashes}{name}").replace('_', "-");
            match value {
                OptionValue::Flag(false) => {}
                OptionValue::Flag(true) => arguments.push(flag),
                OptionValue::Text(text) => arguments.extend([flag, text.clone()]),
            }
        }
        arguments
    }

    pub(super) fn read(reader: &mut Reader<'_>, pointer: &str) -> Self {
        let keys: Vec<&String> = reader.map(pointer).into_iter().flat_map(Map::keys).collect();
        let mut flags = Self::default();
        for key in keys {
            let at = join(pointer, key);
            match reader.value(&at) {
                Some(Value::Bool(flag)) => flags.set(key, OptionValue::Flag(*flag)),
                Some(Value::Array(_) | Value::Object(_)) | None => {
                    reader.refuse_with(
                        &at,
                        format!("{} is no value for a flag", subject(&at)),
                        "write a string, a number, `true` or `false`",
                    );
                }
                Some(_) => {
                    if let Some(text) = reader.text(&at) {
                        flags.set(key, OptionValue::Text(text));
                    }
                }
            }
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_as_molecule_writes_them() {
        let mut flags = Flags::default().flag("s").text("junit_xml", "out.xml").flag("become").text("D", "");
        flags.set("off", OptionValue::Flag(false));
        assert_eq!(flags.arguments(), ["-D", "", "--become", "--junit-xml", "out.xml", "-s"]);
    }

    #[test]
    fn verbosity_is_taken_out_of_all_the_ways_to_write_it() {
        let mut flags = Flags::default().flag("vv").flag("v").flag("verbose").flag("x");
        flags.set("vvvv", OptionValue::Flag(false));
        assert_eq!(flags.take_verbosity(), 2);
        assert_eq!(flags.arguments(), ["-x"]);
        assert_eq!(Flags::default().flag("verbose").take_verbosity(), 0);
    }
}
