//! `ansible.cfg`, as Molecule generates it.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::{Scenario, defaults};

impl Scenario {
    /// Returns the settings for `ansible.cfg`: Molecule's own, and the scenario's in place of them.
    pub fn ansible_cfg(&self) -> IndexMap<String, IndexMap<String, String>> {
        let mut sections: IndexMap<String, IndexMap<String, String>> = IndexMap::new();
        for (section, settings) in defaults::ansible_cfg() {
            let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            sections.insert(section.to_owned(), settings.collect());
        }
        for (section, settings) in &self.ansible.cfg {
            sections.entry(section.clone()).or_default().extend(settings.clone());
        }
        sections
    }

    /// Returns the text of `ansible.cfg`.
    pub fn ansible_cfg_text(&self) -> String {
        let mut text = String::from("# Molecule managed\n\n");
        for (section, settings) in self.ansible_cfg() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "[{section}]");
            for (key, value) in settings {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }
}
