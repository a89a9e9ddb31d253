//! From keys to meaning: names resolved, paths looked up, amounts read, defaults filled in.

mod chain;
mod container;
mod image;
mod metadata;
mod origin;
mod paths;

use std::path::Path;

use indexmap::IndexMap;
use takelage_model::ImageName;

use crate::{
    Ansible, Cache, EngineChoice, Project, Pytest, Source, amount,
    document::{self, Command, Document, Text},
    error::Fault,
    position::{Marks, join},
};
use paths::Want;

/// Makes the project. There may be faults beside it; a project with faults is of no use.
pub(crate) fn project(
    source: &Source<'_>,
    marks: &Marks,
    document: Document,
) -> (Option<Project>, Vec<Fault>) {
    let root = source.file.parent().unwrap_or(Path::new(""));
    let mut assembly = Assembly { source, root, marks, faults: Vec::new() };
    let project = assembly.project(document);
    (project, assembly.faults)
}

struct Assembly<'a> {
    source: &'a Source<'a>,
    root: &'a Path,
    marks: &'a Marks,
    faults: Vec<Fault>,
}

impl Assembly<'_> {
    fn project(&mut self, document: Document) -> Option<Project> {
        let name = match document.name {
            Some(name) => {
                if name.parse::<ImageName>().is_err() {
                    let message = format!("`{name}` is no project name");
                    self.faults.push(
                        Fault::new(self.marks.value("/name"), message)
                            .hint("use lowercase letters and digits, separated by `-`, `_` or `.`"),
                    );
                }
                name
            }
            None => fit(self.root),
        };
        let images = self.images(document.images);
        self.distinct_tags(&images);
        Some(Project {
            name,
            root: self.root.to_owned(),
            file: self.source.file.to_owned(),
            engine: match document.engine {
                None | Some(document::Engine::Auto) => EngineChoice::Auto,
                Some(document::Engine::Docker) => EngineChoice::Docker,
                Some(document::Engine::Embedded) => EngineChoice::Embedded,
            },
            images: self.ordered(images)?,
            ansible: self.ansible(document.ansible.unwrap_or_default()),
            pytest: pytest(document.pytest.unwrap_or_default()),
            cache: self.cache(document.cache.unwrap_or_default()),
        })
    }

    fn ansible(&mut self, ansible: document::Ansible) -> Ansible {
        let at = "/ansible";
        let config = ansible.config.into_iter().map(|(section, settings)| {
            let texts = self.texts(settings, &join("/ansible/config", &section));
            (section, texts)
        });
        let config = config.collect();
        let version = ansible.version.map(|version| self.text(&version, "/ansible/version"));
        Ansible {
            package: ansible.package,
            version: version.filter(|version| version != "auto"),
            python: ansible.python.map(|path| self.command(&path, &join(at, "python"))),
            config,
            requirements: ansible
                .requirements
                .map(|path| self.path(&path, &join(at, "requirements"), Want::File)),
            args: ansible.args,
            vault_password_file: ansible
                .vault_password_file
                .map(|path| self.path(&path, &join(at, "vault_password_file"), Want::File)),
            tags: ansible.tags,
            skip_tags: ansible.skip_tags,
        }
    }

    fn cache(&mut self, cache: document::Cache) -> Cache {
        let default = Cache::default();
        Cache {
            max_age: cache
                .max_age
                .and_then(|text| self.duration(&text, "/cache/max_age"))
                .unwrap_or(default.max_age),
            size: cache.size.and_then(|text| self.size(&text, "/cache/size")).unwrap_or(default.size),
        }
    }

    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(self.marks.value(pointer), message));
    }

    /// Returns a text as it is written in the file.
    fn text(&self, text: &Text, pointer: &str) -> String {
        match (self.marks.get(pointer).and_then(|mark| mark.text.as_ref()), &text.0) {
            (Some(written), _) => written.clone(),
            (None, serde_json::Value::String(text)) => text.clone(),
            (None, other) => other.to_string(),
        }
    }

    fn texts(&self, texts: IndexMap<String, Text>, pointer: &str) -> IndexMap<String, String> {
        let texts = texts.into_iter().map(|(key, text)| {
            let text = self.text(&text, &join(pointer, &key));
            (key, text)
        });
        texts.collect()
    }

    fn duration(&mut self, text: &str, pointer: &str) -> Option<std::time::Duration> {
        let duration = amount::duration(text);
        if duration.is_none() {
            let message = format!("`{text}` is no duration");
            self.faults.push(
                Fault::new(self.marks.value(pointer), message).hint("write it like `30s`, `1h30m` or `7d`"),
            );
        }
        duration
    }

    fn size(&mut self, text: &Text, pointer: &str) -> Option<u64> {
        let text = self.text(text, pointer);
        let size = amount::size(&text);
        if size.is_none() {
            let message = format!("`{text}` is no size");
            self.faults.push(
                Fault::new(self.marks.value(pointer), message).hint("write it like `512MiB` or `20GB`"),
            );
        }
        size
    }

    /// Returns a command's words; a line is split as a shell splits words.
    fn words(&mut self, command: Command, pointer: &str) -> Vec<String> {
        match command {
            Command::Words(words) => words,
            Command::Line(line) => shlex::split(&line).unwrap_or_else(|| {
                self.fault(pointer, "the command has a quote that is not closed");
                Vec::new()
            }),
        }
    }
}

fn pytest(pytest: document::Pytest) -> Pytest {
    Pytest { options: pytest.options, plugins: pytest.plugins, package: pytest.package }
}

/// Makes a project's name of its directory's: lowercase letters and digits, separated by single `-`.
fn fit(root: &Path) -> String {
    let directory = root.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let words: Vec<_> =
        directory.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(64);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "project".to_owned() } else { name.to_owned() }
}
