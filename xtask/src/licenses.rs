//! Checks the licences and the number of the crates that others wrote.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::Package;
use spdx::{Expression, ParseMode};

use crate::chore::{self, Broken, Finding};

/// Licences whose works may be linked into a program that is `Apache-2.0 OR MIT`. They ask for notices, not for
/// the program's own licence to change; MPL-2.0 asks for its own files to stay under it, and they are not changed.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Packages whose manifest names a file instead of an expression, and what that file is.
const READ: &[(&str, &str)] = &[("rust-criu", "MIT")];

/// Exceptions only add permissions; these are the ones in use.
const EXCEPTIONS: &[&str] = &["LLVM-exception"];

/// As many packages may stand in `Cargo.lock`. Every one is code that somebody has to trust and to build.
const MOST_PACKAGES: usize = 510;

/// Checks every package that `Cargo.lock` names.
pub(crate) fn check() -> Result<Vec<Finding>, Broken> {
    let metadata = chore::metadata()?;
    let foreign: Vec<_> = metadata.packages.iter().filter(|package| package.source.is_some()).collect();
    let mut findings: Vec<_> = foreign.iter().filter_map(|package| unlicensed(package)).collect();
    let number = metadata.packages.len();
    if number > MOST_PACKAGES {
        findings.push(format!("Cargo.lock: {number} packages, and {MOST_PACKAGES} may be"));
    }
    println!(
        "{number} packages of at most {MOST_PACKAGES}; in several versions: {}",
        duplicates(&foreign).join(", ")
    );
    Ok(findings)
}

fn unlicensed(package: &Package) -> Option<Finding> {
    let read = READ.iter().find(|(name, _)| *name == package.name.as_str()).map(|(_, license)| *license);
    let reason = refusal(package.license.as_deref().or(read))?;
    Some(format!("{} {}: {reason}", package.name, package.version))
}

/// Returns why a licence expression is refused.
fn refusal(license: Option<&str>) -> Option<String> {
    let Some(license) = license else { return Some("no licence expression".to_owned()) };
    // Old manifests write `MIT/Apache-2.0`; cargo accepts it, and so does this mode.
    let Ok(expression) = Expression::parse_mode(license, ParseMode::LAX) else {
        return Some(format!("`{license}` is no licence expression"));
    };
    let allowed = expression.evaluate(|requirement| {
        let license = requirement.license.id().is_some_and(|id| ALLOWED.contains(&id.name));
        let addition = requirement
            .addition
            .as_ref()
            .is_none_or(|addition| addition.id().is_some_and(|id| EXCEPTIONS.contains(&id.name)));
        license && addition
    });
    (!allowed).then(|| format!("licence `{license}` is not allowed"))
}

fn duplicates(packages: &[&Package]) -> Vec<String> {
    let mut versions = BTreeMap::<_, BTreeSet<_>>::new();
    for package in packages {
        versions.entry(package.name.as_str()).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions.into_keys().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissive_choices_pass() {
        for license in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert_eq!(refusal(Some(license)), None, "{license}");
        }
    }

    #[test]
    fn others_are_refused() {
        for license in [
            "GPL-3.0-only",
            "LGPL-2.1-or-later",
            "MIT AND GPL-2.0-only",
            "AGPL-3.0",
            "Apache-2.0 WITH Classpath-exception-2.0",
            "LicenseRef-Commercial",
            "whatever",
            "",
        ] {
            assert!(refusal(Some(license)).is_some(), "{license}");
        }
        assert!(refusal(None).is_some());
    }

    #[test]
    fn the_lists_are_of_known_names() {
        assert!(ALLOWED.iter().all(|name| spdx::license_id(name).is_some()));
        assert!(EXCEPTIONS.iter().all(|name| spdx::exception_id(name).is_some()));
    }
}
