//! Gives a container the Python that Ansible's modules run with.

use std::{collections::VecDeque, fmt};

use serde::{Deserialize, Serialize};
use takelage_engine::{Chunk, Container, EngineError, ExecSpec};
use thiserror::Error;
use tokio::sync::mpsc;

/// How a container came by its Python.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    /// It had one.
    Present {
        /// Its path in the container.
        path: String,
    },
    /// It was installed.
    Installed {
        /// With which package manager.
        manager: Manager,
        /// Its path in the container.
        path: String,
    },
}

/// A distribution's package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the programs' own")]
pub enum Manager {
    AptGet,
    Apk,
    Dnf,
    MicroDnf,
    Yum,
    Zypper,
    Pacman,
}

/// The container has no Python, and none could be installed.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Neither Ansible nor a package manager can work without a shell.
    #[error("container `{container}` has no `/bin/sh`, and Ansible needs it")]
    NoShell {
        /// The container's name.
        container: String,
    },
    /// There is no package manager that takelage knows.
    #[error("container `{container}` has no Python and none of the package managers {known}")]
    NoManager {
        /// The container's name.
        container: String,
        /// What was looked for.
        known: String,
    },
    /// The package manager failed: no network, most likely.
    #[error("`{manager}` could not install Python in container `{container}` (exit status {status})")]
    Install {
        /// The container's name.
        container: String,
        /// The package manager.
        manager: Manager,
        /// Its exit status.
        status: i64,
        /// The last lines it wrote.
        output: String,
    },
    /// The package manager is content, but there is still no Python.
    #[error("`{manager}` installed a Python in container `{container}` that does not start")]
    Useless {
        /// The container's name.
        container: String,
        /// The package manager.
        manager: Manager,
    },
}

/// Prints the path of a Python that can run Ansible's modules: images exist whose standard library is cut down.
const DETECT: &str = r"
for name in python3 /usr/bin/python3 /usr/libexec/platform-python python3.14 python3.13 python3.12 python3.11 \
    python3.10 python3.9 python3.8 python3.7 python3.6 python2.7 python; do
  path=$(command -v $name) || continue
  $path -c 'import json, zipfile, tempfile, subprocess, base64' 2>/dev/null || continue
  echo $path
  exit 0
done
exit 1
";

/// All package managers, the one that is preferred where two are installed first.
const MANAGERS: [Manager; 7] = [
    Manager::AptGet,
    Manager::Apk,
    Manager::Dnf,
    Manager::MicroDnf,
    Manager::Yum,
    Manager::Zypper,
    Manager::Pacman,
];

/// Lines of a failed installation that are kept.
const TAIL: usize = 40;

/// Makes sure that the container has a Python, installing the distribution's own if there is none.
///
/// What the package manager writes is handed to `output` line by line. Package lists and caches are left as they
/// were found, because the container may become an image.
pub async fn python<C: Container>(
    container: &C,
    output: &mut (dyn FnMut(&str) + Send),
) -> Result<Prepared, PrepareError> {
    if let Some(path) = detect(container).await? {
        return Ok(Prepared::Present { path });
    }
    let manager = find_manager(container).await?;
    let name = container.name().to_owned();
    let (status, tail) = run(container, manager.script(), output).await?;
    if status != 0 {
        return Err(PrepareError::Install { container: name, manager, status, output: tail });
    }
    match detect(container).await? {
        Some(path) => Ok(Prepared::Installed { manager, path }),
        None => Err(PrepareError::Useless { container: name, manager }),
    }
}

/// Returns the path of the container's Python, if it has one that works.
pub async fn detect<C: Container>(container: &C) -> Result<Option<String>, PrepareError> {
    let no_shell = || PrepareError::NoShell { container: container.name().to_owned() };
    let ran = match container.run(ExecSpec::root(["/bin/sh", "-c", DETECT])).await {
        // Engines differ in how they say that a program does not exist.
        Err(EngineError::Refused { message, .. }) if message.contains("no such file") => {
            return Err(no_shell());
        }
        ran => ran?,
    };
    match ran.status {
        0 => Ok(Some(String::from_utf8_lossy(&ran.stdout).trim().to_owned())),
        126 | 127 => Err(no_shell()),
        _ => Ok(None),
    }
}

