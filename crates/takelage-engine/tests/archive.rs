//! Image archives from anywhere: damaged, hostile, of another platform. None needs an engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;
use takelage_engine::{ArchiveError, ArchiveKind, ImageArchive, ImageConfig, ImageFile};
use takelage_model::Digest;

const KINDS: [ArchiveKind; 3] = [ArchiveKind::Docker, ArchiveKind::Oci, ArchiveKind::Rootfs];

fn open(kind: ArchiveKind, path: &Path, scratch: &Path) -> Result<ImageArchive, ArchiveError> {
    ImageArchive::open(&ImageFile { kind, path: path.to_owned() }, scratch)
}

/// Packs files in order; a name that ends in `@` is a symbolic link to the content.
fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(1_600_000_000);
        if let Some(name) = name.strip_suffix('@') {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, String::from_utf8_lossy(content).as_ref()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, *content).unwrap();
        }
    }
    tar.into_inner().unwrap()
}

struct Sample {
    layer: Vec<u8>,
    config: Vec<u8>,
    directory: tempfile::TempDir,
}

impl Sample {
    fn new() -> Self {
        let layer = pack(&[("etc/file", b"content")]);
        let config = ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            layers: vec![Digest::of(&layer)],
            ..ImageConfig::default()
        };
        Self { layer, config: config.to_json(), directory: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        path
    }

    fn scratch(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    /// Packs a docker-archive with this manifest and further files.
    fn docker(
        &self,
        manifest: &serde_json::Value,
        files: &[(&str, &[u8])],
    ) -> Result<ImageArchive, ArchiveError> {
        let manifest = serde_json::to_vec(manifest).unwrap();
        let all = [&[("manifest.json", manifest.as_slice())], files].concat();
        open(ArchiveKind::Docker, &self.write("image.tar", &pack(&all)), &self.scratch())
    }
}

fn one() -> serde_json::Value {
    json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l/layer.tar"]}])
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let sample = Sample::new();
    let archive =
        sample.docker(&one(), &[("c.json", &sample.config), ("l/layer.tar", &sample.layer)]).unwrap();
    assert_eq!(archive.id().0, Digest::of(&sample.config));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    archive.write(&mut first).unwrap();
    open(ArchiveKind::Docker, &sample.write("again.tar", &first), &sample.scratch())
        .unwrap()
        .write(&mut second)
        .unwrap();
    assert!(first == second);
    drop(archive);
    // Nothing of it stays behind.
    assert_eq!(fs_err::read_dir(sample.scratch()).unwrap().count(), 0);
}

#[test]
fn layers_behind_links_are_found_and_circles_are_not_followed() {
    let sample = Sample::new();
    let files: &[(&str, &[u8])] = &[
        ("c.json", &sample.config),
        ("real/layer.tar", &sample.layer),
        ("l/layer.tar@", b"../real/layer.tar"),
    ];
    assert!(sample.docker(&one(), files).is_ok());
    let circle: &[(&str, &[u8])] = &[
        ("c.json", &sample.config),
        ("l/layer.tar@", b"../m/layer.tar"),
        ("m/layer.tar@", b"../l/layer.tar"),
    ];
    assert!(matches!(sample.docker(&one(), circle), Err(ArchiveError::Damaged { .. })));
    // A link out of the archive stays within it.
    let outside = sample.write("outside", &sample.layer);
    let out: &[(&str, &[u8])] =
        &[("c.json", &sample.config), ("l/layer.tar@", outside.to_str().unwrap().as_bytes())];
    assert!(matches!(sample.docker(&one(), out), Err(ArchiveError::Damaged { .. })));
}

#[test]
fn a_root_file_system_may_be_a_directory() {
    use std::os::unix::ffi::OsStrExt;

    let sample = Sample::new();
    let root = sample.directory.path().join("root");
    fs_err::create_dir_all(root.join("etc")).unwrap();
    let strange = std::ffi::OsStr::from_bytes(b"new\nline and \xff");
    fs_err::write(root.join(strange), "1").unwrap();
    fs_err::hard_link(root.join(strange), root.join("etc/link")).unwrap();
    rustix::fs::setxattr(root.join("etc"), "user.a", b"\n\n", rustix::fs::XattrFlags::empty()).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let id = || open(ArchiveKind::Rootfs, &root, &sample.scratch()).unwrap().id();
    let first = id();
    assert_eq!(id(), first);
    rustix::fs::setxattr(root.join("etc"), "user.a", b"\n", rustix::fs::XattrFlags::empty()).unwrap();
    assert_ne!(id(), first);
    fs_err::remove_dir_all(&root).unwrap();
    fs_err::create_dir(&root).unwrap();
    let empty = open(ArchiveKind::Rootfs, &root, &sample.scratch()).unwrap_err();
    assert!(empty.to_string().contains("it has no entries"), "{empty}");
}

/// What the message says, the manifest, and the files beside it.
type Case<'a> = (&'a str, serde_json::Value, Vec<(&'a str, &'a [u8])>);

