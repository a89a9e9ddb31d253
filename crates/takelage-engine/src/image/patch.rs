//! Changes to an image's configuration, with the meaning that a Dockerfile's instructions have.

use indexmap::IndexMap;

use crate::{ConfigPatch, ImageConfig};

/// The search path of a container whose image sets none, as Docker and Podman choose it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl ConfigPatch {
    /// Returns `base` with these changes.
    ///
    /// As in a Dockerfile: an entrypoint without a command resets the base's command, a relative working
    /// directory is below the base's, a port without a protocol is `tcp`, and `$NAME` and `${NAME}` in a value of
    /// `env` stand for the base's value (nothing if it has none; for `PATH`, [`DEFAULT_PATH`]). `\$` is a dollar sign.
    pub fn apply(&self, base: &ImageConfig) -> ImageConfig {
        let mut config = base.clone();
        let words = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
        if let Some(entrypoint) = &self.entrypoint {
            config.entrypoint = words(entrypoint);
            config.cmd = None;
        }
        if let Some(cmd) = &self.cmd {
            config.cmd = words(cmd);
        }
        if let Some(user) = &self.user {
            config.user.clone_from(user);
        }
        if let Some(workdir) = &self.workdir {
            config.workdir = below(&base.workdir, workdir);
        }
        for (name, value) in &self.env {
            config.env.insert(name.clone(), expand(value, &base.env));
        }
        config.labels.extend(self.labels.clone());
        let port = |port: &String| if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
        config.expose.extend(self.expose.iter().map(port));
        config.volumes.extend(self.volumes.iter().cloned());
        if let Some(signal) = &self.stop_signal {
            config.stop_signal = Some(signal.clone()).filter(|signal| !signal.is_empty());
        }
        if let Some(check) = &self.healthcheck {
            config.healthcheck = Some(check.clone());
        }
        config
    }
}

/// Joins a working directory to the one before it.
fn below(base: &str, workdir: &str) -> String {
    if workdir.is_empty() || workdir.starts_with('/') {
        return workdir.to_owned();
    }
    format!("{}/{workdir}", if base.is_empty() { "" } else { base.trim_end_matches('/') })
}

/// Replaces `$NAME` and `${NAME}` by the values of `env`. Whatever is no such name stays as it is.
fn expand(value: &str, env: &IndexMap<String, String>) -> String {
    let lookup = |name: &str| match env.get(name) {
        Some(value) => value.as_str(),
        None if name == "PATH" => DEFAULT_PATH,
        None => "",
    };
    let mut expanded = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if let Some(escaped) = before.strip_suffix('\\') {
            expanded.push_str(escaped);
            expanded.push('$');
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, tail) = match braced {
            Some((name, tail)) if name_length(name) == name.len() => (name, tail),
            Some(_) => ("", after),
            None => after.split_at(name_length(after)),
        };
        if name.is_empty() {
            expanded.push('$');
            rest = after;
        } else {
            expanded.push_str(lookup(name));
            rest = tail;
        }
    }
    expanded + rest
}

/// Returns how many bytes at the start of `text` are a variable's name.
fn name_length(text: &str) -> usize {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    if text.bytes().next().is_none_or(|b| b.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(word).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the fields are options")]
    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|&word| word.to_owned()).collect())
    }

    fn base() -> ImageConfig {
        ImageConfig {
            entrypoint: words(&["/entry"]),
            cmd: words(&["serve"]),
            workdir: "/srv".to_owned(),
            env: [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())].into(),
            labels: [("keep".to_owned(), "yes".to_owned())].into(),
            expose: ["80/tcp".to_owned()].into(),
            ..ImageConfig::default()
        }
    }

    #[test]
    fn nothing_changes_nothing() {
        assert_eq!(ConfigPatch::default().apply(&base()), base());
    }

    #[test]
    fn an_entrypoint_resets_the_bases_command_and_a_command_keeps_the_entrypoint() {
        let entrypoint =
            ConfigPatch { entrypoint: words(&["/new"]), ..ConfigPatch::default() }.apply(&base());
        assert_eq!((entrypoint.entrypoint, entrypoint.cmd), (words(&["/new"]), None));
        let none = ConfigPatch { entrypoint: words(&[]), ..ConfigPatch::default() }.apply(&base());
        assert_eq!((none.entrypoint, none.cmd), (None, None));
        let cmd = ConfigPatch { cmd: words(&["run"]), ..ConfigPatch::default() }.apply(&base());
        assert_eq!((cmd.entrypoint, cmd.cmd), (words(&["/entry"]), words(&["run"])));
        let both = ConfigPatch { entrypoint: words(&[]), cmd: words(&["run"]), ..ConfigPatch::default() };
        let both = both.apply(&base());
        assert_eq!((both.entrypoint, both.cmd), (None, words(&["run"])));
        let no_cmd = ConfigPatch { cmd: words(&[]), ..ConfigPatch::default() }.apply(&base());
        assert_eq!((no_cmd.entrypoint, no_cmd.cmd), (words(&["/entry"]), None));
    }

    #[test]
    fn the_environment_keeps_its_order_and_sees_the_bases_values() {
        let mut patch = ConfigPatch::default();
        for (name, value) in
            [("B", "${A}$B"), ("C", "$C-$B"), ("PATH", "/opt/bin:$PATH"), ("D", r"\$A $ ${x")]
        {
            patch.env.insert(name.to_owned(), value.to_owned());
        }
        let env: Vec<_> = patch.apply(&base()).env.into_iter().collect();
        let search = format!("/opt/bin:{DEFAULT_PATH}");
        let expected = [("A", "1"), ("B", "12"), ("C", "-2"), ("PATH", search.as_str()), ("D", "$A $ ${x")];
        assert_eq!(env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn labels_ports_and_volumes_are_added() {
        let patch = ConfigPatch {
            labels: [("new".to_owned(), "1".to_owned())].into(),
            expose: ["443".to_owned(), "53/udp".to_owned()].into(),
            volumes: ["/data".to_owned()].into(),
            ..ConfigPatch::default()
        };
        let config = patch.apply(&base());
        assert_eq!(config.labels.len(), 2);
        assert_eq!(config.expose.into_iter().collect::<Vec<_>>(), ["443/tcp", "53/udp", "80/tcp"]);
        assert_eq!(config.volumes.into_iter().collect::<Vec<_>>(), ["/data"]);
    }

    #[test]
    fn a_relative_working_directory_is_below_the_bases() {
        let at = |workdir: &str, base: &ImageConfig| {
            ConfigPatch { workdir: Some(workdir.to_owned()), ..ConfigPatch::default() }.apply(base).workdir
        };
        assert_eq!(at("app", &base()), "/srv/app");
        assert_eq!(at("/app", &base()), "/app");
        assert_eq!(at("app", &ImageConfig::default()), "/app");
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_sign_stays(value in "[^$]*") {
            prop_assert_eq!(expand(&value, &IndexMap::new()), value);
        }

        #[test]
        fn no_text_makes_it_panic(value in r"[${}\\A-C_0-9é]*") {
            expand(&value, &base().env);
        }
    }
}