async fn find_manager<C: Container>(container: &C) -> Result<Manager, PrepareError> {
    let names: Vec<_> = MANAGERS.map(Manager::name).to_vec();
    let script = format!(
        "for m in {}; do command -v $m >/dev/null && echo $m && exit 0; done; exit 1",
        names.join(" ")
    );
    let ran = container.run(ExecSpec::root(["/bin/sh", "-c", &script])).await?;
    let found = String::from_utf8_lossy(&ran.stdout);
    MANAGERS.into_iter().find(|manager| manager.name() == found.trim()).ok_or_else(|| {
        PrepareError::NoManager {
            container: container.name().to_owned(),
            known: format!("`{}`", names.join("`, `")),
        }
    })
}

/// Runs a script as root, hands its lines on, and returns its status and last lines.
async fn run<C: Container>(
    container: &C,
    script: &str,
    output: &mut (dyn FnMut(&str) + Send),
) -> Result<(i64, String), EngineError> {
    let (sender, mut chunks) = mpsc::channel::<Chunk>(64);
    let collect = async {
        let mut tail = VecDeque::new();
        let mut rest = Vec::new();
        let mut take = |line: &[u8]| {
            let line = String::from_utf8_lossy(line).trim_end().to_owned();
            output(&line);
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        };
        while let Some(chunk) = chunks.recv().await {
            rest.extend_from_slice(&chunk.bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                take(&line);
            }
        }
        if !rest.is_empty() {
            take(&rest);
        }
        Vec::from(tail).join("\n")
    };
    let (status, tail) =
        tokio::join!(container.exec(ExecSpec::root(["/bin/sh", "-c", script]), sender), collect);
    Ok((status?, tail))
}

impl Manager {
    /// Returns the program's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AptGet => "apt-get",
            Self::Apk => "apk",
            Self::Dnf => "dnf",
            Self::MicroDnf => "microdnf",
            Self::Yum => "yum",
            Self::Zypper => "zypper",
            Self::Pacman => "pacman",
        }
    }

    /// Returns the script that installs Python and cleans up after itself.
    const fn script(self) -> &'static str {
        match self {
            Self::AptGet => APT_GET,
            Self::Apk => "exec apk add --no-cache python3",
            Self::Dnf => "dnf -y install python3; status=$?; dnf -q clean all; exit $status",
            Self::MicroDnf => "microdnf -y install python3; status=$?; microdnf clean all; exit $status",
            Self::Yum => "yum -y install python3; status=$?; yum -q clean all; exit $status",
            Self::Zypper => {
                "zypper --non-interactive install python3; status=$?; zypper --quiet clean --all; exit $status"
            }
            // Without its package lists pacman can install nothing, and an image of it has none.
            Self::Pacman => {
                "lists=$(ls -A /var/lib/pacman/sync 2>/dev/null); pacman -Sy --noconfirm python; status=$?
                 rm -rf /var/cache/pacman/pkg/*; [ -n \"$lists\" ] || rm -rf /var/lib/pacman/sync/*; exit $status"
            }
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// apt needs its package lists to install anything, and most images come without. What was not there before in
/// apt's own directories is removed again.
const APT_GET: &str = r#"
export DEBIAN_FRONTEND=noninteractive
lists=/var/lib/apt/lists cache=/var/cache/apt
there=$(ls -A $lists 2>/dev/null | sed "s|^|$lists/|"; ls -A $cache 2>/dev/null | sed "s|^|$cache/|")
install() { apt-get install --yes --no-install-recommends python3; }
if ls $lists/*_Packages* >/dev/null 2>&1; then
  install || { apt-get update && install; }
else
  apt-get update && install
fi
status=$?
apt-get clean
for path in $lists/* $cache/*; do
  [ -e "$path" ] || continue
  case "
$there
" in
    *"
$path
"*) ;;
    *) rm -rf "$path" ;;
  esac
done
exit $status
"#;
