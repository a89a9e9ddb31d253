//! The project: what `takelage.yml` says, with every path resolved and every default filled in.

use std::{path::PathBuf, time::Duration};

use indexmap::IndexMap;
use takelage_model::ImageName;

use crate::{Image, Origin};

/// A checked project file.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name; by default that of its directory, made fit: lowercase letters and digits, separated by `-`.
    pub name: String,
    /// The directory of the file, to which relative paths were resolved.
    pub root: PathBuf,
    /// The file.
    pub file: PathBuf,
    /// Which engine to use.
    pub engine: EngineChoice,
    /// The images, every base before its dependants and otherwise in the order of the file.
    pub images: IndexMap<ImageName, Image>,
    /// How Ansible is run.
    pub ansible: Ansible,
    /// How pytest is run.
    pub pytest: Pytest,
    /// How much is remembered.
    pub cache: Cache,
}

impl Project {
    /// Returns the images that `image` is made of, the lowest base first and itself last.
    ///
    /// Empty if the project has no such image.
    pub fn chain(&self, image: &ImageName) -> Vec<&Image> {
        let mut chain = Vec::new();
        let mut next = self.images.get(image);
        while let Some(image) = next {
            chain.push(image);
            next = match &image.from {
                Origin::Image(base) => self.images.get(base),
                _ => None,
            };
        }
        chain.reverse();
        chain
    }

    /// Returns the last image: the one that commands mean when none is named.
    pub fn last(&self) -> Option<&Image> {
        self.images.last().map(|(_, image)| image)
    }
}

/// Which engine to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineChoice {
    /// The first that works.
    #[default]
    Auto,
    /// Docker, or what speaks its API.
    Docker,
    /// takelage's own.
    Embedded,
}

/// How Ansible is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ansible {
    /// The Python package that brings it, such as `ansible` or `ansible-core`.
    pub package: Option<String>,
    /// The version wanted, such as `12.3.0`; none is takelage's choice.
    pub version: Option<String>,
    /// The Python interpreter, or the virtual environment's `bin/python`, that Ansible runs with.
    pub python: Option<PathBuf>,
    /// Settings for `ansible.cfg`: section → key → value.
    pub config: IndexMap<String, IndexMap<String, String>>,
    /// Roles and collections for `ansible-galaxy install`.
    pub requirements: Option<PathBuf>,
    /// Further arguments of `ansible-playbook`.
    pub args: Vec<String>,
    /// Where the vault password is, or the program that prints it.
    pub vault_password_file: Option<PathBuf>,
    /// Run only what has one of these tags.
    pub tags: Vec<String>,
    /// Leave out what has one of these tags.
    pub skip_tags: Vec<String>,
}

/// How pytest is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pytest {
    /// Further arguments.
    pub options: Vec<String>,
    /// Plugins to load, as `pytest -p` takes them.
    pub plugins: Vec<String>,
    /// The Python package of pytest itself, with a version if wanted: `pytest==8.4`.
    pub package: Option<String>,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// What was made with content of the network is made again after so long.
    pub max_age: Duration,
    /// How large the store may be, in bytes.
    pub size: u64,
}

impl Default for Cache {
    /// 24 hours and 20 GiB.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(24 * 60 * 60), size: 20 << 30 }
    }
}
