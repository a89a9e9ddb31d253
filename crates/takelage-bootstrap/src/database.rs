//! dpkg's own memory of a package, as it is between unpacking and configuring.
//!
//! ```text
//! var/lib/dpkg/status              a paragraph for each package, `Status: install ok unpacked`
//! var/lib/dpkg/info/NAME.list      its paths, word for word as in the package
//! var/lib/dpkg/info/NAME.SCRIPT    its control files; NAME:ARCHITECTURE for `Multi-Arch: same`
//! var/lib/dpkg/triggers/File       `PATH PACKAGE[/noawait]` for paths that a package wants to hear of
//! var/lib/dpkg/triggers/TRIGGER    `PACKAGE[/noawait]` for other triggers
//! ```
//!
//! Configuration files already lie at their places, with their digests noted, as after `dpkg --configure` of them.
//! dpkg finds nothing to ask then, for it looks for `*.dpkg-new` first (its `src/main/configure.c`).

use std::{collections::BTreeMap, fmt::Write as _};

use deb822_fast::borrowed::parse_borrowed;
use md5::{Digest as _, Md5};

use crate::{
    deb::{Deb, Script},
    selection::Package,
};

/// Where all of it is.
pub(crate) const DIRECTORY: &str = "var/lib/dpkg";

/// Files that are in no control archive: dpkg makes them.
const OWN: [&str; 2] = ["list", "control"];

/// What the database says about one package.
#[derive(Debug)]
pub(crate) struct Record {
    /// The stem of its files below `info`.
    pub(crate) stem: String,
    /// Packages whose files it may take over, by name.
    pub(crate) replaces: Vec<String>,
    control: String,
    /// Digest of each configuration file, by its path as in the package.
    conffiles: Vec<(String, Option<String>)>,
    list: Vec<Vec<u8>>,
    sums: Vec<(Vec<u8>, String)>,
    scripts: Vec<Script>,
}

impl Record {
    /// Takes over what the package says of itself, once it is clear that it is the package that was selected.
    pub(crate) fn new(package: &Package, deb: &mut Deb) -> Result<Self, String> {
        let paragraphs = parse_borrowed(&deb.control).map_err(|error| error.to_string())?;
        let [paragraph] = paragraphs.as_slice() else {
            return Err("its description is not one paragraph".into());
        };
        let field = |name: &str| paragraph.get_single(name).map_or("", str::trim);
        for (name, expected) in [
            ("Package", &package.name),
            ("Version", &package.version),
            ("Architecture", &package.architecture),
        ] {
            if field(name) != expected {
                return Err(format!("it says `{name}: {}` where the index says `{expected}`", field(name)));
            }
        }
        let stem = if field("Multi-Arch") == "same" {
            format!("{}:{}", package.name, package.architecture)
        } else {
            package.name.clone()
        };
        let replaces = crate::relation::parse(field("Replaces"))?;
        let conffiles = deb
            .lines("conffiles")?
            .into_iter()
            // The other form, `remove-on-upgrade PATH`, is about files that the package no longer has.
            .filter(|line| line.starts_with('/'))
            .map(|path| (path.to_owned(), None))
            .collect();
        Ok(Self {
            stem,
            replaces: replaces.into_iter().flat_map(|group| group.0).map(|relation| relation.name).collect(),
            control: deb.control.clone(),
            conffiles,
            list: Vec::new(),
            sums: Vec::new(),
            scripts: std::mem::take(&mut deb.scripts),
        })
    }

    /// Notes a path that the package has.
    pub(crate) fn has(&mut self, path: &[u8]) {
        self.list.push(plain(path).to_vec());
    }

    /// Notes the content of a file that the package has.
    pub(crate) fn has_content(&mut self, path: &[u8], content: &[u8]) {
        let path = plain(path);
        let conffile = self
            .conffiles
            .iter_mut()
            .find(|(name, _)| name.as_bytes().strip_prefix(b"/").is_some_and(|name| name == path));
        if let Some((_, digest)) = conffile {
            *digest = Some(hex::encode(Md5::digest(content)));
        } else if !self.scripts.iter().any(|script| script.name == "md5sums") {
            self.sums.push((path.to_vec(), hex::encode(Md5::digest(content))));
        }
    }

