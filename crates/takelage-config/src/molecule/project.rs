//! A scenario as a project: one image per platform, so that what holds for images holds for instances.

use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use takelage_model::ImageName;

use super::{NameCheck, Platform, Scenario, Section, VerifierName, role_name};
use crate::{
    Ansible, Cache, Config, EngineChoice, Image, Inventory, Layer, Origin, Position, Prepare, Project, Pytest,
};

impl Scenario {
    /// Returns the project that the scenario describes. `root` is the directory of that project.
    ///
    /// The instances of drivers that take no image have none and are left out.
    pub fn project(&self, root: &Path) -> Project {
        let mut images = IndexMap::new();
        for platform in &self.platforms {
            let Some(reference) = &platform.image else { continue };
            let name = self.unused(&platform.name, &images);
            images.insert(name.clone(), self.image(name, platform, reference));
        }
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Project {
            name: fit(&name),
            root: root.to_owned(),
            file: self.file.clone(),
            engine: EngineChoice::Auto,
            images,
            ansible: Ansible {
                config: self.ansible.cfg.clone(),
                args: self
                    .provisioner
                    .options
                    .arguments()
                    .into_iter()
                    .chain(self.ansible.playbook_args.clone())
                    .collect(),
                requirements: Some(self.directory.join("requirements.yml")).filter(|path| path.is_file()),
                ..Ansible::default()
            },
            pytest: Pytest { options: self.verifier.options.arguments(), ..Pytest::default() },
            cache: Cache::default(),
        }
    }

    /// Returns the name of what belongs to the scenario as a whole.
    pub fn image_name(&self) -> ImageName {
        name(&self.name)
    }

    /// Returns the name of a platform's image.
    pub fn image_of(&self, platform: &str) -> Option<ImageName> {
        let mut images: IndexMap<ImageName, ()> = IndexMap::new();
        for known in self.platforms.iter().filter(|platform| platform.image.is_some()) {
            let name = self.unused(&known.name, &images);
            if known.name == platform {
                return Some(name);
            }
            images.insert(name, ());
        }
        None
    }

    fn unused<T>(&self, platform: &str, taken: &IndexMap<ImageName, T>) -> ImageName {
        let base = format!("{}.{}", fit(&self.name), fit(platform));
        let first = name(&base);
        let others = (2..).map(|number| name(&format!("{base}-{number}")));
        std::iter::once(first)
            .chain(others)
            .find(|name| !taken.contains_key(name))
            .unwrap_or_else(|| name(&base))
    }

    fn image(&self, name: ImageName, platform: &Platform, reference: &str) -> Image {
        let playbook = self.playbook(Section::Converge);
        let layer = |playbook| Layer { name: None, playbook, position: Position::START };
        let registry = platform.build.as_ref().and_then(|build| build.registry.as_ref());
        let from = match registry {
            Some(registry) => {
                let host = registry.trim_start_matches("https://").trim_start_matches("http://");
                format!("{}/{reference}", host.trim_end_matches('/'))
            }
            None => reference.to_owned(),
        };
        let tests = self.verifier.directory.clone();
        let inventory = &self.provisioner.inventory;
        let variables = |map: &serde_json::Map<String, serde_json::Value>| -> IndexMap<_, _> {
            let maps = map.iter().filter_map(|(name, vars)| Some((name.clone(), vars.as_object()?.clone())));
            maps.collect()
        };
        let groups: IndexSet<String> =
            platform.groups.iter().flatten().filter(|group| *group != "ungrouped").cloned().collect();
        Image {
            name,
            from: Origin::Reference(from),
            layers: playbook.into_iter().map(layer).collect(),
            prepare: if platform.build.is_some() { Prepare::Python } else { Prepare::None },
            roles_path: self.own_roles(),
            extra_vars: serde_json::Map::new(),
            inventory: Inventory {
                groups: groups.into_iter().collect(),
                host_vars: variables(&inventory.host_vars),
                group_vars: variables(&inventory.group_vars),
                links: inventory.links.iter().map(|(name, path)| (name.clone(), self.path(path))).collect(),
            },
            container: platform.container.clone(),
            tests: (self.verifier.name == VerifierName::Testinfra && tests.is_dir()).then_some(tests),
            config: Config::default(),
            clean: Vec::new(),
            tags: Vec::new(),
            position: Position::START,
        }
    }

    /// Returns the directories in which the scenario's playbooks find roles by name, as far as they exist.
    fn own_roles(&self) -> Vec<std::path::PathBuf> {
        let project = &self.places.project;
        let named = self.ansible.env.get("ANSIBLE_ROLES_PATH").into_iter().flat_map(|path| path.split(':'));
        let beside = project.parent().filter(|_| role_name(project, NameCheck::Ignore).is_some());
        let roles = named.map(|path| self.path(path)).chain([project.join("roles")]);
        roles.chain(beside.map(Path::to_owned)).filter(|path| path.is_dir()).collect()
    }
}

/// Makes words of lowercase letters and digits with single `-` between them.
fn fit(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "scenario".to_owned() } else { words.join("-") }
}

/// Makes an image's name of a text that is nearly one. One that is too long loses its middle to a digest of it all.
fn name(text: &str) -> ImageName {
    const LENGTH: usize = 64;
    let parts: Vec<String> = text.split('.').map(fit).collect();
    let mut name = parts.join(".");
    if name.len() > LENGTH {
        let digest = takelage_model::Digest::of(&name).short();
        name = format!("{}-{digest}", name[..40].trim_end_matches(['-', '.']));
    }
    name.parse().expect("words of lowercase letters and digits, joined by single separators, are a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name() {
        for (text, expected) in [
            ("default", "default"),
            ("Web_1", "web-1"),
            ("a.b", "a.b"),
            ("", "scenario"),
            ("..", "scenario.scenario.scenario"),
        ] {
            assert_eq!(name(text).as_str(), expected);
        }
        let long = name(&"x".repeat(200));
        assert!(long.as_str().len() <= 64 && long != name(&"x".repeat(201)), "{long}");
    }
}
