//! Leaving entries out of a layer.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, BufWriter, Read, Write as _},
    path::PathBuf,
};

use fs_err::File;
use tempfile::{NamedTempFile, TempDir};

use super::{compression, contents::Span};

/// A tar file's unit.
const BLOCK: u64 = 512;
/// What a tar file ends with: two empty units.
const END: [u8; 1024] = [0; 1024];

/// Where an engine has `/etc/mtab` lead to. A distribution's own leads to `../proc/self/mounts`.
const MOUNTS: &[u8] = b"/proc/mounts";

/// What is left of a layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stripped {
    /// All of it.
    Whole,
    /// What this new tar file has.
    Rest(PathBuf),
    /// Nothing.
    Nothing,
}

/// An entry of a tar file, with the headers before it that belong to it.
struct Entry {
    name: String,
    start: u64,
    end: u64,
    /// Whether nothing is lost without it: a directory, an empty file, or the link that engines make.
    hollow: bool,
}

/// Writes a layer again without those of `names` that are hollow and hold nothing but each other.
pub(super) fn strip(layer: &Span, names: &BTreeSet<String>, scratch: &TempDir) -> io::Result<Stripped> {
    let entries = entries(layer)?;
    let listed = |entry: &Entry| entry.hollow && names.contains(&entry.name);
    let kept: BTreeSet<&str> =
        entries.iter().filter(|entry| !listed(entry)).map(|entry| entry.name.as_str()).collect();
    let holds_some = |name: &str| {
        let below = format!("{name}/");
        kept.range(below.as_str()..).next().is_some_and(|first| first.starts_with(&below))
    };
    let (out, rest): (Vec<_>, Vec<_>) =
        entries.iter().partition(|entry| listed(entry) && !holds_some(&entry.name));
    match (out.is_empty(), rest.is_empty()) {
        (true, _) => return Ok(Stripped::Whole),
        (false, true) => return Ok(Stripped::Nothing),
        (false, false) => {}
    }
    let mut writer = BufWriter::new(NamedTempFile::new_in(scratch.path())?);
    for entry in rest {
        io::copy(&mut part(layer, entry.start, entry.end)?, &mut writer)?;
    }
    writer.write_all(&END)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    // It goes with the directory.
    Ok(Stripped::Rest(file.into_temp_path().keep().map_err(|error| error.error)?))
}

fn entries(layer: &Span) -> io::Result<Vec<Entry>> {
    let mut archive = tar::Archive::new(BufReader::new(part(layer, 0, layer.length)?));
    let (mut entries, mut start) = (Vec::new(), 0);
    for entry in archive.entries()? {
        let entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_sparse() {
            // Its length in the file is not the one that it has.
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the layer has a sparse file"));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").trim_matches('/').to_owned();
        let end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
        let leads_to_mounts = || entry.link_name_bytes().is_some_and(|target| *target == *MOUNTS);
        let hollow = kind.is_dir()
            || (kind.is_file() && entry.size() == 0)
            || (kind.is_symlink() && leads_to_mounts());
        entries.push(Entry { name, start, end, hollow });
        start = end;
    }
    Ok(entries)
}

fn part(layer: &Span, start: u64, end: u64) -> io::Result<impl Read + use<>> {
    let file = File::open(&layer.file)?.into_parts().0;
    compression::span(file, layer.offset + start, end - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar file somewhere within another file, its entries as `path`, `path=content` or `path=>target`.
    fn layer(scratch: &TempDir, entries: &[&str]) -> Span {
        let mut builder = tar::Builder::new(Vec::new());
        for entry in entries {
            let (path, content) = entry.split_once('=').unwrap_or((entry, ""));
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_size(0);
            builder.append_pax_extensions([("comment", entry.as_bytes())]).unwrap();
            if let Some(target) = content.strip_prefix('>') {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
                continue;
            }
            let kind = if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular };
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let file = scratch.path().join("layer.tar");
        fs_err::write(&file, [&[7; 100], tar.as_slice(), &[7; 100]].concat()).unwrap();
        Span { file, offset: 100, length: tar.len() as u64 }
    }

    fn stripped(entries: &[&str], names: &[&str]) -> Option<Vec<String>> {
        let scratch = tempfile::tempdir().unwrap();
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        match strip(&layer(&scratch, entries), &names, &scratch).unwrap() {
            Stripped::Whole => None,
            Stripped::Nothing => Some(Vec::new()),
            Stripped::Rest(file) => {
                let mut archive = tar::Archive::new(File::open(file).unwrap());
                let mut said = Vec::new();
                for entry in archive.entries().unwrap() {
                    let mut entry = entry.unwrap();
                    let comment = entry.pax_extensions().unwrap().unwrap().next().unwrap().unwrap();
                    said.push(comment.value().unwrap().to_owned());
                    let mut content = String::new();
                    entry.read_to_string(&mut content).unwrap();
                    let expected = said.last().unwrap().split_once('=').map_or("", |it| it.1);
                    assert_eq!(if expected.starts_with('>') { "" } else { expected }, content);
                }
                Some(said)
            }
        }
    }

    #[test]
    fn what_is_hollow_goes_and_what_holds_something_stays() {
        let long = format!("srv/{}=x", "long/".repeat(40));
        let entries =
            ["etc/", "etc/hosts", "srv/", "srv/a/", "srv/a/b/", &long, "opt/", "opt/a/", "opt/a/file=x"];
        assert_eq!(
            stripped(&entries, &["etc/hosts", "srv/a", "srv/a/b", "opt/a", "opt/a/file", "never"]).unwrap(),
            ["etc/", "srv/", &long, "opt/", "opt/a/", "opt/a/file=x"]
        );
        assert_eq!(stripped(&entries, &["opt/a", "opt", "never"]), None);
        assert_eq!(stripped(&["etc/mtab=>../proc/self/mounts"], &["etc/mtab"]), None);
        assert_eq!(stripped(&["a=x", "etc/mtab=>/proc/mounts"], &["etc/mtab"]).unwrap(), ["a=x"]);
        assert_eq!(stripped(&["srv/", "srv/a/"], &["srv", "srv/a"]).unwrap(), Vec::<String>::new());
    }
}
