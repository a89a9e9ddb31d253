//! The command lines of Ansible and pytest.

use std::path::Path;

use super::{Action, Executor, Flags, OptionValue, Scenario, Section};

/// Tags of what Molecule leaves out of every playbook.
const SKIPPED: &str = "molecule-notest,notest";
/// Further tags of what the second run leaves out.
const SKIPPED_AGAIN: &str = "molecule-idempotence-notest";

/// What the command line of `molecule` adds to those of Ansible and pytest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Arguments behind `--`, for every playbook.
    pub ansible: Vec<String>,
    /// `--debug`: differences and much to read.
    pub debug: bool,
    /// `MOLECULE_ANSIBLE_ARGS_STRICT_MODE`: create and destroy get no further arguments.
    pub strict: bool,
}

impl Scenario {
    /// Returns the program that runs playbooks, and its arguments for one action.
    pub fn playbook_command(
        &self,
        action: Action,
        playbook: &Path,
        additions: &Additions,
    ) -> (&'static str, Vec<String>) {
        let (flags, verbosity) = self.playbook_flags(action, playbook, additions);
        let bare = matches!(action, Action::Create | Action::Destroy) && additions.strict;
        let further = if bare { Vec::new() } else { self.further_arguments(additions) };
        let playbook = playbook.to_string_lossy().into_owned();
        let verbosity = (verbosity > 0).then(|| format!("-{}", "v".repeat(verbosity)));
        let flags = flags.arguments().into_iter().chain(verbosity).chain(further);
        match self.ansible.executor {
            Executor::Playbook => ("ansible-playbook", flags.chain([playbook]).collect()),
            Executor::Navigator => {
                let start = ["run".to_owned(), playbook, "--mode".to_owned(), "stdout".to_owned()];
                ("ansible-navigator", start.into_iter().chain(flags).collect())
            }
        }
    }

    /// Returns pytest's arguments for these files.
    pub fn pytest_arguments(&self, tests: &[String], debug: bool) -> Vec<String> {
        let inventory = self.places.inventory();
        let mut flags = Flags::default()
            .text("ansible-inventory", inventory.to_string_lossy())
            .text("connection", "ansible")
            .text("p", "no:cacheprovider");
        let mut own = self.verifier.options.clone();
        let mut verbosity = 0;
        if debug {
            own.take_verbosity();
            flags.set("debug", OptionValue::Flag(true));
            verbosity = 3;
        }
        flags = flags.overridden_by(&own);
        let verbosity = flags.take_verbosity().max(verbosity);
        let verbosity = (verbosity > 0).then(|| format!("-{}", "v".repeat(verbosity)));
        flags.arguments().into_iter().chain(tests.iter().cloned()).chain(verbosity).collect()
    }

    fn playbook_flags(&self, action: Action, playbook: &Path, additions: &Additions) -> (Flags, usize) {
        let skipped = match action {
            Action::Idempotence => format!("{SKIPPED},{SKIPPED_AGAIN}"),
            _ => SKIPPED.to_owned(),
        };
        let mut flags = Flags::default().text("skip-tags", skipped);
        let mut verbosity = 0;
        if additions.debug {
            flags.set("diff", OptionValue::Flag(true));
            verbosity = 3;
        }
        if !matches!(action, Action::Create | Action::Destroy) {
            let mut own = self.provisioner.options.clone();
            if additions.debug {
                own.take_verbosity();
            }
            flags = flags.overridden_by(&own);
        }
        flags.set("inventory", OptionValue::Text(self.places.inventory().to_string_lossy().into_owned()));
        match action {
            Action::Check => flags.set("check", OptionValue::Flag(true)),
            Action::Syntax => flags.set("syntax-check", OptionValue::Flag(true)),
            _ => {}
        }
        // Only the playbook that converges becomes another user by an option.
        if self.playbook(Section::Converge).as_deref() != Some(playbook) {
            flags.remove("become");
        }
        let verbosity = flags.take_verbosity().max(verbosity);
        (flags, verbosity)
    }

    fn further_arguments(&self, additions: &Additions) -> Vec<String> {
        let own = &self.ansible.playbook_args;
        let configured: Vec<String> = match self.ansible.executor {
            Executor::Playbook => own.clone(),
            Executor::Navigator => {
                let separated = (!own.is_empty()).then(|| "--".to_owned()).into_iter().chain(own.clone());
                self.ansible.navigator_args.iter().cloned().chain(separated).collect()
            }
        };
        configured.into_iter().chain(additions.ansible.clone()).collect()
    }
}
