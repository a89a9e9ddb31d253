//! Tasks on files that belong to images and containers, done where their ids exist.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use fs_err as fs;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::{
    helper::{Answer, Trouble, TroubleKind},
    hold, namespaces,
    overlay::Stack,
    record::Running,
    rootless,
    volume::Placed,
};
use crate::{
    archive::{Compression, ReadAhead},
    layer::{self, LayerError},
};

/// How much is read or written at once, in bytes.
const BUFFER: usize = 1 << 18;

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Job {
    /// Unpack the layer in the file `blob` below the empty directory `to`.
    Unpack { blob: PathBuf, compression: Compression, to: PathBuf },
    /// Pack what a container has written as a layer, to standard output. One that has to be held runs meanwhile.
    Pack { tree: PathBuf, newest: Option<i64>, held: Option<Running> },
    /// Copy trees, the lowest first, to the new tree `to`, each over those before. Several are to lie above those of `below`.
    Merge { trees: Vec<PathBuf>, below: Option<Root>, to: PathBuf, held: Option<Running> },
    /// Tell how many bytes the files in directories have.
    Measure { directories: Vec<PathBuf> },
    /// Unpack a tar archive, which comes on standard input, into a container.
    Put { root: Root, at: PathBuf },
    /// Pack a file or directory of a container, to standard output.
    Get { root: Root, path: PathBuf },
    /// Copy what a container's image has in the places of its new volumes into them.
    Fill { root: Root, volumes: Vec<Placed> },
    /// Remove a directory with everything in it.
    Remove { directory: PathBuf },
}

/// Where the files of a container are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Root {
    /// It runs: what its first process sees, mounts included.
    Process {
        /// The process id of its first process.
        first: i32,
        /// That of its monitor.
        monitor: i32,
    },
    /// It is stopped: this stack, mounted for as long as it takes.
    Stack {
        /// The stack.
        stack: Stack,
        /// An empty directory to mount it at, made if it is missing.
        at: PathBuf,
    },
}

impl Job {
    /// Does it.
    pub(super) fn run(self) -> Result<Answer, Trouble> {
        self.enter()?;
        rustix::process::umask(Mode::empty());
        match self {
            Self::Unpack { blob, compression, to } => unpack(&blob, compression, &to),
            Self::Pack { tree, newest, held } => {
                hold(held)?;
                pack(&tree, newest)
            }
            Self::Merge { trees, below, to, held } => {
                hold(held)?;
                merge(&trees, below, &to)
            }
            Self::Measure { directories } => {
                let mut answer = Answer::default();
                for directory in directories {
                    answer.size += layer::measure(open(&directory)?.as_fd())?;
                }
                Ok(answer)
            }
            Self::Put { root, at } => {
                let input = BufReader::with_capacity(BUFFER, io::stdin().lock());
                layer::extract(input, root.open()?.as_fd(), &at)?;
                Ok(Answer::default())
            }
            Self::Get { root, path } => {
                let mut output = BufWriter::with_capacity(BUFFER, stdout()?);
                layer::archive(root.open()?.as_fd(), &path, &mut output, &layer::ArchiveOptions::default())?;
                output.flush()?;
                Ok(Answer::default())
            }
            Self::Fill { root, volumes } => {
                let (root, mut answer) = (root.open()?, Answer::default());
                for volume in volumes {
                    answer.size += volume.fill(root.as_fd())?;
                }
                Ok(answer)
            }
            Self::Remove { directory } => remove(&directory).map(|()| Answer::default()),
        }
    }
}

impl Job {
    /// Goes where the ids of the files exist.
    fn enter(&self) -> io::Result<()> {
        match self {
            Self::Put { root: Root::Process { monitor, .. }, .. }
            | Self::Get { root: Root::Process { monitor, .. }, .. }
            | Self::Pack { held: Some(Running { monitor, .. }), .. }
            | Self::Merge { held: Some(Running { monitor, .. }), .. } => rootless::join(*monitor),
            _ => rootless::enter(),
        }
    }
}

/// Has a container stand still until this process ends.
fn hold(held: Option<Running>) -> io::Result<()> {
    held.map_or(Ok(()), |running| hold::hold(running.first))
}

/// Removes a directory with everything in it.
pub(super) fn remove(directory: &Path) -> Result<(), Trouble> {
    let name = Path::new(directory.file_name().unwrap_or_default());
    Ok(layer::remove(open(directory.parent().unwrap_or(Path::new("/")))?.as_fd(), name)?)
}

fn unpack(blob: &Path, compression: Compression, to: &Path) -> Result<Answer, Trouble> {
    let root = open(to)?;
    let packed = BufReader::with_capacity(BUFFER, fs::File::open(blob)?);
    let input: Box<dyn Read> = match compression {
        Compression::Plain => Box::new(packed),
        _ => Box::new(ReadAhead::of(move || compression.reader(packed))?),
    };
    let unpacked = layer::unpack(input, root.as_fd(), markers(), layer::Limits::default())?;
    for left_out in &unpacked.left_out {
        tracing::warn!(?left_out, layer = %blob.display(), "not everything of a layer can be unpacked here");
    }
    Ok(Answer { digest: Some(unpacked.diff_id), size: unpacked.size, entries: unpacked.entries })
}

fn pack(tree: &Path, newest: Option<i64>) -> Result<Answer, Trouble> {
    let mut output = BufWriter::with_capacity(BUFFER, stdout()?);
    let options = layer::PackOptions { markers: markers(), newest, skip: Vec::new() };
    let packed = layer::pack(open(tree)?.as_fd(), &mut output, &options)?;
    output.flush()?;
    Ok(Answer { digest: Some(packed.diff_id), size: packed.size, entries: packed.skipped.len() as u64 })
}

fn merge(trees: &[PathBuf], below: Option<Root>, to: &Path) -> Result<Answer, Trouble> {
    fs::create_dir(to)?;
    let onto = open(to)?;
    let mut answer = Answer::default();
    for tree in trees {
        answer.size += layer::merge(open(tree)?.as_fd(), onto.as_fd(), markers())?;
    }
    if let Some(below) = below {
        layer::trim(onto.as_fd(), below.open()?.as_fd(), markers())?;
    }
    Ok(answer)
}

impl Root {
    fn open(&self) -> Result<OwnedFd, Trouble> {
        match self {
            Self::Process { first, .. } => Ok(open(Path::new(&format!("/proc/{first}/root")))?),
            Self::Stack { stack, at } => {
                namespaces::unshare_mounts()?;
                fs::create_dir_all(at)?;
                stack.mount(at, rootless::is_inside())?;
                Ok(open(at)?)
            }
        }
    }
}

/// Which attributes overlayfs keeps its marks in here.
pub(super) fn markers() -> layer::Namespace {
    if rootless::is_inside() { layer::Namespace::User } else { layer::Namespace::Trusted }
}

/// Opens a directory.
pub(super) fn open(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(directory, flags, Mode::empty())?)
}

/// Standard output without the line buffer of the standard library.
fn stdout() -> io::Result<File> {
    Ok(File::from(rustix::io::dup(rustix::stdio::stdout())?))
}

impl From<LayerError> for Trouble {
    fn from(error: LayerError) -> Self {
        let source = match &error {
            LayerError::Read(source) | LayerError::Write(source) | LayerError::Tree { source, .. } => {
                Some(source.kind())
            }
            _ => None,
        };
        let kind = match source {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => TroubleKind::DiskFull,
            _ if error.is_missing() => TroubleKind::NoSuchPath,
            _ => TroubleKind::Other,
        };
        let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
        Self { kind, message: format!("{error}{why}") }
    }
}
