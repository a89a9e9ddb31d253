//! A Debian package as a file: an `ar` archive of two tar archives.
//!
//! ```text
//! debian-binary         "2.0\n"
//! control.tar[.gz|.xz|.zst]   ./control, ./md5sums, ./preinst, ./postinst, ./triggers, …
//! data.tar[.gz|.xz|.zst]   the files, from ./
//! ```

use std::io::{self, Read};

use crate::{
    archive::{ATTRIBUTE, Entry, Kind},
    relation,
};

/// Maintainer scripts and lists; libreoffice has some 1 MB.
const CONTROL_LIMIT: u64 = 64 << 20;
/// It is held in memory.
const DATA_LIMIT: u64 = 2 << 30;

/// A package, unpacked in memory.
#[derive(Debug)]
pub(crate) struct Deb {
    /// The paragraph that describes it, without a final newline.
    pub(crate) control: String,
    /// The other files of the control archive, in its order.
    pub(crate) scripts: Vec<Script>,
    data: Vec<u8>,
}

/// A file of the control archive that goes to `var/lib/dpkg/info`.
#[derive(Debug)]
pub(crate) struct Script {
    /// `preinst`, `md5sums`, ….
    pub(crate) name: String,
    pub(crate) mode: u32,
    pub(crate) mtime: u64,
    pub(crate) content: Vec<u8>,
}

impl Deb {
    /// Reads a package. Fails with a reason.
    pub(crate) fn open(bytes: &[u8]) -> Result<Self, String> {
        let mut archive = ar::Archive::new(bytes);
        let (mut version, mut control, mut data) = (false, None, None);
        while let Some(member) = archive.next_entry() {
            let mut member = member.map_err(|error| error.to_string())?;
            let name = String::from_utf8_lossy(member.header().identifier()).trim_end_matches('/').to_owned();
            if name == "debian-binary" {
                let mut text = String::new();
                member.take(16).read_to_string(&mut text).map_err(|error| error.to_string())?;
                if !text.starts_with("2.") {
                    return Err(format!("it is of format `{}`", text.trim_end()));
                }
                version = true;
            } else if let Some(compression) = name.strip_prefix("control.tar") {
                control.get_or_insert(decompress(&mut member, compression, CONTROL_LIMIT)?);
            } else if let Some(compression) = name.strip_prefix("data.tar") {
                data.get_or_insert(decompress(&mut member, compression, DATA_LIMIT)?);
            }
        }
        let (true, Some(control), Some(data)) = (version, control, data) else {
            return Err("it lacks `debian-binary`, `control.tar` or `data.tar`".into());
        };
        let mut scripts = read_scripts(&control)?;
        let position =
            scripts.iter().position(|script| script.name == "control").ok_or("it lacks `control`")?;
        let control =
            String::from_utf8(scripts.remove(position).content).map_err(|error| error.to_string())?;
        Ok(Self { control: control.trim_end().to_owned(), scripts, data })
    }

    /// Returns a file of the control archive.
    pub(crate) fn script(&self, name: &str) -> Option<&Script> {
        self.scripts.iter().find(|script| script.name == name)
    }

    /// Returns the lines of a list among the control files, without comments and empty lines.
    pub(crate) fn lines(&self, name: &str) -> Result<Vec<&str>, String> {
        let Some(script) = self.script(name) else { return Ok(Vec::new()) };
        let text = std::str::from_utf8(&script.content).map_err(|error| error.to_string())?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect())
    }

    /// Hands the files over, in the package's order; paths and link targets are word for word as it has them.
    pub(crate) fn for_each<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(Entry, &[u8]) -> Result<(), E>,
        refuse: impl Fn(String) -> E,
    ) -> Result<(), E> {
        let mut archive = tar::Archive::new(self.data.as_slice());
        for entry in archive.entries().map_err(|error| refuse(error.to_string()))? {
            let mut entry = entry.map_err(|error| refuse(error.to_string()))?;
            let start = usize::try_from(entry.raw_file_position()).unwrap_or(usize::MAX);
            let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
            let Some(content) = start.checked_add(size).and_then(|end| self.data.get(start..end)) else {
                return Err(refuse("its data are cut short".into()));
            };
            let read = read_entry(&mut entry).map_err(&refuse)?;
            each(read, content)?;
        }
        Ok(())
    }
}

/// Reads what an entry of somebody's tar archive says. Devices and rarer kinds are refused.
pub(crate) fn read_entry<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Entry, String> {
    let path = entry.path_bytes().into_owned();
    let shown = String::from_utf8_lossy(&path).into_owned();
    let link = |entry: &tar::Entry<'_, R>| {
        entry
            .link_name_bytes()
            .map(std::borrow::Cow::into_owned)
            .filter(|link| !link.is_empty() && !link.contains(&0))
    };
    let no_target = || format!("the link `{shown}` has no target");
    let attributes = attributes(entry).map_err(|error| error.to_string())?;
    let number = |value: io::Result<u64>| value.map_err(|error| format!("`{shown}`: {error}"));
    let header = entry.header();
    let kind = match header.entry_type() {
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File(entry.size()),
        tar::EntryType::Symlink => Kind::Symlink(link(entry).ok_or_else(no_target)?),
        tar::EntryType::Link => Kind::Hardlink(link(entry).ok_or_else(no_target)?),
        tar::EntryType::Fifo => Kind::Fifo,
        other => return Err(format!("`{shown}` is neither file, directory, link nor pipe but {other:?}")),
    };
    Ok(Entry {
        kind,
        mode: header.mode().map_err(|error| format!("`{shown}`: {error}"))? & 0o7777,
        uid: number(header.uid())?,
        gid: number(header.gid())?,
        mtime: number(header.mtime())?,
        path,
        attributes,
    })
}

/// Reads extended attributes. One whose value contains a line feed is refused, for the crate `tar` cannot read it.
fn attributes<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut attributes = Vec::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            if let Ok(Some(name)) = extension.key().map(|key| key.strip_prefix(ATTRIBUTE)) {
                attributes.push((name.to_owned(), extension.value_bytes().to_vec()));
            }
        }
    }
    attributes.sort();
    Ok(attributes)
}

fn read_scripts(control: &[u8]) -> Result<Vec<Script>, String> {
    let mut scripts = Vec::new();
    let mut archive = tar::Archive::new(control);
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = path.trim_start_matches("./");
        // It becomes the end of a file's name.
        if !relation::is_package_name(name) {
            return Err(format!("`{path}` is not the name of a control file"));
        }
        let header = entry.header();
        let mode = header.mode().map_err(|error| error.to_string())? & 0o777;
        let mtime = header.mtime().map_err(|error| error.to_string())?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| error.to_string())?;
        scripts.push(Script { name: name.to_owned(), mode, mtime, content });
    }
    Ok(scripts)
}

fn decompress(member: &mut impl Read, compression: &str, limit: u64) -> Result<Vec<u8>, String> {
    let reader: Box<dyn Read + '_> = match compression {
        "" => Box::new(member),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(member)),
        ".xz" => Box::new(liblzma::read::XzDecoder::new_multi_decoder(member)),
        ".zst" => Box::new(zstd::Decoder::new(member).map_err(|error| error.to_string())?),
        other => return Err(format!("it is compressed in the unknown way `{other}`")),
    };
    let mut content = Vec::new();
    reader.take(limit + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > limit {
        return Err(format!("it is larger than {limit} bytes when unpacked"));
    }
    Ok(content)
}
