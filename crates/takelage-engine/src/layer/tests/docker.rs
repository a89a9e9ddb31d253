//! The same layers by Docker and by this module, with equal trees.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use takelage_testkit::tree::{Kind, Tree};
use tempfile::TempDir;

use super::{gnu, overlay::Overlay, *};
use crate::{ImageArchive, ImageConfig};

/// Says why images cannot be compared here. `None`: they can.
fn missing() -> Option<String> {
    if let Some(reason) = gnu::missing() {
        return Some(reason.to_owned());
    }
    let answered = Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success());
    (!answered).then(|| "no Docker daemon answers".to_owned())
}

/// An image that Docker has for as long as the test runs.
struct Image(String);

impl Image {
    /// Gives Docker an image of these layers.
    fn load(layers: &[Vec<u8>]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            files.push(scratch.path().join(index.to_string()));
            fs_err::write(&files[index], layer).unwrap();
        }
        let config = ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            cmd: Some(vec!["/none".to_owned()]),
            ..ImageConfig::default()
        };
        let archive = ImageArchive::of_layers(&config, &files, scratch.path()).unwrap();
        let file = scratch.path().join("image.tar");
        archive.write(fs_err::File::create(&file).unwrap()).unwrap();
        gnu::run(Command::new("docker").args(["load", "-q", "-i"]).arg(&file));
        Self(archive.id().to_string())
    }

    /// Returns what a container of it has, as Docker packs and GNU tar unpacks it.
    fn tree(&self) -> Tree {
        let container = gnu::run(Command::new("docker").args(["create", &self.0]));
        let file = tempfile::NamedTempFile::new().unwrap();
        let export =
            Command::new("docker").args(["export", container.trim(), "-o"]).arg(file.path()).status();
        gnu::run(Command::new("docker").args(["rm", container.trim()]));
        assert!(export.unwrap().success());
        unpacked_by_gnu_tar(file.path())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", &self.0]).output();
    }
}

fn unpacked_by_gnu_tar(tar: &Path) -> Tree {
    let directory = tempfile::tempdir().unwrap();
    gnu::unpack(tar, directory.path(), &[]);
    Tree::of(directory.path()).unwrap()
}

/// Unpacks layers, the lowest first.
fn unpacked(layers: &[Vec<u8>]) -> (TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let path = directory.path().join(index.to_string());
        fs_err::create_dir(&path).unwrap();
        let root = open(&path);
        super::super::unpack(layer.as_slice(), root.as_fd(), Namespace::Trusted, Limits::default()).unwrap();
        paths.push(path);
    }
    (directory, paths)
}

/// Forgets what Docker makes in every container, and what its archives do not say.
fn comparable(mut tree: Tree) -> Tree {
    let own =
        ["dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv"];
    tree.0.retain(|path, _| !own.iter().any(|own| path.starts_with(own)));
    for (path, file) in &mut tree.0 {
        // Both make these files in the directories and so change them.
        if [".", "etc"].contains(&path.to_str().unwrap()) {
            file.mtime = (0, 0);
            file.mode = 0o755;
        }
        // Docker 20.10 writes no others.
        file.xattrs.retain(|name, _| name == "security.capability");
        file.mtime.1 = 0;
    }
    tree
}

fn with_mode(kind: EntryType, name: &str, mode: u32, owner: u64) -> Header {
    let mut header = Tar::header(kind, name.as_bytes());
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner + 1);
    header
}