    /// Forgets a path that another package took over.
    pub(crate) fn loses(&mut self, path: &[u8]) {
        let path = plain(path);
        self.list.retain(|known| known != path);
    }

    /// Returns its paragraph of `status`.
    pub(crate) fn status(&self) -> String {
        let (first, rest) = self.control.split_once('\n').unwrap_or((&self.control, ""));
        let mut text = format!("{first}\nStatus: install ok unpacked\n{rest}\n");
        if !self.conffiles.is_empty() {
            text.push_str("Conffiles:\n");
            for (path, digest) in &self.conffiles {
                let _ = writeln!(text, " {path} {}", digest.as_deref().unwrap_or("newconffile"));
            }
        }
        text
    }

    /// Returns its files below `info`, by name, with their modes and times.
    pub(crate) fn files(&self, mtime: u64) -> Vec<Script> {
        let file = |name: String, content: Vec<u8>| Script { name, mode: 0o644, mtime, content };
        let mut list = b"/.\n".to_vec();
        for path in self.list.iter().filter(|path| !path.is_empty()) {
            list.push(b'/');
            list.extend_from_slice(path);
            list.push(b'\n');
        }
        let mut files = vec![file(format!("{}.list", self.stem), list)];
        if !self.sums.is_empty() {
            let mut sums = Vec::new();
            for (path, digest) in &self.sums {
                sums.extend_from_slice(format!("{digest}  ").as_bytes());
                sums.extend_from_slice(path);
                sums.push(b'\n');
            }
            files.push(file(format!("{}.md5sums", self.stem), sums));
        }
        for script in self.scripts.iter().filter(|script| !OWN.contains(&script.name.as_str())) {
            files.push(Script {
                name: format!("{}.{}", self.stem, script.name),
                mode: script.mode,
                mtime: script.mtime,
                content: script.content.clone(),
            });
        }
        files
    }

    /// Returns a control file that it has.
    pub(crate) fn script(&self, name: &str) -> Option<&Script> {
        self.scripts.iter().find(|script| script.name == name)
    }
}

/// Who wants to hear of what.
#[derive(Debug, Default)]
pub(crate) struct Triggers(BTreeMap<String, Vec<String>>);

impl Triggers {
    /// Notes what a package wants to hear of, from its control file `triggers`.
    pub(crate) fn add(&mut self, package: &str, lines: &[&str]) -> Result<(), String> {
        for line in lines {
            let mut words = line.split_whitespace();
            let (Some(directive), Some(name), None) = (words.next(), words.next(), words.next()) else {
                return Err(format!("`{line}` is not a trigger"));
            };
            let listener = match directive {
                "interest" | "interest-await" => package.to_owned(),
                "interest-noawait" => format!("{package}/noawait"),
                "activate" | "activate-await" | "activate-noawait" => continue,
                _ => return Err(format!("`{line}` is not a trigger")),
            };
            let is_path = name.starts_with('/');
            if !is_path
                && (name.contains('/') || name.starts_with('.') || name == "File" || name == "Unincorp")
            {
                return Err(format!("`{name}` is not the name of a trigger"));
            }
            self.0.entry(name.to_owned()).or_default().push(listener);
        }
        Ok(())
    }

    /// Returns the files below `triggers`, by name.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for (name, listeners) in &self.0 {
            for listener in listeners {
                if name.starts_with('/') {
                    let _ = writeln!(files.entry("File".into()).or_default(), "{name} {listener}");
                } else {
                    let _ = writeln!(files.entry(name.clone()).or_default(), "{listener}");
                }
            }
        }
        files
    }
}

/// Strips what leads and trails: `./bin/` is `bin`.
fn plain(path: &[u8]) -> &[u8] {
    let path =
        path.strip_prefix(b".").filter(|rest| rest.is_empty() || rest.starts_with(b"/")).unwrap_or(path);
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(start, |last| last + 1);
    &path[start..end]
}
