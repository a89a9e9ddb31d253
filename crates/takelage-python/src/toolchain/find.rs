//! The search, in the order that users are told.

use std::path::{Path, PathBuf};

use super::{
    Say, Tool, Toolchain, ToolchainError, Wanted, Why,
    private::{self, Content},
    probe::{self, Probe},
    pythons::{self, executable, in_path},
};

/// The oldest ansible-core that the embedded plugins are made for.
const OLDEST_CORE: [u32; 2] = [2, 14];
/// The oldest pytest that the embedded plugin is made for.
const OLDEST_PYTEST: [u32; 2] = [7, 0];

/// Something that was considered while looking for a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `ansible`, `pytest` or `python`.
    pub subject: &'static str,
    /// The program or directory that was looked at.
    pub candidate: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, in a few words.
    pub reason: String,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is used.
    Chosen,
    /// It would do, but something before it was chosen, or it is not there yet and would be made.
    Possible,
    /// It does not do.
    Refused,
}

/// One of the two programs that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Ansible,
    Pytest,
}

/// Where a tool is to come from.
#[derive(Debug, Clone, PartialEq)]
enum Choice {
    Found(Tool, Probe),
    /// The private environment; with a requirement of the user's instead of the pinned list, perhaps.
    Private(Option<String>),
}

/// Finds Ansible and pytest, or makes a private environment with them.
///
/// Making it needs pip's index, as the user's pip settings name it, and takes minutes; `say` is told. What was made
/// is found again without network. Several processes may call this at once: one makes, the others wait.
pub async fn find(wanted: &Wanted, say: Say<'_>) -> Result<Toolchain, ToolchainError> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    // Each starts Python to ask it, and neither needs the other's answer.
    let ansible = Box::pin(choose(Subject::Ansible, wanted, &mut one));
    let pytest = Box::pin(choose(Subject::Pytest, wanted, &mut other));
    let (ansible, pytest) = tokio::join!(ansible, pytest);
    let (ansible, pytest) = (ansible?, pytest?);
    let made = match content(&ansible, &pytest) {
        Some(content) => Some(private::make(wanted, &content, say).await?),
        None => None,
    };
    let settle = |subject: Subject, choice: Choice| match (choice, &made) {
        (Choice::Found(tool, probe), _) => Ok((tool, probe)),
        (Choice::Private(_), Some((directory, probe))) => {
            tool(subject, &directory.join("bin").join(subject.program()), probe.clone(), Why::Private)
                .map_err(|reason| ToolchainError::Unusable { path: directory.clone(), reason })
        }
        (Choice::Private(_), None) => {
            let reason = "it was not made".to_owned();
            Err(ToolchainError::Unusable { path: wanted.private.clone(), reason })
        }
    };
    let (ansible, ansible_probe) = settle(Subject::Ansible, ansible)?;
    let (pytest, pytest_probe) = settle(Subject::Pytest, pytest)?;
    Ok(Toolchain {
        ansible_core: ansible.version.clone(),
        ansible_package: ansible_probe.packages.get("ansible").cloned(),
        testinfra: pytest_probe.packages.get("pytest-testinfra").cloned().unwrap_or_default(),
        python: ansible_probe.version(),
        ansible,
        pytest,
    })
}

/// Returns what a private environment must have, if there must be one.
fn content(ansible: &Choice, pytest: &Choice) -> Option<Content> {
    let private = |choice: &Choice| match choice {
        Choice::Private(requirement) => Some(requirement.clone()),
        Choice::Found(..) => None,
    };
    let (ansible, pytest) = (private(ansible), private(pytest));
    (ansible.is_some() || pytest.is_some()).then(|| Content {
        ansible: ansible.is_some(),
        requirements: ansible.into_iter().chain(pytest).flatten().collect(),
    })
}

/// Says what [`find`] would consider and choose, without making anything.
pub async fn look(wanted: &Wanted) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wants_private = Vec::new();
    for subject in [Subject::Ansible, Subject::Pytest] {
        match choose(subject, wanted, &mut findings).await {
            Ok(Choice::Found(..)) => {}
            Ok(Choice::Private(requirement)) => wants_private.push((subject, requirement)),
            Err(error) => findings.push(Finding {
                subject: subject.name(),
                candidate: subject.named(wanted).unwrap_or_default().to_owned(),
                verdict: Verdict::Refused,
                reason: error.to_string(),
            }),
        }
    }
    if wants_private.is_empty() {
        return findings;
    }
    let content = Content {
        ansible: wants_private.iter().any(|(subject, _)| *subject == Subject::Ansible),
        requirements: wants_private.iter().filter_map(|(_, requirement)| requirement.clone()).collect(),
    };
    let python = pythons::find(wanted).await;
    for (subject, _) in wants_private {
        let finding = match &python {
            Ok(probe) => {
                let directory = private::directory(wanted, probe, &content);
                if private::is_complete(&directory) {
                    let program = directory.join("bin").join(subject.program());
                    // What comes of it is noted.
                    let _ = examine(subject, &program, Why::Private, wanted, &mut findings).await;
                    continue;
                }
                Finding {
                    subject: subject.name(),
                    candidate: directory.display().to_string(),
                    verdict: Verdict::Possible,
                    reason: format!(
                        "will be made at the first use, with `{}`, Python {}",
                        probe.executable.display(),
                        probe.version()
                    ),
                }
            }
            Err(reason) => Finding {
                subject: "python",
                candidate: "python3".to_owned(),
                verdict: Verdict::Refused,
                reason: reason.clone(),
            },
        };
        findings.push(finding);
    }
    findings
}

