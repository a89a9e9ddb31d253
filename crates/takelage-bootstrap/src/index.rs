//! The index of a suite: `Packages`, with some sixty thousand paragraphs of which a hundred are wanted.

use std::collections::HashMap;

use deb822_fast::borrowed::{BorrowedParagraph, iter_paragraphs_borrowed};
use debversion::Version;
use takelage_model::Digest;

use crate::{
    BootstrapError,
    relation::{self, Group, Relation},
};

/// A package of the index, with its relations still as text: few packages' are ever looked at.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) priority: Priority,
    pub(crate) essential: bool,
    pub(crate) multi_arch: &'a str,
    pub(crate) pre_depends: &'a str,
    pub(crate) depends: &'a str,
    pub(crate) conflicts: &'a str,
    pub(crate) breaks: &'a str,
    pub(crate) provides: &'a str,
    pub(crate) filename: &'a str,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// Debian's priorities, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    Required,
    Important,
    Standard,
    Optional,
    Extra,
}

/// Packages by name, and by what they provide.
#[derive(Debug, Default)]
pub(crate) struct Index<'a> {
    packages: HashMap<&'a str, Candidate<'a>>,
    providers: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Index<'a> {
    /// Adds the paragraphs of a `Packages` file for one architecture. Of two versions the later one stays.
    pub(crate) fn add(
        &mut self,
        file: &str,
        text: &'a str,
        architecture: &str,
    ) -> Result<(), BootstrapError> {
        for paragraph in iter_paragraphs_borrowed(text) {
            let paragraph = paragraph.map_err(|error| BootstrapError::malformed(file, error))?;
            let candidate =
                Candidate::read(&paragraph).map_err(|reason| BootstrapError::malformed(file, reason))?;
            if candidate.architecture != "all" && candidate.architecture != architecture {
                continue;
            }
            if let Some(known) = self.packages.get(candidate.name)
                && known.version()? >= candidate.version()?
            {
                continue;
            }
            // Only names, without parsing: most are never asked for, and those that are get checked then.
            for provided in candidate.provides.split(',') {
                let name = provided.split(['(', ':']).next().unwrap_or_default().trim();
                let providers = self.providers.entry(name).or_default();
                if !name.is_empty() && !providers.contains(&candidate.name) {
                    providers.push(candidate.name);
                }
            }
            self.packages.insert(candidate.name, candidate);
        }
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Candidate<'a>> {
        self.packages.get(name)
    }

    /// Returns all packages, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Candidate<'a>> {
        self.packages.values()
    }

    /// Returns the packages that provide `name` without having it, the most important first.
    pub(crate) fn providers(&self, name: &str) -> Vec<&Candidate<'a>> {
        let mut providers: Vec<_> = self
            .providers
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|provider| self.get(provider))
            .collect();
        providers.sort_by_key(|candidate| (candidate.priority, candidate.name));
        providers
    }
}

/// The fields that are read, in the order in which [`Candidate::read`] takes them apart.
const NAMES: [&str; 14] = [
    "Package",
    "Version",
    "Architecture",
    "Priority",
    "Essential",
    "Multi-Arch",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Provides",
    "Filename",
    "Size",
    "SHA256",
];

impl<'a> Candidate<'a> {
    fn read(paragraph: &BorrowedParagraph<'a>) -> Result<Self, String> {
        let mut fields = [""; 14];
        for field in paragraph.iter() {
            if let (Some(index), Some(value)) = (
                NAMES.iter().position(|name| name.eq_ignore_ascii_case(field.name())),
                field.as_single_line(),
            ) {
                fields[index] = value.trim();
            }
        }
        let [
            name,
            version,
            architecture,
            priority,
            essential,
            multi_arch,
            pre_depends,
            depends,
            conflicts,
            breaks,
            provides,
            filename,
            size,
            digest,
        ] = fields;
        if !relation::is_package_name(name) {
            return Err(format!("`{name}` is not the name of a package"));
        }
        let wrong = |what: &str| format!("`{name}` has no proper `{what}`");
        // It becomes a part of an address; whatever else it is, the digest decides what is used.
        if filename.is_empty() || filename.starts_with('/') || filename.split('/').any(|part| part == "..") {
            return Err(wrong("Filename"));
        }
        Ok(Self {
            name,
            version,
            architecture,
            priority: match priority {
                "required" => Priority::Required,
                "important" => Priority::Important,
                "standard" => Priority::Standard,
                "extra" => Priority::Extra,
                _ => Priority::Optional,
            },
            essential: essential.eq_ignore_ascii_case("yes"),
            multi_arch,
            pre_depends,
            depends,
            conflicts,
            breaks,
            provides,
            filename,
            size: size.parse().map_err(|_| wrong("Size"))?,
            digest: format!("sha256:{digest}").parse().map_err(|_| wrong("SHA256"))?,
        })
    }

    /// Parses its version.
    pub(crate) fn version(&self) -> Result<Version, BootstrapError> {
        relation::version(self.version).map_err(|reason| BootstrapError::malformed(self.name, reason))
    }

    /// Returns what it needs, with what must be configured before it is unpacked first.
    pub(crate) fn needs(&self) -> Result<Vec<Group>, BootstrapError> {
        let mut groups = self.relations(self.pre_depends)?;
        groups.extend(self.relations(self.depends)?);
        Ok(groups)
    }

    /// Returns what must not be there together with it.
    pub(crate) fn excludes(&self) -> Result<Vec<Relation>, BootstrapError> {
        let groups = self.relations(self.conflicts)?.into_iter().chain(self.relations(self.breaks)?);
        Ok(groups.flat_map(|group| group.0).collect())
    }

    /// Whether it is what `relation` asks for, by its own name or by one that it provides.
    ///
    /// An unversioned provision fulfils no relation with a version (Debian Policy, section 7.5).
    pub(crate) fn fulfils(&self, relation: &Relation) -> Result<bool, BootstrapError> {
        let architecture_fits = match relation.architecture.as_deref() {
            None | Some("native") => true,
            Some("any") => matches!(self.multi_arch, "allowed" | "foreign"),
            Some(other) => self.architecture == other,
        };
        if !architecture_fits {
            return Ok(false);
        }
        if self.name == relation.name && (relation.version.is_none() || relation.admits(&self.version()?)) {
            return Ok(true);
        }
        if !self.provides.contains(relation.name.as_str()) {
            return Ok(false);
        }
        Ok(self.relations(self.provides)?.into_iter().flat_map(|group| group.0).any(|provided| {
            provided.name == relation.name
                && match (&relation.version, &provided.version) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(_), Some((_, version))) => relation.admits(version),
                }
        }))
    }

    fn relations(&self, value: &str) -> Result<Vec<Group>, BootstrapError> {
        relation::parse(value).map_err(|reason| BootstrapError::malformed(self.name, reason))
    }
}
