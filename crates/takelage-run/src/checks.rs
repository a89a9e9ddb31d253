//! When checks of a produced image need not run again: if nothing that could make them end otherwise is another.
//!
//! | counts | why |
//! | --- | --- |
//! | the image's id | what is checked |
//! | `container:`, groups and variables of the inventory | how it is run, and what checks see of it |
//! | all that counts for an image's [recipe](crate::recipe): the project's files, variables that they name | checks may read any of it |
//! | `pytest:`, pytest's own variables, configuration files above the project | which checks run, and how |
//! | pytest's Python and all that is installed for it, ansible-core, takelage | another version, another effect |
//! | the engine and its version, the host's kernel | facts of the machine |
//!
//! What checks ask of anything but the container, such as a server, is not seen. So this holds for `cache.max_age`, too.

use std::path::{Component, Path};

use takelage_config::Image;
use takelage_model::Digest;

use crate::steps::reaches_out;

/// Options without a value that only change which checks run, or what pytest's own report says.
const FLAGS: [&str; 13] = [
    "--disable-warnings",
    "--exitfirst",
    "--full-trace",
    "--no-header",
    "--no-summary",
    "--quiet",
    "--runxfail",
    "--showlocals",
    "--strict",
    "--strict-config",
    "--strict-markers",
    "--verbose",
    "-l",
];
/// The same, with a value.
const WITH_VALUE: [&str; 11] = [
    "--color",
    "--deselect",
    "--dist",
    "--durations",
    "--ignore",
    "--ignore-glob",
    "--maxfail",
    "--numprocesses",
    "--show-capture",
    "--tb",
    "--import-mode",
];
/// Letters of options with a value.
const LETTERS_WITH_VALUE: &str = "kmnprW";
/// Letters of options without one.
const LETTERS: &str = "lqvx";

/// Files by which pytest is configured, also from above the project.
const CONFIGURATION: [&str; 7] =
    ["conftest.py", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py"];

/// Variables of the environment that pytest, its plugins and Python read without any file naming them.
const PREFIXES: [&str; 4] = ["PYTEST_", "PYTHON", "PY_", "TESTINFRA_"];

/// Why what the checks of `image` come to is not remembered, if it is not. `options` are pytest's.
pub(crate) fn exception(image: &Image, root: &Path, options: &[String]) -> Option<String> {
    let tests = image.tests.as_ref().map(|tests| root.join(tests));
    let climbs = |path: &Path| path.components().any(|component| component == Component::ParentDir);
    if tests.is_some_and(|tests| !tests.starts_with(root) || climbs(&tests)) {
        return Some("they lie outside the project".to_owned());
    }
    if reaches_out(&image.container) {
        return Some("the container has volumes, devices or all rights".to_owned());
    }
    unknown(options).map(|option| format!("takelage does not know what pytest's option `{option}` does"))
}

/// Returns the first option that may do more than to choose checks and to say what is printed: write a file, start a debugger, talk
/// to another host.
fn unknown(options: &[String]) -> Option<&str> {
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let name = option.split('=').next().unwrap_or_default();
        let takes_next = match option.strip_prefix('-') {
            Some(long) if long.starts_with('-') => {
                if !FLAGS.contains(&name) && !WITH_VALUE.contains(&name) {
                    return Some(name);
                }
                WITH_VALUE.contains(&name) && name == option
            }
            Some(letters) if letters.starts_with(|letter| LETTERS_WITH_VALUE.contains(letter)) => {
                letters.len() == 1
            }
            Some(letters) if !letters.is_empty() && letters.chars().all(|it| LETTERS.contains(it)) => false,
            _ => return Some(option),
        };
        if takes_next {
            options.next();
        }
    }
    None
}

/// Returns what pytest is told by its variables and by files above the project's directory, as text.
pub(crate) fn configuration<'a>(
    root: &Path,
    environment: impl Iterator<Item = (&'a String, &'a String)>,
) -> String {
    let own = environment.filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
    let variables = own.map(|(name, value)| format!("{name}={value:?}"));
    let above = root.ancestors().skip(1);
    let files = above.flat_map(|directory| CONFIGURATION.map(|name| (name, directory.join(name))));
    let files = files.filter_map(|(name, path)| {
        let content = fs_err::read(path).ok()?;
        Some(format!("{name} {}", Digest::of(&content)))
    });
    variables.chain(files).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &str) -> Option<String> {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        unknown(&options).map(str::to_owned)
    }

    #[test]
    fn options_that_only_choose_and_print_are_known() {
        for known in
            ["", "-k web -m fast", "-kweb -vv -x -n2 -rA", "--maxfail=1 --tb short -p plugin -W error"]
        {
            assert_eq!(of(known), None, "{known}");
        }
        for (options, unknown) in [
            ("-v --junitxml=x.xml", "--junitxml"),
            ("--hosts ssh://berth", "--hosts"),
            ("--pdb", "--pdb"),
            ("--lf", "--lf"),
            ("-k web other/tests", "other/tests"),
            ("-o cache_dir=x", "-o"),
            ("-vs", "-vs"),
        ] {
            assert_eq!(of(options).as_deref(), Some(unknown), "{options}");
        }
    }

    #[test]
    fn variables_of_pytest_and_configuration_above_the_project_count() {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("project");
        fs_err::create_dir(&root).unwrap();
        let env = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        let said =
            |env: &[(String, String)]| configuration(&root, env.iter().map(|(name, value)| (name, value)));
        let plain = said(&[]);
        assert_eq!(said(&env("TERM", "xterm")), plain);
        assert_ne!(said(&env("PYTEST_ADDOPTS", "-x")), plain);
        fs_err::write(root.join("pytest.ini"), "[pytest]").unwrap();
        assert_eq!(said(&[]), plain, "that is one of the project's files");
        fs_err::write(above.path().join("pytest.ini"), "[pytest]").unwrap();
        let with = said(&[]);
        fs_err::write(above.path().join("pytest.ini"), "[pytest]\naddopts = -x").unwrap();
        assert!(with != plain && said(&[]) != with);
    }
}
