//! What the image's own apt is told.

use std::fmt::Write as _;

use crate::DEFAULT_MIRROR;

/// Where Debian keeps its security updates, beside the archive.
const SECURITY: &str = "http://deb.debian.org/debian-security";

/// The keyring of the package `debian-archive-keyring`, on which apt depends.
const SIGNED_BY: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Returns the content of `/etc/apt/sources.list.d/debian.sources`.
///
/// It names the suite, its updates, and its security updates, as the images that Debian publishes do. `sid` has
/// neither of the latter two. Security updates of a mirror that the project names are expected beside it only if
/// it follows Debian's layout, `…/debian` and `…/debian-security`; otherwise they come from Debian itself.
pub(crate) fn text(mirror: &str, codename: &str, components: &[String]) -> String {
    let components = components.join(" ");
    let mut text = String::new();
    let mut paragraph = |uri: &str, suites: &str| {
        let _ = writeln!(
            text,
            "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: {components}\nSigned-By: {SIGNED_BY}\n"
        );
    };
    if matches!(codename, "sid" | "experimental") {
        paragraph(mirror, codename);
    } else {
        paragraph(mirror, &format!("{codename} {codename}-updates"));
        let security = if mirror == DEFAULT_MIRROR { SECURITY.to_owned() } else { beside(mirror) };
        paragraph(&security, &format!("{codename}-security"));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn beside(mirror: &str) -> String {
    mirror
        .strip_suffix("/debian")
        .map_or_else(|| SECURITY.to_owned(), |base| format!("{base}/debian-security"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_suites_get_updates_and_security_and_sid_has_neither() {
        let components = ["main".to_owned(), "contrib".to_owned()];
        let text = text(DEFAULT_MIRROR, "bookworm", &components);
        assert_eq!(text.matches("Components: main contrib\n").count(), 2);
        assert!(
            text.contains("URIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\n"),
            "{text}"
        );
        assert!(
            text.contains("URIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\n"),
            "{text}"
        );
        let sid = super::text("https://mirror.example/debian", "sid", &components);
        assert_eq!(sid.matches("URIs").count(), 1);
    }
}