/// Layers with everything that layers can say.
fn layers() -> Vec<Vec<u8>> {
    let capability = b"\x01\0\0\x02\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice();
    let base = Tar::default()
        .directory("etc")
        .directory("a")
        .file("a/kept", "1")
        .file("a/gone", "1")
        .file("a/replaced", "1")
        .directory("opaque")
        .file("opaque/below", "1")
        .directory("opaque/sub")
        .file("opaque/sub/below", "1")
        .directory("gone")
        .file("gone/below", "1")
        .directory("becomes-file")
        .file("becomes-file/below", "1")
        .file("becomes-directory", "1")
        .symlink("becomes-real", "a")
        .directory("becomes-link")
        .file("becomes-link/below", "1")
        .directory("mode")
        .file("mode/below", "1")
        .hard_link("linked", "a/kept")
        .with(with_mode(EntryType::Regular, "setuid", 0o6755, 1000), b"")
        .with(with_mode(EntryType::Directory, "sticky", 0o1777, 7), b"")
        .with(with_mode(EntryType::Fifo, "fifo", 0o622, 7), b"")
        .device("null", EntryType::Char, 1, 3)
        .device("loop", EntryType::Block, 7, 9)
        .pax(&[("SCHILY.xattr.security.capability", capability)])
        .file("capable", "1")
        .pax(&[("path", "long".repeat(60).as_bytes())])
        .directory("x")
        .symlink("bin", "usr/bin")
        .directory("usr")
        .directory("usr/bin")
        .file("bin/program", "1")
        .end();
    let second = Tar::default()
        .directory("a")
        .file("a/.wh.gone", "")
        .file("a/replaced", "22")
        .directory("opaque")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new", "2")
        .file(".wh.gone", "")
        .file("becomes-file", "2")
        .directory("becomes-directory")
        .file("becomes-directory/new", "2")
        .directory("becomes-real")
        .file("becomes-real/new", "2")
        .symlink("becomes-link", "a")
        .with(with_mode(EntryType::Directory, "mode", 0o750, 5), b"")
        .file("hard", "2")
        .hard_link("hard-too", "hard")
        .file("changed", "first")
        .file(".wh.never-was", "")
        .end();
    let third = Tar::default()
        .directory("gone")
        .file("gone/again", "3")
        .directory("opaque")
        .file("opaque/.wh.new", "")
        .directory("opaque/sub")
        .file("opaque/sub/again", "3")
        .end();
    vec![base, second, third]
}

#[test]
fn docker_makes_the_same_of_whiteouts_links_and_replacements() {
    if let Some(reason) = missing() {
        takelage_testkit::skip!("{reason}");
    }
    let layers = layers();
    let (_directory, paths) = unpacked(&layers);
    let overlay = match Overlay::mount(&paths) {
        Ok(overlay) => overlay,
        Err(reason) => takelage_testkit::skip!("{reason}"),
    };
    let theirs = comparable(Image::load(&layers).tree());
    let ours = comparable(Tree::of(&overlay.merged()).unwrap());
    assert!(ours.0.len() > 30);
    theirs.assert_same(&ours, "mounted");
    // What is exported of it is the same, too.
    let file = tempfile::NamedTempFile::new().unwrap();
    let merged = open(&overlay.merged());
    super::super::archive(merged.as_fd(), Path::new("/"), &file, &ArchiveOptions::default()).unwrap();
    theirs.assert_same(&comparable(unpacked_by_gnu_tar(file.path())), "exported");
}

#[test]
fn docker_makes_of_a_packed_upper_directory_what_was_seen_above_it() {
    if let Some(reason) = missing() {
        takelage_testkit::skip!("{reason}");
    }
    let mut layers = layers();
    let (_directory, paths) = unpacked(&layers);
    let overlay = match Overlay::mount(&paths) {
        Ok(overlay) => overlay,
        Err(reason) => takelage_testkit::skip!("{reason}"),
    };
    gnu::shell(
        &overlay.merged(),
        r#"
        umask 022
        rm a/kept linked; rm -r opaque/sub; rm -r mode; mkdir mode; echo new > mode/new
        echo changed >> changed; chmod 4711 changed; chown 12:13 hard-too; ln hard-too third; ln capable able
        mv becomes-directory moved 2>/dev/null || { cp -a becomes-directory moved; rm -r becomes-directory; }
        ln -sfn moved becomes-link; mkfifo -m 600 new-fifo; mknod -m 666 zero c 1 5
        chmod 700 sticky; touch -d @86400 sticky; rm fifo; mkdir fifo; rm bin; mkdir bin; echo 1 > bin/new
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")' || true
        "#,
    );
    let seen = Tree::of(&overlay.merged()).unwrap();
    let options = PackOptions { markers: Namespace::Trusted, newest: None, skip: vec![] };
    let mut layer = Vec::new();
    let packed = super::super::pack(open(&overlay.upper()).as_fd(), &mut layer, &options).unwrap();
    drop(overlay);
    layers.push(layer);
    // It is the same when it is unpacked here.
    let (_directory, paths) = unpacked(&layers);
    let again = Overlay::mount(&paths).unwrap();
    let mut expected = seen.clone();
    expected.0.retain(|path, file| file.kind != Kind::Socket || !packed.skipped.contains(path));
    comparable(expected.clone())
        .assert_same(&comparable(Tree::of(&again.merged()).unwrap()), "unpacked here");
    // And in Docker.
    let theirs = Image::load(&layers).tree();
    comparable(expected).assert_same(&comparable(theirs), "in Docker");
}

