//! The Ruby takelage's own settings, which lived in a file of the same name.

/// What the keys of those settings begin with.
const PREFIXES: [&str; 8] =
    ["bit_", "cmd_", "docker_", "git_", "info_project_", "init_", "login_", "mutagen_"];

/// Whether the text is a flat map of settings of the Ruby takelage: at least one top-level key, and all of
/// them settings. A project file has `images:`, which is none.
///
/// It looks at lines and not at YAML, because the text may hold anything.
pub(crate) fn recognise(text: &str) -> bool {
    let mut keys = text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter(|line| {
            !line.starts_with([' ', '\t', '#']) && !line.trim().is_empty() && !line.starts_with("---")
        })
        .filter_map(|line| line.split_once(':').map(|(key, _)| key.trim_matches(['"', '\''])))
        .peekable();
    keys.peek().is_some() && keys.all(|key| PREFIXES.iter().any(|prefix| key.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::recognise;

    #[test]
    fn only_a_flat_map_of_settings_is_one() {
        assert!(recognise("---\n# mine\ndocker_registry: example.org\n'git_hg_branch': main\n"));
        for text in [
            "",
            "---\n",
            "images: {}\n",
            "docker_user: me\nimages: {}\n",
            "name: x\n",
            "docker\n",
            "- docker_user: me\n",
        ] {
            assert!(!recognise(text), "{text}");
        }
    }
}
