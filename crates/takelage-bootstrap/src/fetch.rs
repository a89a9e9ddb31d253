//! One file of one package, for a host that lacks it.

use std::path::{Path, PathBuf};

use crate::{
    BootstrapError, Request, Settings,
    archive::Kind,
    deb::Deb,
    download::{Downloads, Expected},
    resolver,
    selection::PACKAGE_LIMIT,
    suite::Suite,
};

/// Writes one file of one package into the directory `to` and returns its path there, under its own name.
///
/// The package comes from the signed index of the request's suite, as for an image; what it depends on stays away,
/// and none of its scripts runs. `matching` is asked with paths such as `usr/share/doc/NAME/copyright`; the first
/// regular file that it accepts is taken. What the request includes does not matter.
pub fn fetch_file(
    request: &Request,
    package: &str,
    matching: impl Fn(&str) -> bool,
    settings: &Settings<'_>,
    to: &Path,
) -> Result<PathBuf, BootstrapError> {
    let suite = Suite::open(request, settings)?;
    let index = suite.index()?;
    let candidate = resolver::find(&index, &request.suite, package)?;
    let url = format!("{}/{}", request.mirror.download(), candidate.filename);
    if candidate.size > PACKAGE_LIMIT {
        return Err(BootstrapError::TooLarge { url, limit: PACKAGE_LIMIT });
    }
    let downloads = Downloads::new(settings, "packages", Some(candidate.size))?;
    let bytes = downloads.fetch(&url, Expected { digest: candidate.digest, size: candidate.size })?;

    let malformed = |reason: String| BootstrapError::malformed(&*url, reason);
    let mut found = None;
    Deb::open(&bytes).map_err(malformed)?.for_each(
        |entry, content| {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            let path = path.trim_start_matches("./");
            // The last part of a path has no slash, and `..` is not the name of a regular file anybody asks for.
            let name = path.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."));
            if let (None, Kind::File(_), Some(name)) = (&found, &entry.kind, name)
                && matching(path)
            {
                found = Some((name.to_owned(), content.to_owned()));
            }
            Ok(())
        },
        malformed,
    )?;
    let (name, content) = found.ok_or_else(|| malformed("the wanted file is not in it".to_owned()))?;
    let path = to.join(name);
    fs_err::write(&path, content)?;
    Ok(path)
}