#[test]
fn damage_names_the_file_and_the_entry() {
    let sample = Sample::new();
    let (config, layer) = (sample.config.as_slice(), sample.layer.as_slice());
    let long = vec![b' '; 9 << 20];
    let wrong = pack(&[("etc/file", b"changed")]);
    let two = json!([one()[0], one()[0]]);
    let none = json!([{"Config": "c.json", "Layers": []}]);
    let cases: Vec<Case<'_>> = vec![
        ("`c.json`", one(), vec![]),
        ("`l/layer.tar`", one(), vec![("c.json", config)]),
        ("unpacks to", one(), vec![("c.json", config), ("l/layer.tar", &wrong)]),
        ("too long", one(), vec![("c.json", &long)]),
        ("`c.json`", one(), vec![("c.json", b"{}"), ("l/layer.tar", layer)]),
        ("0 layers are listed, 1 configured", none, vec![("c.json", config)]),
        ("holds 2 images", two, vec![("c.json", config), ("l/layer.tar", layer)]),
        ("names no image", json!([]), vec![]),
        ("manifest.json", json!({"not": "a list"}), vec![]),
    ];
    for (expected, manifest, files) in cases {
        let error = sample.docker(&manifest, &files).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("image.tar"), "{expected}: {error}");
    }
}

#[test]
fn a_file_that_ends_too_early_is_damaged_wherever_it_ends() {
    let sample = Sample::new();
    let manifest = serde_json::to_vec(&one()).unwrap();
    let whole =
        pack(&[("manifest.json", &manifest), ("c.json", &sample.config), ("l/layer.tar", &sample.layer)]);
    // The last two blocks are only the end mark.
    for length in (0..whole.len() - 1024 - 511).step_by(97) {
        let path = sample.write("cut.tar", &whole[..length]);
        assert!(open(ArchiveKind::Docker, &path, &sample.scratch()).is_err(), "{length}");
    }
    let packed = zstd::encode_all(sample.layer.as_slice(), 3).unwrap();
    for length in 1..packed.len() {
        let path = sample.write("cut.tar.zst", &packed[..length]);
        assert!(open(ArchiveKind::Rootfs, &path, &sample.scratch()).is_err(), "{length}");
    }
}

#[test]
fn an_oci_layout_is_checked_by_its_digests_and_platforms() {
    let sample = Sample::new();
    let root = sample.directory.path().join("layout");
    let blobs = root.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let store = |bytes: &[u8]| {
        fs_err::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
        json!({"digest": Digest::of(bytes), "size": bytes.len()})
    };
    let (config, layer) = (store(&sample.config), store(&sample.layer));
    let manifest = store(&serde_json::to_vec(&json!({"config": config, "layers": [layer]})).unwrap());
    let index = |manifests: serde_json::Value| {
        let index = serde_json::to_vec(&json!({"manifests": manifests})).unwrap();
        fs_err::write(root.join("index.json"), index).unwrap();
        open(ArchiveKind::Oci, &root, &sample.scratch()).map(|archive| archive.id().0)
    };
    assert_eq!(index(json!([manifest])).unwrap(), Digest::of(&sample.config));
    let mut other = manifest.clone();
    other["platform"] = json!({"os": "linux", "architecture": "pdp11"});
    let error = index(json!([other])).unwrap_err().to_string();
    assert!(error.contains("`linux/pdp11`"), "{error}");
    assert!(index(json!([])).is_err());
    assert!(index(json!([{"digest": "sha256:../../etc/passwd"}])).is_err());
    let mut short = manifest.clone();
    short["size"] = json!(3);
    assert!(index(json!([short])).unwrap_err().to_string().contains("instead of 3"));
    // A blob that is not what its name says.
    fs_err::write(blobs.join(Digest::of(&sample.layer).hex()), pack(&[("etc/file", b"changed")])).unwrap();
    assert!(index(json!([manifest])).unwrap_err().to_string().contains("its digest is"));
}

#[test]
fn same_layers_are_the_same_image_and_history_is_made_only_if_there_is_none() {
    let sample = Sample::new();
    let layers = [sample.write("one.tar", &sample.layer), sample.write("two.tar", &pack(&[("b", b"2")]))];
    let config = ImageConfig { created: Some("2026-01-02T03:04:05Z".to_owned()), ..ImageConfig::default() };
    let of = |config: &ImageConfig| ImageArchive::of_layers(config, &layers, &sample.scratch()).unwrap();
    assert_eq!(of(&config).id(), of(&config).id());
    assert_eq!(of(&config).config().history.len(), 2);
    assert_eq!(of(&config).config().layers[0], Digest::of(&sample.layer));
    let known = ImageConfig { history: vec![takelage_engine::History::default(); 5], ..config };
    assert_eq!(of(&known).config().history, known.history);
    let missing = ImageArchive::of_layers(&known, &[PathBuf::from("/no/such/layer.tar")], &sample.scratch());
    assert!(matches!(missing, Err(ArchiveError::Read { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096), kind in 0..3_usize) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        fs_err::write(&path, bytes).unwrap();
        let _ = open(KINDS[kind], &path, directory.path());
    }

    #[test]
    fn flipped_bytes_never_make_it_panic(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let sample = Sample::new();
        let manifest = serde_json::to_vec(&one()).unwrap();
        let mut whole = pack(&[("manifest.json", &manifest), ("c.json", &sample.config), ("l/layer.tar", &sample.layer)]);
        for (index, byte) in flips {
            let at = index.index(whole.len());
            whole[at] = byte;
        }
        let path = sample.write("image.tar", &whole);
        for kind in KINDS {
            let _ = open(kind, &path, &sample.scratch());
        }
    }
}
