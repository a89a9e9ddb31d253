//! What may be used besides words.

use anstyle::{AnsiColor, Style as Ansi};

/// How the terminal report looks. The caller decides, because only the caller may look at the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether colours may be used. They never carry a meaning of their own.
    pub color: bool,
    /// Whether the writer is standard error and that is a terminal, so that running steps can be shown live.
    pub live: bool,
    /// `-1` for errors and the last line only, `0` for what changed or failed, `1` for every task, `2` for
    /// what the tasks wrote too.
    pub verbosity: i8,
}

/// What a piece of text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It went wrong.
    Bad,
    /// It is probably not what was wanted, or it made a difference.
    Notable,
    /// It went well.
    Good,
    /// It says what to do.
    Advice,
    /// It is of little interest.
    Faint,
    /// It is a heading.
    Strong,
}

impl Style {
    /// Returns `text` in the colour of `role`, or as it is where colours are off.
    pub(crate) fn paint(self, role: Role, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let ansi = match role {
            Role::Bad => AnsiColor::Red.on_default().bold(),
            Role::Notable => AnsiColor::Yellow.on_default(),
            Role::Good => AnsiColor::Green.on_default(),
            Role::Advice => AnsiColor::Cyan.on_default(),
            Role::Faint => Ansi::new().dimmed(),
            Role::Strong => Ansi::new().bold(),
        };
        format!("{ansi}{text}{ansi:#}")
    }
}
