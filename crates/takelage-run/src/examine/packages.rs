//! Packages of an image: Debian's and Alpine's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use takelage_engine::ArchiveError;

use super::Tree;

const DPKG: &str = "var/lib/dpkg/status";
const DPKG_LISTS: &str = "var/lib/dpkg/info";
const APK: &str = "lib/apk/db/installed";
/// Directories that are links into `usr` on a merged system, where lists of files may still have them as they were.
const MERGED: [&str; 5] = ["bin", "lib", "lib32", "lib64", "sbin"];

/// Returns the installed packages with their versions. `None`: there is no database that is understood.
pub(super) fn installed(tree: &Tree) -> Result<Option<BTreeMap<String, String>>, ArchiveError> {
    if let Some(status) = tree.text(Path::new(DPKG))? {
        return Ok(Some(dpkg(&status)));
    }
    Ok(tree.text(Path::new(APK))?.map(|database| apk(&database)))
}

/// Returns which package has installed a file, by its path below the root.
pub(super) fn owners(tree: &Tree) -> Result<BTreeMap<PathBuf, String>, ArchiveError> {
    let mut owners = BTreeMap::new();
    let mut note = |path: &str, package: &str| {
        let path = path.trim_start_matches('/');
        let top = path.split('/').next().unwrap_or_default();
        let merged = MERGED.contains(&top).then(|| Path::new("usr").join(path));
        // The same path stands in the lists of all packages that share a directory; only files matter.
        let place = merged.filter(|merged| tree.files().contains_key(merged)).unwrap_or_else(|| path.into());
        owners.insert(place, package.to_owned());
    };
    let lists = tree.files().keys().filter(|path| path.parent() == Some(Path::new(DPKG_LISTS)));
    for list in lists.filter(|path| path.extension().is_some_and(|kind| kind == "list")) {
        let name = list.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let package = name.split(':').next().unwrap_or_default();
        for line in tree.text(list)?.unwrap_or_default().lines() {
            note(line, package);
        }
    }
    let (mut package, mut directory) = ("", "");
    let database = tree.text(Path::new(APK))?.unwrap_or_default();
    for line in database.lines() {
        match line.split_once(':') {
            Some(("P", name)) => package = name,
            Some(("F", path)) => directory = path,
            Some(("R", name)) => note(&format!("{directory}/{name}"), package),
            _ => {}
        }
    }
    Ok(owners)
}

/// Reads dpkg's database: paragraphs of `KEY: VALUE`.
fn dpkg(status: &str) -> BTreeMap<String, String> {
    let package = |paragraph: &str| {
        let value = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let is_installed = value("Status:")?.ends_with(" installed");
        let name = match (value("Package:")?, value("Architecture:"), value("Multi-Arch:")) {
            // Several of one name may be there, for several architectures.
            (name, Some(architecture), Some("same")) => format!("{name}:{architecture}"),
            (name, ..) => name.to_owned(),
        };
        is_installed.then(|| Some((name, value("Version:")?.to_owned()))).flatten()
    };
    status.split("\n\n").filter_map(package).collect()
}

/// Reads apk's database: paragraphs of `LETTER:VALUE`.
fn apk(database: &str) -> BTreeMap<String, String> {
    let package = |paragraph: &str| {
        let value = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
        Some((value("P:")?, value("V:")?))
    };
    database.split("\n\n").filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let status = "\
Package: libc6\nStatus: install ok installed\nMulti-Arch: same\nArchitecture: amd64\nVersion: 2.36-9\nDescription: C\n Version: no\n
Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n
Package: bash\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 5.2\n";
        let found = dpkg(status).into_iter().collect::<Vec<_>>();
        let wanted = [("bash", "5.2"), ("libc6:amd64", "2.36-9")];
        assert_eq!(found, wanted.map(|(name, version)| (name.to_owned(), version.to_owned())));
        let found = apk("C:Q1\nP:musl\nV:1.2.4-r2\nF:lib\nR:ld.so\n\nP:busybox\nV:1.36\n\n");
        assert_eq!(found["musl"], "1.2.4-r2");
        assert_eq!(found.len(), 2);
    }
}
