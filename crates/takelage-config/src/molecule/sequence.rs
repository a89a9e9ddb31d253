//! Actions, and the sequences of them that commands stand for.

use std::{fmt, str::FromStr};

use serde_json::Value;

use super::reader::Reader;
use crate::suggestion;

pub(super) const CHECK: [&str; 9] =
    ["dependency", "cleanup", "destroy", "create", "prepare", "converge", "check", "cleanup", "destroy"];
pub(super) const CLEANUP: [&str; 1] = ["cleanup"];
pub(super) const CONVERGE: [&str; 4] = ["dependency", "create", "prepare", "converge"];
pub(super) const CREATE: [&str; 3] = ["dependency", "create", "prepare"];
pub(super) const DESTROY: [&str; 3] = ["dependency", "cleanup", "destroy"];
pub(super) const TEST: [&str; 12] = [
    "dependency",
    "cleanup",
    "destroy",
    "syntax",
    "create",
    "prepare",
    "converge",
    "idempotence",
    "side_effect",
    "verify",
    "cleanup",
    "destroy",
];

/// What is done to the instances of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are Molecule's own")]
pub enum Action {
    Dependency,
    Cleanup,
    Destroy,
    Syntax,
    Create,
    Prepare,
    Converge,
    Idempotence,
    Check,
    SideEffect,
    Verify,
}

impl Action {
    /// All actions, in the order in which they may follow one another.
    pub const ALL: [Self; 11] = [
        Self::Dependency,
        Self::Cleanup,
        Self::Destroy,
        Self::Syntax,
        Self::Create,
        Self::Prepare,
        Self::Converge,
        Self::Idempotence,
        Self::Check,
        Self::SideEffect,
        Self::Verify,
    ];

    /// Returns the name that sequences use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dependency => "dependency",
            Self::Cleanup => "cleanup",
            Self::Destroy => "destroy",
            Self::Syntax => "syntax",
            Self::Create => "create",
            Self::Prepare => "prepare",
            Self::Converge => "converge",
            Self::Idempotence => "idempotence",
            Self::Check => "check",
            Self::SideEffect => "side_effect",
            Self::Verify => "verify",
        }
    }

    /// Whether an entry of a sequence may carry arguments for it.
    const fn takes_arguments(self) -> bool {
        matches!(self, Self::SideEffect | Self::Verify)
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|action| action.name() == name).ok_or(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One entry of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is done.
    pub action: Action,
    /// Playbooks, or files and directories of checks, relative to the scenario's directory; its own where empty.
    pub arguments: Vec<String>,
}

impl Entry {
    /// An entry without arguments.
    pub const fn of(action: Action) -> Self {
        Self { action, arguments: Vec::new() }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// What the commands do that stand for several actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequences {
    check: Vec<Entry>,
    cleanup: Vec<Entry>,
    converge: Vec<Entry>,
    create: Vec<Entry>,
    destroy: Vec<Entry>,
    test: Vec<Entry>,
}

impl Sequences {
    /// Returns the sequence of the command of this name: `test`, or an action's.
    pub fn of(&self, command: &str) -> Option<Vec<Entry>> {
        Some(match command {
            "test" => self.test.clone(),
            "check" => self.check.clone(),
            "cleanup" => self.cleanup.clone(),
            "converge" => self.converge.clone(),
            "create" => self.create.clone(),
            "destroy" => self.destroy.clone(),
            other => vec![Entry::of(other.replace('-', "_").parse().ok()?)],
        })
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            check: sequence(reader, "check"),
            cleanup: sequence(reader, "cleanup"),
            converge: sequence(reader, "converge"),
            create: sequence(reader, "create"),
            destroy: sequence(reader, "destroy"),
            test: sequence(reader, "test"),
        }
    }
}

fn sequence(reader: &mut Reader<'_>, command: &str) -> Vec<Entry> {
    let pointer = format!("/scenario/{command}_sequence");
    let items = reader.value(&pointer).and_then(Value::as_array).map_or(0, Vec::len);
    if items == 0 && reader.value(&pointer).is_some_and(|value| !value.is_array()) {
        reader.refuse(&pointer, format!("`scenario.{command}_sequence` must be a list"));
    }
    let entries = (0..items).filter_map(|index| {
        let at = format!("{pointer}/{index}");
        let text = reader.text(&at)?;
        entry(reader, &at, &text)
    });
    entries.collect()
}

fn entry(reader: &mut Reader<'_>, at: &str, text: &str) -> Option<Entry> {
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if name == "lint" {
        let hint = "run your linter on its own, and take `lint` out of the sequence";
        reader.note(at, "`lint` does nothing: Molecule has no linting any more", Some(hint));
        return None;
    }
    let Ok(action) = name.parse::<Action>() else {
        let near = suggestion::nearest(name, Action::ALL.iter().map(|action| action.name()));
        let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
        reader.refuse(at, format!("there is no action `{name}`{near}"));
        return None;
    };
    if !arguments.is_empty() && !action.takes_arguments() {
        let message = format!("`{action}` takes no arguments; `{}` has no effect", arguments.join(" "));
        reader.note(at, message, None);
        return Some(Entry::of(action));
    }
    Some(Entry { action, arguments })
}
