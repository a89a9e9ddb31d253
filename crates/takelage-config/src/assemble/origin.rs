//! What an image is based on.

use takelage_model::ImageName;

use super::{Assembly, paths::Want};
use crate::{Bootstrap, FileKind, Origin, document, error::Fault, position::join, suggestion};

impl Assembly<'_> {
    /// `names` are the keys below `images:`, also those of images that are wrong in themselves.
    pub(super) fn origin(
        &mut self,
        image: &mut document::Image,
        at: &str,
        names: &[String],
    ) -> Option<Origin> {
        let (from_at, bootstrap_at) = (join(at, "from"), join(at, "bootstrap"));
        if self.marks.has(&from_at) && self.marks.has(&bootstrap_at) {
            let later = self.marks.key(&from_at).max(self.marks.key(&bootstrap_at));
            self.faults.push(Fault::new(later, "an image is made by `from` or by `bootstrap`, not by both"));
            return None;
        }
        if let Some(bootstrap) = image.bootstrap.take() {
            return Some(Origin::Bootstrap(self.bootstrap(bootstrap, &bootstrap_at)));
        }
        let Some(from) = image.from.take() else {
            // What is there and wrong was reported by the check of the shape.
            if !self.marks.has(&from_at) && !self.marks.has(&bootstrap_at) {
                let message = "the image needs `from` or `bootstrap`, to say what it is based on";
                self.faults.push(Fault::new(self.marks.key(at), message));
            }
            return None;
        };
        self.from(&from, &from_at, names)
    }

    fn from(&mut self, from: &str, at: &str, names: &[String]) -> Option<Origin> {
        if names.iter().any(|name| name == from) {
            return from.parse().ok().map(Origin::Image);
        }
        let files = [
            ("docker-archive:", FileKind::DockerArchive, Want::File),
            ("oci-archive:", FileKind::OciArchive, Want::Either),
            ("rootfs:", FileKind::Rootfs, Want::Either),
        ];
        for (prefix, kind, want) in files {
            if let Some(path) = from.strip_prefix(prefix) {
                return Some(Origin::File { kind, path: self.path(path.trim_start(), at, want) });
            }
        }
        if !from.contains(['/', ':', '.', '@'])
            && let Some(near) = suggestion::nearest(from, names.iter().map(String::as_str))
        {
            let message = format!("no image `{from}` in this file, did you mean `{near}`?");
            let hint = format!("if it is an image of a registry, say so with its tag: `{from}:latest`");
            self.faults.push(Fault::new(self.marks.value(at), message).hint(hint));
            return None;
        }
        self.reference(from, at).then(|| Origin::Reference(from.to_owned()))
    }

    /// Reports a reference that no registry and no engine would take.
    ///
    /// This is only what can be said in one sentence without knowing registries; the engine checks the rest.
    pub(super) fn reference(&mut self, reference: &str, at: &str) -> bool {
        let path = reference.split_once('@').map_or(reference, |(path, _)| path);
        let tag = path.rfind(':').filter(|colon| !path[*colon..].contains('/'));
        let (path, tag) = tag.map_or((path, None), |colon| (&path[..colon], Some(&path[colon + 1..])));
        let (host, repository) = match path.split_once('/') {
            Some((host, repository)) if host.contains(['.', ':']) || host == "localhost" => {
                (host, repository)
            }
            _ => ("", path),
        };
        let reason = if reference.contains(char::is_whitespace) {
            "it contains white space"
        } else if repository.is_empty() {
            "it names no repository"
        } else if repository.contains(char::is_uppercase) {
            "the repository must be lowercase"
        } else if tag.is_some_and(str::is_empty) {
            "the tag is empty"
        } else if host.starts_with("http") && host.ends_with(':') {
            "it must not begin with a protocol"
        } else {
            return true;
        };
        self.fault(at, format!("`{reference}` is no image reference: {reason}"));
        false
    }

    fn bootstrap(&mut self, bootstrap: document::Bootstrap, at: &str) -> Bootstrap {
        let word = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/');
        if !word(&bootstrap.suite) {
            self.fault(&join(at, "suite"), format!("`{}` is no release's name", bootstrap.suite));
        }
        if let Some(mirror) = &bootstrap.mirror
            && !["http://", "https://"].iter().any(|protocol| mirror.starts_with(protocol))
        {
            let message =
                format!("`{mirror}` is no mirror's address: it begins with `http://` or `https://`");
            self.fault(&join(at, "mirror"), message);
        }
        Bootstrap {
            suite: bootstrap.suite,
            include: bootstrap.include,
            mirror: bootstrap.mirror,
            components: bootstrap.components.unwrap_or_else(|| vec!["main".to_owned()]),
            architecture: bootstrap.architecture,
        }
    }

    /// Reports a name that is none.
    pub(super) fn image_name(&mut self, name: &str, at: &str) -> Option<ImageName> {
        let parsed = name.parse::<ImageName>();
        if let Err(error) = &parsed {
            self.faults.push(Fault::new(self.marks.key(at), error.to_string()));
        }
        parsed.ok()
    }
}
