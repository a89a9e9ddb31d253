//! Which mirror the host's own apt uses.

use std::path::Path;

use deb822_fast::borrowed::parse_borrowed;

/// What the names of Debian's keyrings contain.
const KEYRING: &str = "debian-archive-";

/// Finds the mirror of Debian's archive that the host uses, in the directory of apt's configuration (`/etc/apt`).
///
/// Reads `sources.list` and the `*.list` and `*.sources` below `sources.list.d`, in apt's order. The first http
/// or https source of Debian proper counts: one whose components include `main` whose path ends in `debian`, and whose keyring, if it
/// names one, is Debian's; so neither
/// security updates nor other people's repositories nor Debian's derivatives. `None`: there is none.
pub fn host_mirror(apt: &Path) -> Option<String> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(directory) = fs_err::read_dir(apt.join("sources.list.d")) {
        let mut more: Vec<_> = directory.filter_map(|entry| Some(entry.ok()?.path())).collect();
        more.sort();
        files.extend(more);
    }
    files.iter().find_map(|file| {
        let text = fs_err::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "list" => one_line(&text),
            "sources" => deb822(&text),
            _ => None,
        }
    })
}

/// `deb [options] URI suite component…`
fn one_line(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.split('#').next()?.trim().strip_prefix("deb")?;
        if !line.starts_with([' ', '\t']) {
            return None;
        }
        let line = line.trim_start();
        let (options, line) = line.strip_prefix('[').map_or(Some(("", line)), |rest| rest.split_once(']'))?;
        if options.contains("signed-by=") && !options.contains(KEYRING) {
            return None;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let (uri, suite) = (words.first()?, words.get(1)?);
        is_debian(uri, &[suite], &words[2..]).then(|| trimmed(uri))
    })
}

fn deb822(text: &str) -> Option<String> {
    parse_borrowed(text).ok()?.iter().find_map(|paragraph| {
        let words = |name: &str| {
            let field = paragraph.iter().find(|field| field.name().eq_ignore_ascii_case(name));
            field.map(|field| {
                field.lines().iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>()
            })
        };
        if words("Enabled").is_some_and(|words| words.first().is_some_and(|w| w.eq_ignore_ascii_case("no"))) {
            return None;
        }
        if words("Signed-By").is_some_and(|words| !words.iter().any(|word| word.contains(KEYRING))) {
            return None;
        }
        if !words("Types")?.contains(&"deb") {
            return None;
        }
        let (suites, components) = (words("Suites")?, words("Components")?);
        words("URIs")?.into_iter().find(|uri| is_debian(uri, &suites, &components)).map(trimmed)
    })
}

fn is_debian(uri: &str, suites: &[&str], components: &[&str]) -> bool {
    let web = uri.starts_with("http://") || uri.starts_with("https://");
    // A source of nothing but these is one of additions to another source.
    let additions = ["-security", "-updates", "-backports", "-backports-sloppy", "/updates"];
    web && trimmed(uri).ends_with("/debian")
        && components.contains(&"main")
        && suites.iter().any(|suite| !additions.iter().any(|addition| suite.ends_with(addition)))
}

fn trimmed(uri: &str) -> String {
    uri.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(files: &[(&str, &str)]) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs_err::write(directory.path().join(name), text).unwrap();
        }
        host_mirror(directory.path())
    }

    #[test]
    fn finds_debian_among_others_in_both_formats() {
        let others = "deb https://apt.example/debian stable contrib\n\
             deb [signed-by=/etc/apt/keyrings/other.gpg] https://apt.example/debian stable main\n\
             deb http://security.debian.org/debian-security bookworm-security main\n\
             deb http://mirror.example/debian bookworm-backports main\n";
        let sources = "Types: deb-src\nURIs: http://src.example/debian\nSuites: sid\nComponents: main\n\n\
             Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\n\n\
             # a comment\nTypes: deb\nURIs: http://near.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(mirror(&[("sources.list", others)]), None);
        let found = mirror(&[("sources.list", others), ("sources.list.d/debian.sources", sources)]);
        assert_eq!(found.as_deref(), Some("http://near.example/debian"));
        let line = "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://far.example/debian bookworm main # x\n";
        assert_eq!(mirror(&[("sources.list", line)]).as_deref(), Some("https://far.example/debian"));
    }

    #[test]
    fn no_sources_no_mirror() {
        assert_eq!(mirror(&[]), None);
        assert_eq!(host_mirror(Path::new("/nonexistent")), None);
        assert_eq!(
            mirror(&[("sources.list", "deb\ndeb [\ndeb http://x\n"), ("sources.list.d/x.sources", ":::\n")]),
            None
        );
    }
}
