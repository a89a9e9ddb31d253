//! Images: their playbooks, inventories, tests and tags.

use std::{collections::HashMap, path::PathBuf};

use indexmap::IndexMap;
use takelage_model::{ImageName, Leftovers};

use super::{Assembly, paths::Want};
use crate::{
    Clean, Entry, Image, Inventory, Layer, PathPattern, Position, Prepare, document, error::Fault,
    position::join, suggestion,
};

impl Assembly<'_> {
    /// Makes all images that can be made, in the order of the file.
    pub(super) fn images(&mut self, images: IndexMap<String, document::Image>) -> IndexMap<ImageName, Image> {
        let names: Vec<String> = images.keys().cloned().collect();
        let images = images.into_iter().filter_map(|(name, image)| {
            let at = join("/images", &name);
            let name = self.image_name(&name, &at);
            let image = self.image(name.clone(), image, &at, &names);
            Some((name?, image?))
        });
        images.collect()
    }

    fn image(
        &mut self,
        name: Option<ImageName>,
        mut image: document::Image,
        at: &str,
        names: &[String],
    ) -> Option<Image> {
        let from = self.origin(&mut image, at, names);
        let layers = self.layers(image.playbook, image.layers, at);
        let roles_path = self.each(image.roles_path, &join(at, "roles_path"), Want::Directory);
        let inventory = self.inventory(image.inventory.unwrap_or_default(), &join(at, "inventory"));
        let container = self.container(image.container.unwrap_or_default(), &join(at, "container"));
        let tests = image.tests.map(|path| self.path(&path, &join(at, "tests"), Want::Either));
        let config = self.config(image.config.unwrap_or_default(), &join(at, "config"));
        let clean = self.clean(image.clean, &join(at, "clean"));
        for (index, tag) in image.tags.iter().enumerate() {
            let pointer = join(&join(at, "tags"), &index.to_string());
            if tag.contains('@') {
                self.fault(&pointer, format!("`{tag}` cannot be a tag: an image cannot be given a digest"));
            } else {
                self.reference(tag, &pointer);
            }
        }
        Some(Image {
            name: name?,
            from: from?,
            layers,
            prepare: match image.prepare {
                None | Some(document::Prepare::Python) => Prepare::Python,
                Some(document::Prepare::None) => Prepare::None,
            },
            roles_path,
            extra_vars: image.extra_vars,
            inventory,
            container,
            tests,
            config,
            clean,
            tags: image.tags,
            position: self.marks.key(at),
        })
    }

    fn clean(&mut self, entries: Vec<String>, at: &str) -> Vec<Clean> {
        let mut clean = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            match cleaned(&entry) {
                Ok(entry) => clean.push(entry),
                Err((message, hint)) => {
                    let position = self.marks.value(&join(at, &index.to_string()));
                    let fault = Fault::new(position, message);
                    self.faults.push(match hint {
                        Some(hint) => fault.hint(hint),
                        None => fault,
                    });
                }
            }
        }
        clean
    }

    fn layers(&mut self, playbook: Option<String>, layers: Vec<String>, at: &str) -> Vec<Layer> {
        let (playbook_at, layers_at) = (join(at, "playbook"), join(at, "layers"));
        if self.marks.has(&playbook_at) && self.marks.has(&layers_at) {
            let later = self.marks.key(&playbook_at).max(self.marks.key(&layers_at));
            self.faults.push(Fault::new(later, "an image has a `playbook` or `layers`, not both"));
        }
        if let Some(path) = playbook {
            let position = self.marks.value(&playbook_at);
            return vec![Layer {
                name: None,
                playbook: self.path(&path, &playbook_at, Want::File),
                position,
            }];
        }
        let below = match self.source.files.entry(&self.root.join("ansible")) {
            Some(Entry::Directory) => "ansible/",
            _ => "",
        };
        let mut seen: HashMap<String, Position> = HashMap::new();
        let mut made = Vec::new();
        for (index, name) in layers.into_iter().enumerate() {
            let pointer = join(&layers_at, &index.to_string());
            let position = self.marks.value(&pointer);
            if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace()) {
                self.fault(
                    &pointer,
                    format!("`{name}` is no layer's name: it becomes part of a file's name"),
                );
                continue;
            }
            if let Some(first) = seen.insert(name.clone(), position) {
                self.fault(
                    &pointer,
                    format!("layer `{name}` is here a second time, the first is at {first}"),
                );
                continue;
            }
            let playbook = self.path(&format!("{below}playbook-{name}.yml"), &pointer, Want::File);
            made.push(Layer { name: Some(name), playbook, position });
        }
        made
    }

    fn inventory(&mut self, inventory: document::Inventory, at: &str) -> Inventory {
        let links_at = join(at, "links");
        let links = inventory.links.unwrap_or_default();
        let links = [
            ("hosts", links.hosts, Want::Either),
            ("group_vars", links.group_vars, Want::Directory),
            ("host_vars", links.host_vars, Want::Directory),
        ];
        let links = links.into_iter().filter_map(|(name, path, want)| {
            let path = self.path(&path?, &join(&links_at, name), want);
            Some((name.to_owned(), path))
        });
        Inventory {
            links: links.collect(),
            groups: inventory.groups,
            host_vars: inventory.host_vars,
            group_vars: inventory.group_vars,
        }
    }

    /// Resolves a list of paths.
    fn each(&mut self, paths: Vec<String>, at: &str, want: Want) -> Vec<PathBuf> {
        let paths = paths.into_iter().enumerate();
        paths.map(|(index, path)| self.path(&path, &join(at, &index.to_string()), want)).collect()
    }

    /// Reports a tag that two images want: the later one would take it away from the other.
    pub(super) fn distinct_tags(&mut self, images: &IndexMap<ImageName, Image>) {
        let mut seen: HashMap<&str, Position> = HashMap::new();
        for (name, image) in images {
            for (index, tag) in image.tags.iter().enumerate() {
                let pointer = format!("{}/tags/{index}", join("/images", name.as_str()));
                let position = self.marks.value(&pointer);
                let first = *seen.entry(tag).or_insert(position);
                if first != position {
                    self.fault(
                        &pointer,
                        format!("tag `{tag}` is here a second time, the first is at {first}"),
                    );
                }
            }
        }
    }
}

/// Reads an entry of `clean:`. An error is a message, and what would be right.
fn cleaned(entry: &str) -> Result<Clean, (String, Option<String>)> {
    if entry.starts_with('/') {
        let wrong =
            || (format!("`{entry}` cannot be cleaned: it names no path, or has a component `..`"), None);
        return PathPattern::parse(entry).map(Clean::Paths).ok_or_else(wrong);
    }
    entry.parse().map(Clean::Kind).map_err(|_| {
        let names = Leftovers::ALL.map(Leftovers::name);
        let near = suggestion::nearest(entry, names);
        let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
        let known = format!("known here are `{}` and absolute paths", names.join("`, `"));
        (format!("`{entry}` is nothing that can be cleaned{near}"), Some(known))
    })
}