/// A directory in memory, if there is so much room in one that takes attributes; else one on the disk.
fn roomy() -> TempDir {
    const ROOM: u64 = 2 << 30;
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |said| said.f_bavail * said.f_frsize);
    if room >= ROOM
        && let Ok(directory) = tempfile::tempdir_in(memory)
        && rustix::fs::setxattr(directory.path(), "user.a", b"", rustix::fs::XattrFlags::empty()).is_ok()
    {
        return directory;
    }
    tempfile::tempdir().unwrap()
}

/// Unpacks a layer and returns its digest and the tree.
fn unpacked_layer(layer: &Path, to: &Path) -> (takelage_model::Digest, Tree) {
    fs_err::create_dir(to).unwrap();
    let source = fs_err::File::open(layer).unwrap();
    let unpacked =
        super::super::unpack(source, open(to).as_fd(), Namespace::Trusted, Limits::default()).unwrap();
    assert_eq!(unpacked.left_out, []);
    (unpacked.diff_id, Tree::of(to).unwrap())
}

fn same_as_gnu_tar(image: &str, scratch: &Path, layer: &Path) {
    let theirs = scratch.join("theirs");
    fs_err::create_dir(&theirs).unwrap();
    gnu::unpack(layer, &theirs, &["--exclude=.wh.*"]);
    let mut their_tree = Tree::of(&theirs).unwrap();
    fs_err::remove_dir_all(&theirs).unwrap();
    let ours = scratch.join("ours");
    let (digest, our_tree) = unpacked_layer(layer, &ours);
    assert!(gnu::run(Command::new("sha256sum").arg(layer)).starts_with(&digest.hex()));
    // GNU tar leaves the root alone if it is not mentioned.
    their_tree.0.insert(".".into(), our_tree.0[Path::new(".")].clone());
    assert!(their_tree.0.len() > 3000, "{image}");
    their_tree.assert_same(&our_tree, image);
    // Packed and unpacked again it is the same.
    let options = PackOptions { markers: Namespace::Trusted, newest: None, skip: vec![] };
    let repacked = scratch.join("repacked.tar");
    let file = fs_err::File::create(&repacked).unwrap();
    let packed = super::super::pack(open(&ours).as_fd(), file, &options).unwrap();
    fs_err::remove_dir_all(&ours).unwrap();
    let (digest, again) = unpacked_layer(&repacked, &ours);
    fs_err::remove_dir_all(&ours).unwrap();
    assert_eq!(packed.diff_id, digest);
    our_tree.assert_same(&again, image);
}

#[test]
fn docker_images_are_unpacked_as_gnu_tar_does() {
    if let Some(reason) = missing() {
        takelage_testkit::skip!("{reason}");
    }
    let mut compared = 0;
    for image in ["debian:bookworm-slim", "takelage-enginetest/systemd:bookworm"] {
        if !Command::new("docker").args(["image", "inspect", image]).output().unwrap().status.success() {
            continue;
        }
        let scratch = roomy();
        gnu::shell(scratch.path(), &format!("docker save {image} | tar -x"));
        let entries: Vec<_> = fs_err::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap()).collect();
        for layer in
            entries.iter().map(|entry| entry.path().join("layer.tar")).filter(|layer| layer.is_file())
        {
            same_as_gnu_tar(image, scratch.path(), &layer);
            compared += 1;
        }
    }
    if compared == 0 {
        takelage_testkit::skip!("Docker has none of the images to compare");
    }
}