/// Goes through the candidates for one tool.
async fn choose(
    subject: Subject,
    wanted: &Wanted,
    findings: &mut Vec<Finding>,
) -> Result<Choice, ToolchainError> {
    if let Some(named) = subject.named(wanted) {
        let Some(program) = subject.program_of(named) else {
            return Ok(Choice::Private(Some(named.to_owned())));
        };
        let examined = examine(subject, &program, Why::Named, wanted, findings).await;
        return examined.map(|(tool, probe)| Choice::Found(tool, probe)).map_err(|reason| {
            ToolchainError::Named { subject: subject.name(), named: named.to_owned(), reason }
        });
    }
    let mut candidates: Vec<(PathBuf, Why)> = Vec::new();
    if let Some(environment) = &wanted.virtual_env {
        let program = environment.join("bin").join(subject.program());
        if executable(&program) {
            candidates.push((program, Why::VirtualEnv));
        }
    }
    for program in in_path(&wanted.path, subject.program()) {
        if candidates.iter().all(|(known, _)| *known != program) {
            candidates.push((program, Why::Path));
        }
    }
    for (program, why) in candidates {
        if let Ok((tool, probe)) = examine(subject, &program, why, wanted, findings).await {
            return Ok(Choice::Found(tool, probe));
        }
    }
    Ok(Choice::Private(None))
}

/// Looks at one candidate and notes the verdict.
async fn examine(
    subject: Subject,
    program: &Path,
    why: Why,
    wanted: &Wanted,
    findings: &mut Vec<Finding>,
) -> Result<(Tool, Probe), String> {
    let probed = match subject {
        Subject::Ansible => probe::ansible(program, &wanted.env).await,
        Subject::Pytest => probe::pytest(program, &wanted.env).await,
    };
    let examined = probed.and_then(|probe| tool(subject, program, probe, why));
    let (verdict, reason) = match &examined {
        Ok((tool, probe)) => {
            (Verdict::Chosen, format!("{} {}, Python {}", tool.version, why.words(), probe.version()))
        }
        Err(reason) => (Verdict::Refused, reason.clone()),
    };
    findings.push(Finding {
        subject: subject.name(),
        candidate: program.display().to_string(),
        verdict,
        reason,
    });
    examined
}

/// Makes a tool of a program and what its Python says, unless something is missing or too old.
fn tool(subject: Subject, program: &Path, probe: Probe, why: Why) -> Result<(Tool, Probe), String> {
    let (package, oldest) = match subject {
        Subject::Ansible => ("ansible-core", OLDEST_CORE),
        Subject::Pytest => ("pytest", OLDEST_PYTEST),
    };
    let Some(version) = probe.packages.get(package).cloned() else {
        return Err(format!("its Python has no {package}"));
    };
    let [major, minor] = oldest;
    if leading(&version) < oldest {
        return Err(format!("{package} {version} is too old: takelage needs {major}.{minor}"));
    }
    if subject == Subject::Pytest && !probe.packages.contains_key("pytest-testinfra") {
        return Err("its Python has no pytest-testinfra".to_owned());
    }
    Ok((Tool { program: program.to_owned(), version, why, python: probe.executable.clone() }, probe))
}

/// Returns the first two numbers of a version.
fn leading(version: &str) -> [u32; 2] {
    let mut numbers = version.split('.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().unwrap_or(0)
    });
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Ansible => "ansible",
            Self::Pytest => "pytest",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Ansible => "ansible-playbook",
            Self::Pytest => "pytest",
        }
    }

    /// Returns what the project names, unless it is the bare name, which any will satisfy.
    fn named(self, wanted: &Wanted) -> Option<&str> {
        let named = match self {
            Self::Ansible => wanted.ansible.as_deref(),
            Self::Pytest => wanted.pytest.as_deref(),
        };
        named.map(str::trim).filter(|named| !named.is_empty() && *named != self.name())
    }

    /// Returns the program that a named path means. `None`: it is a requirement.
    fn program_of(self, named: &str) -> Option<PathBuf> {
        if !named.contains('/') {
            return None;
        }
        let path = PathBuf::from(named);
        let inside = path.join("bin").join(self.program());
        Some(if path.is_dir() { inside } else { path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(leading("2.9.27") < OLDEST_CORE && leading("2.14.0rc1") >= OLDEST_CORE);
        assert_eq!((leading("9"), leading("x"), leading("2.19b1")), ([9, 0], [0, 0], [2, 19]));
    }

    #[test]
    fn a_name_is_a_requirement_and_a_path_is_a_place() {
        let wanted = |named: &str| Wanted { ansible: Some(named.into()), ..Wanted::default() };
        assert_eq!(Subject::Ansible.named(&wanted(" ansible ")), None);
        assert_eq!(Subject::Ansible.named(&wanted("ansible==9.*")), Some("ansible==9.*"));
        assert_eq!(Subject::Ansible.program_of("ansible==9.*"), None);
        assert_eq!(Subject::Ansible.program_of("/opt/x"), Some("/opt/x".into()));
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("bin/pytest");
        assert_eq!(Subject::Pytest.program_of(directory.path().to_str().unwrap()), Some(inside));
    }

    #[tokio::test]
    async fn a_named_place_without_ansible_is_refused_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let named = directory.path().to_str().unwrap().to_owned();
        let wanted = Wanted { ansible: Some(named.clone()), ..Wanted::default() };
        let error = find(&wanted, &|_| {}).await.unwrap_err();
        assert!(error.to_string().contains(&named), "{error}");
    }

    #[tokio::test]
    async fn without_any_python_the_error_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = Wanted { private: directory.path().into(), ..Wanted::default() };
        let error = find(&wanted, &|_| {}).await.unwrap_err();
        assert!(matches!(error, ToolchainError::NoPython { .. }), "{error}");
        assert!(look(&wanted).await.iter().all(|finding| finding.verdict == Verdict::Refused));
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0, "looking made something");
    }
}
