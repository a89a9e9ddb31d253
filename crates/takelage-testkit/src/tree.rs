//! Everything about every file of a tree, to compare trees that different programs have made.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use sha2::Digest as _;

/// So many differences are shown.
const SHOWN: usize = 30;

/// The files of a tree by their paths below its root, which is `.`.
#[derive(Clone, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<PathBuf, File>);

/// What can be said of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct File {
    pub kind: Kind,
    /// The lower twelve bits.
    pub mode: u32,
    pub owner: (u32, u32),
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, i64),
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The first path of the same file, if it has several in the tree.
    pub same_as: Option<PathBuf>,
}

/// What a file is, with what only this kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Directory,
    Regular {
        size: u64,
        sha256: String,
    },
    Symlink(PathBuf),
    /// A device with its major and minor number.
    Character(u32, u32),
    Block(u32, u32),
    Fifo,
    Socket,
}

impl Tree {
    /// Looks at all files below `root` and at `root` itself. Links are not followed.
    pub fn of(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut pending = vec![PathBuf::from(".")];
        while let Some(path) = pending.pop() {
            let file = root.join(&path);
            if fs_err::symlink_metadata(&file)?.is_dir() {
                for entry in fs_err::read_dir(&file)? {
                    pending.push(match path.to_str() {
                        Some(".") => entry?.file_name().into(),
                        _ => path.join(entry?.file_name()),
                    });
                }
            }
            files.insert(path, file);
        }
        let mut names: HashMap<_, Vec<_>> = HashMap::new();
        for (path, file) in &files {
            let metadata = fs_err::symlink_metadata(file)?;
            names.entry((metadata.dev(), metadata.ino())).or_default().push(path.clone());
        }
        let look = |(path, file): (PathBuf, PathBuf)| {
            let metadata = fs_err::symlink_metadata(&file)?;
            let same = &names[&(metadata.dev(), metadata.ino())];
            let same_as = (same.len() > 1).then(|| same[0].clone());
            let said = File {
                kind: kind(&file, &metadata)?,
                mode: metadata.mode() & 0o7777,
                owner: (metadata.uid(), metadata.gid()),
                mtime: (metadata.mtime(), metadata.mtime_nsec()),
                xattrs: xattrs(&file)?,
                same_as,
            };
            Ok((path, said))
        };
        files.into_iter().map(look).collect::<io::Result<_>>().map(Self)
    }

    /// Ends the test unless this tree and another one are equal, and says where they differ.
    ///
    /// # Panics
    ///
    /// If they differ.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, what: &str) {
        let mut differences = self.differences(other);
        let number = differences.len();
        differences.truncate(SHOWN);
        assert!(number == 0, "{what}: {number} differences\n{}", differences.join("\n"));
    }

    /// Returns a line for every path at which this tree and another one differ.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let paths: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let differ = |path: &&PathBuf| self.0.get(*path) != other.0.get(*path);
        let line = |path: &PathBuf| match (self.0.get(path), other.0.get(path)) {
            (Some(here), Some(there)) => format!("{}: {here:?} against {there:?}", path.display()),
            (Some(here), None) => format!("{}: only here: {here:?}", path.display()),
            (_, there) => format!("{}: only there: {there:?}", path.display()),
        };
        paths.into_iter().filter(differ).map(line).collect()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, file) in &self.0 {
            writeln!(f, "{}: {file:?}", path.display())?;
        }
        Ok(())
    }
}

fn kind(file: &Path, metadata: &std::fs::Metadata) -> io::Result<Kind> {
    let device = metadata.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink(fs_err::read_link(file)?)
    } else if kind.is_file() {
        let mut hasher = sha2::Sha256::new();
        let size = io::copy(&mut fs_err::File::open(file)?, &mut HashWriter(&mut hasher))?;
        Kind::Regular { size, sha256: hex::encode(hasher.finalize()) }
    } else if kind.is_char_device() {
        Kind::Character(major, minor)
    } else if kind.is_block_device() {
        Kind::Block(major, minor)
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        Kind::Socket
    })
}

fn xattrs(file: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut list = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(file, list.as_mut_slice()) {
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
        length => length?,
    };
    let names = list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let get = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(file, name, value.as_mut_slice())?;
        value.truncate(length);
        Ok((String::from_utf8_lossy(name).into_owned(), value))
    };
    names.map(get).collect()
}

struct HashWriter<'a>(&'a mut sha2::Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_trees_differ_where_one_was_changed() {
        let make = |name: &str| {
            let root = std::env::temp_dir().join(format!("takelage-testkit-{}-{name}", std::process::id()));
            fs_err::create_dir_all(root.join("a")).expect("a new directory");
            fs_err::write(root.join("a/b"), "content").expect("a new file");
            root
        };
        let (one, two) = (make("one"), make("two"));
        fs_err::hard_link(one.join("a/b"), one.join("c")).expect("a new link");
        let [mut before, mut after] = [&one, &two].map(|root| Tree::of(root).expect("a tree to look at"));
        for tree in [&mut before, &mut after] {
            tree.0.values_mut().for_each(|file| file.mtime = (0, 0));
        }
        let differences = before.differences(&after);
        for root in [one, two] {
            fs_err::remove_dir_all(root).expect("the directory was just made");
        }
        assert_eq!(differences.len(), 2, "{differences:?}");
        assert!(differences[0].starts_with("a/b: File"), "{differences:?}");
        assert!(differences[1].starts_with("c: only here"), "{differences:?}");
    }
}
