//! A file that nobody sees before it is whole.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// The permission bits of a file.
const MODE: u32 = 0o777;

/// A file that is written under a name of its own, beside the one that it gets when it is whole. Until then, another file
/// with that name stays what it is. Dropped before, it is gone.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: NamedTempFile,
    /// Where it goes, links followed.
    place: PathBuf,
}

impl WholeFile {
    /// Begins a file that will be at `path`. It takes the place and the permissions of another file; of a link, it takes
    /// the place of what the link points to.
    ///
    /// What is no file (a directory, a device, a pipe) is not replaced, and neither is a link to nothing.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        let (place, permissions) = place(path)?;
        let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".takelage-")
            // Less the umask, as for any new file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        if let Some(permissions) = permissions {
            // Before there is anything to read in it.
            file.as_file().set_permissions(permissions)?;
        }
        Ok(Self { file, place })
    }

    /// Opens it once more, to be written through a handle that others may own.
    pub(crate) fn reopen(&self) -> io::Result<std::fs::File> {
        self.file.reopen()
    }

    /// Puts it in its place, after the disk has all of it. Dropped before its end, it is gone, and the former file stays.
    pub(crate) async fn finish(self) -> io::Result<()> {
        let file = self.file.reopen()?;
        let synced = tokio::task::spawn_blocking(move || file.sync_all()).await;
        synced.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        self.file.persist(&self.place).map(drop).map_err(|error| error.error)
    }
}

/// Finds where a file for `path` goes, and which permissions the one has that is there now.
fn place(path: &Path) -> io::Result<(PathBuf, Option<Permissions>)> {
    let refuse = |kind, reason| Err(io::Error::new(kind, reason));
    match path.metadata() {
        Ok(found) if found.is_file() => {
            let permissions = Permissions::from_mode(found.permissions().mode() & MODE);
            Ok((path.canonicalize()?, Some(permissions)))
        }
        Ok(found) if found.is_dir() => refuse(io::ErrorKind::IsADirectory, "it is a directory"),
        Ok(_) => refuse(io::ErrorKind::InvalidInput, "it is no regular file, and is not replaced by one"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.symlink_metadata() {
            Ok(_) => refuse(io::ErrorKind::NotFound, "it is a link to something that does not exist"),
            Err(_) => Ok((path.to_owned(), None)),
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::symlink};

    use super::*;

    fn write(path: &Path, content: &str) -> io::Result<()> {
        let whole = WholeFile::begin(path)?;
        whole.reopen()?.write_all(content.as_bytes())?;
        tokio::runtime::Builder::new_current_thread().build()?.block_on(whole.finish())
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_there_when_it_is_whole_and_the_former_one_until_then() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        fs_err::write(&path, "former").unwrap();
        let whole = WholeFile::begin(&path).unwrap();
        whole.reopen().unwrap().write_all(b"new").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "former");
        drop(whole);
        assert_eq!(
            (fs_err::read_to_string(&path).unwrap(), names(directory.path())),
            ("former".into(), vec!["image.tar".into()])
        );
        write(&path, "new").unwrap();
        assert_eq!(
            (fs_err::read_to_string(&path).unwrap(), names(directory.path())),
            ("new".into(), vec!["image.tar".into()])
        );
    }

    #[test]
    fn permissions_are_those_of_the_former_file_or_of_any_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let [secret, new, like] = ["secret", "new", "like"].map(|name| directory.path().join(name));
        fs_err::write(&secret, "").unwrap();
        fs_err::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        write(&secret, "x").unwrap();
        assert_eq!(mode(&secret), 0o600);
        write(&new, "x").unwrap();
        fs_err::write(&like, "x").unwrap();
        assert_eq!(mode(&new), mode(&like));
    }

    #[test]
    fn a_link_stays_and_what_it_points_to_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let [target, link, broken] = ["target", "link", "broken"].map(|name| directory.path().join(name));
        fs_err::write(&target, "former").unwrap();
        fs_err::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        symlink("target", &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs_err::read_link(&link).unwrap(), Path::new("target"));
        assert_eq!((fs_err::read_to_string(&target).unwrap(), mode(&target)), ("new".into(), 0o640));
        symlink("nothing", &broken).unwrap();
        assert_eq!(write(&broken, "new").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(names(directory.path()), ["broken", "link", "target"]);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let error = write(directory.path(), "x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [socket.as_path(), Path::new("/dev/null")] {
            let error = write(path, "x").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
            assert!(!path.is_file());
        }
        assert!(write(&directory.path().join("no/such/directory"), "x").is_err());
    }
}
