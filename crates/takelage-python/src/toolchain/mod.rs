//! Where Ansible and pytest come from: what the project names, an activated virtual environment, `PATH`, or a
//! private environment that is made once from a pinned, hash-checked list.

mod distributions;
mod error;
mod find;
mod pip;
mod private;
mod probe;
mod pythons;

use std::path::PathBuf;

pub use distributions::Distributions;
pub use error::ToolchainError;
pub use find::{Finding, Verdict, find, look};

/// Tells the user what takes long. Called with one line at a time.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What is wanted, and where to look.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The Ansible that the project file or a flag names: a virtual environment's directory, the path of an
    /// `ansible-playbook`, or a requirement as `pip` takes it, such as `ansible==9.*`. Relative paths are the
    /// caller's to resolve. `ansible` alone means any.
    pub ansible: Option<String>,
    /// The Python that a private environment is made with.
    pub python: Option<PathBuf>,
    /// A wheel of pip, for a Python whose host has none at all. Whoever sees [`ToolchainError::NoPip`] may get one.
    pub pip: Option<PathBuf>,
    /// The pytest that the project file or a flag names, in the same three forms as `ansible`.
    pub pytest: Option<String>,
    /// The activated virtual environment, `$VIRTUAL_ENV`.
    pub virtual_env: Option<PathBuf>,
    /// The directories of `$PATH`.
    pub path: Vec<PathBuf>,
    /// Where private environments live; made if missing.
    pub private: PathBuf,
    /// The environment of every program that is started while looking and making; pip's settings among it.
    pub env: Vec<(String, String)>,
}

/// A program that was found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// `ansible-playbook` or `pytest`.
    pub program: PathBuf,
    /// The version of its package: `ansible-core`'s or pytest's.
    pub version: String,
    /// Why this one.
    pub why: Why,
    /// The interpreter it runs with.
    pub python: PathBuf,
}

/// Why a tool was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The project file or a flag names it.
    Named,
    /// It is in the activated virtual environment.
    VirtualEnv,
    /// It is on `PATH`.
    Path,
    /// There was none, so takelage made a private environment.
    Private,
}

impl Why {
    /// Returns the reason as a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Named => "named by the project",
            Self::VirtualEnv => "in the activated virtual environment",
            Self::Path => "on `PATH`",
            Self::Private => "in takelage's private environment",
        }
    }
}

/// Everything that is needed to provision and to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// `ansible-playbook`.
    pub ansible: Tool,
    /// `pytest`.
    pub pytest: Tool,
    /// The version of ansible-core.
    pub ansible_core: String,
    /// The version of the `ansible` package, when its collections are installed.
    pub ansible_package: Option<String>,
    /// The version of pytest-testinfra.
    pub testinfra: String,
    /// The version of Ansible's Python.
    pub python: String,
}

/// Variables that keep Python from leaving traces and from buffering what people wait for.
pub(crate) fn quiet() -> [(&'static str, &'static str); 3] {
    [("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONUNBUFFERED", "1"), ("PYTHONIOENCODING", "utf-8")]
}

/// Variables to add to `env` so that its locale is UTF-8, without which Ansible refuses to start.
///
/// A container, a service or a build server often has no locale at all.
pub(crate) fn locale(env: &[(String, String)]) -> Option<(&'static str, &'static str)> {
    let of = |name: &str| {
        env.iter().rfind(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value)
    };
    let effective = of("LC_ALL").or_else(|| of("LC_CTYPE")).or_else(|| of("LANG"));
    let encoding = effective.map(|locale| locale.to_ascii_lowercase().replace('-', ""));
    let utf8 = encoding.is_some_and(|locale| locale.contains(".utf8"));
    (!utf8).then_some(("LC_ALL", "C.UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_without_utf8_is_replaced() {
        let with = |variables: &[(&str, &str)]| {
            let env: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            locale(&env)
        };
        assert_eq!(with(&[("LANG", "de_DE.UTF-8")]), None);
        assert_eq!(with(&[("LANG", "C"), ("LC_ALL", "C.utf8")]), None);
        for env in
            [&[][..], &[("LANG", "C")], &[("LANG", "de_DE.UTF-8"), ("LC_ALL", "POSIX")], &[("LC_ALL", "")]]
        {
            assert_eq!(with(env), Some(("LC_ALL", "C.UTF-8")), "{env:?}");
        }
    }
}
