//! Images come, are named, saved and loaded.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde_json::json;
use takelage_engine::{
    ArchiveFormat, ArchiveKind, Engine, EngineError, ImageArchive, ImageConfig, ImageFile, ImageId, Reference,
};
use takelage_model::Digest;

use crate::base::{Bench, LABEL, config};

/// A name that no other test uses.
fn name(of: &str) -> (Reference, String) {
    let name = format!("takelage-enginetest/{of}:{}", std::process::id());
    (name.parse().unwrap(), name)
}

/// An image of its own with one small file, for a test that names or removes it.
fn archive<E: Engine>(bench: &Bench<E>, content: &str) -> ImageArchive {
    let labels = [(LABEL.to_owned(), format!("{content} {}", std::process::id()))].into();
    ImageArchive::of_layers(
        &ImageConfig { labels, ..config() },
        &[layer(&bench.scratch, content)],
        &bench.scratch,
    )
    .unwrap()
}

fn layer(scratch: &Path, content: &str) -> PathBuf {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(1_600_000_000);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, "file", content.as_bytes()).unwrap();
    let path = scratch.join(format!("{content}.tar"));
    fs_err::write(&path, tar.into_inner().unwrap()).unwrap();
    path
}

pub(crate) async fn an_image_is_found_by_name_and_id<E: Engine>(bench: Bench<E>) {
    let id = bench.image.id.to_string();
    for name in ["takelage-enginetest/busybox", "takelage-enginetest/busybox:latest", &id] {
        let image = bench.engine.image(name).await.unwrap().unwrap();
        assert_eq!(image.id, bench.image.id);
        let mut config = config();
        config.layers.clone_from(&image.config.layers);
        config.history.clone_from(&image.config.history);
        assert_eq!(image.config, config);
        assert_eq!((image.config.layers.len(), image.config.history.len()), (1, 1));
        bench.check_id(&image, ImageId(Digest::of(image.config.to_json())));
        assert!(
            image.size > 100_000 && image.tags.contains(&"takelage-enginetest/busybox:latest".to_owned())
        );
    }
    assert_eq!(bench.engine.image("takelage-enginetest/missing").await.unwrap(), None);
    assert_eq!(bench.engine.image(&Digest::of("missing").to_string()).await.unwrap(), None);
    for wrong in ["", "a b", "../containers/json?", "UPPER/case"] {
        assert!(bench.engine.image(wrong).await.is_err(), "{wrong}");
    }
    assert!(bench.engine.describe().await.unwrap().contains(' '));
}

pub(crate) async fn names_move_and_go<E: Engine>(bench: Bench<E>) {
    let ((reference, name), (second, second_name)) = (name("moves"), name("second"));
    let old = bench.engine.load(archive(&bench, "old")).await.unwrap();
    let new = bench.engine.load(archive(&bench, "new")).await.unwrap();
    bench.engine.tag(&old.id, &reference).await.unwrap();
    bench.engine.tag(&old.id, &second).await.unwrap();
    bench.engine.tag(&new.id, &reference).await.unwrap();
    let id = async |name: &str| bench.engine.image(name).await.unwrap().map(|image| image.id);
    assert_eq!((id(&name).await, id(&second_name).await), (Some(new.id), Some(old.id)));
    bench.engine.remove_image(&second_name).await.unwrap();
    assert_eq!((id(&second_name).await, id(&old.id.to_string()).await), (None, None));
    bench.engine.tag(&new.id, &second).await.unwrap();
    bench.engine.remove_image(&new.id.to_string()).await.unwrap();
    bench.engine.remove_image(&new.id.to_string()).await.unwrap();
    bench.engine.remove_image(&name).await.unwrap();
    assert_eq!((id(&name).await, id(&second_name).await), (None, None));
    let error = bench.engine.tag(&new.id, &reference).await.unwrap_err();
    assert!(matches!(error, EngineError::NoSuchImage { .. }), "{error:?}");
}

pub(crate) async fn a_saved_image_loads_as_the_same<E: Engine>(bench: Bench<E>) {
    let (reference, name) = name("saved");
    let image = bench.engine.load(archive(&bench, "saved")).await.unwrap();
    bench.engine.tag(&image.id, &reference).await.unwrap();
    let path = bench.scratch.join("saved-image.tar");
    bench.engine.save(std::slice::from_ref(&name), ArchiveFormat::Docker, &path, &|_, _| ()).await.unwrap();
    bench.engine.remove_image(&name).await.unwrap();
    assert_eq!(bench.engine.image(&image.id.to_string()).await.unwrap(), None);
    // Compressed as a whole, as people keep them.
    let packed = bench.scratch.join("saved-image.tar.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(fs_err::File::create(&packed).unwrap(), flate2::Compression::fast());
    encoder.write_all(&fs_err::read(&path).unwrap()).unwrap();
    encoder.finish().unwrap();
    for path in [path, packed] {
        let file = ImageFile { kind: ArchiveKind::Docker, path };
        let archive = ImageArchive::open(&file, &bench.scratch).unwrap();
        bench.check_id(&image, archive.id());
        let loaded = bench.engine.load(archive).await.unwrap();
        assert_eq!((loaded.id, &loaded.config), (image.id, &image.config));
        assert!(loaded.tags.is_empty(), "{:?}", loaded.tags);
        bench.engine.remove_image(&loaded.id.to_string()).await.unwrap();
    }
}

/// What `index.json` of an OCI archive says, and the digests of all its blobs, as GNU tar finds them.
fn contents(path: &Path, scratch: &Path) -> (serde_json::Value, Vec<(String, Digest)>) {
    let to = scratch.join("layout");
    fs_err::create_dir(&to).unwrap();
    let tar = std::process::Command::new("tar").arg("-xf").arg(path).arg("-C").arg(&to).status().unwrap();
    assert!(tar.success());
    let index = serde_json::from_slice(&fs_err::read(to.join("index.json")).unwrap()).unwrap();
    let blobs = fs_err::read_dir(to.join("blobs/sha256")).unwrap().map(Result::unwrap);
    let blobs = blobs.map(|blob| {
        let name = blob.file_name().into_string().unwrap();
        (name, Digest::of(fs_err::read(blob.path()).unwrap()))
    });
    (index, blobs.collect())
}

pub(crate) async fn a_saved_layout_loads_as_the_same<E: Engine>(bench: Bench<E>) {
    let ((first, first_name), (second, second_name)) = (name("layout-first"), name("layout-second"));
    let image = bench.engine.load(archive(&bench, "layout")).await.unwrap();
    let named: [&Reference; 2] = [&first, &second];
    for name in named {
        bench.engine.tag(&image.id, name).await.unwrap();
    }
    let path = bench.scratch.join("saved-layout.tar");
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |done, _| seen.lock().unwrap().push(done);
    let known_as = [first_name.clone(), second_name.clone(), image.id.to_string()];
    bench.engine.save(&known_as, ArchiveFormat::Oci, &path, &progress).await.unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.last().is_some_and(|done| *done > 1_000), "{seen:?}");
    let (index, blobs) = contents(&path, &bench.scratch);
    let manifests = index["manifests"].as_array().unwrap();
    for (manifest, name) in manifests.iter().zip([&first_name, &second_name]) {
        assert_eq!(manifest["annotations"]["org.opencontainers.image.ref.name"], json!(name));
        assert_eq!(manifest["annotations"]["io.containerd.image.name"], json!(name));
    }
    assert_eq!((manifests.len(), blobs.len()), (2, 3), "two known_as; manifest, configuration and layer");
    assert!(blobs.iter().all(|(name, digest)| digest.hex() == *name), "{blobs:?}");
    bench.engine.remove_image(&image.id.to_string()).await.unwrap();
    let file = ImageFile { kind: ArchiveKind::Oci, path };
    let archive = ImageArchive::open(&file, &bench.scratch).unwrap();
    bench.check_id(&image, archive.id());
    let loaded = bench.engine.load(archive).await.unwrap();
    assert_eq!((loaded.id, &loaded.config), (image.id, &image.config));
    bench.engine.remove_image(&loaded.id.to_string()).await.unwrap();
}

pub(crate) async fn a_file_is_replaced_by_a_whole_one_only<E: Engine>(bench: Bench<E>) {
    let directory = bench.scratch.join("kept");
    fs_err::create_dir(&directory).unwrap();
    let path = directory.join("image.tar");
    fs_err::write(&path, "former").unwrap();
    let missing = ["takelage-enginetest/missing:1".to_owned()];
    let there = ["takelage-enginetest/busybox:latest".to_owned()];
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        bench.engine.save(&missing, format, &path, &|_, _| ()).await.unwrap_err();
        // Given up while it is written.
        let save = bench.engine.save(&there, format, &path, &|_, _| ());
        let soon = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, save).await.is_err(), "it takes longer");
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "former");
        for wrong in [directory.as_path(), Path::new("/dev/null")] {
            let error = bench.engine.save(&there, format, wrong, &|_, _| ()).await.unwrap_err();
            assert!(matches!(error, EngineError::Broken { .. }), "{error:?}");
        }
        assert_eq!(fs_err::read_dir(&directory).unwrap().count(), 1);
    }
    bench.engine.save(&there, ArchiveFormat::Docker, &path, &|_, _| ()).await.unwrap();
    assert!(fs_err::metadata(&path).unwrap().len() > 100_000);
    assert_eq!(fs_err::read_dir(&directory).unwrap().count(), 1);
}

/// Writes an OCI layout with a decoy for another platform and layers in all compressions.
fn layout(at: &Path, layers: &[PathBuf]) -> ImageId {
    let mut blobs: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut blob = |bytes: Vec<u8>| {
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        blobs.insert(digest, bytes);
        json!({"mediaType": "application/octet-stream", "digest": digest, "size": size})
    };
    let mut packed = Vec::new();
    let mut config = config();
    for (number, path) in layers.iter().enumerate() {
        let plain = fs_err::read(path).unwrap();
        config.layers.push(Digest::of(&plain));
        packed.push(blob(match number {
            0 => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&plain).unwrap();
                encoder.finish().unwrap()
            }
            1 => zstd::encode_all(plain.as_slice(), 1).unwrap(),
            2 => {
                let mut bytes = Vec::new();
                liblzma::read::XzEncoder::new(plain.as_slice(), 1).read_to_end(&mut bytes).unwrap();
                bytes
            }
            _ => plain,
        }));
    }
    let json = config.to_json();
    let id = ImageId(Digest::of(&json));
    let config = blob(json);
    let manifest =
        blob(serde_json::to_vec(&json!({"schemaVersion": 2, "config": config, "layers": packed})).unwrap());
    let with = |mut descriptor: serde_json::Value, os: &str, architecture: &str| {
        descriptor["platform"] = json!({"os": os, "architecture": architecture});
        descriptor
    };
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let decoy = blob(b"{}".to_vec());
    let manifests = [
        with(decoy.clone(), "linux", "s390x"),
        with(manifest, "linux", architecture),
        with(decoy, "unknown", "unknown"),
    ];
    let inner = blob(serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": manifests})).unwrap());
    let directory = at.join("blobs/sha256");
    fs_err::create_dir_all(&directory).unwrap();
    for (digest, bytes) in blobs {
        fs_err::write(directory.join(digest.hex()), bytes).unwrap();
    }
    fs_err::write(at.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [inner]})).unwrap();
    fs_err::write(at.join("index.json"), index).unwrap();
    id
}

pub(crate) async fn an_oci_layout_loads<E: Engine>(bench: Bench<E>) {
    let directory = bench.scratch.join("layout");
    let layers: Vec<_> = ["gzip", "zstd", "xz", "plain"].map(|it| layer(&bench.scratch, it)).into();
    let id = layout(&directory, &layers);
    let tar = bench.scratch.join("layout.tar");
    let mut builder = tar::Builder::new(fs_err::File::create(&tar).unwrap());
    builder.append_dir_all(".", &directory).unwrap();
    builder.into_inner().unwrap();
    for path in [directory, tar] {
        let archive =
            ImageArchive::open(&ImageFile { kind: ArchiveKind::Oci, path }, &bench.scratch).unwrap();
        let loaded = bench.engine.load(archive).await.unwrap();
        bench.check_id(&loaded, id);
        assert_eq!(loaded.config.layers.len(), 4);
        bench.engine.remove_image(&loaded.id.to_string()).await.unwrap();
    }
}

pub(crate) async fn a_root_file_system_loads<E: Engine>(bench: Bench<E>) {
    let tar = layer(&bench.scratch, "rootfs");
    let packed = bench.scratch.join("rootfs.tar.zst");
    fs_err::write(&packed, zstd::encode_all(fs_err::File::open(&tar).unwrap(), 3).unwrap()).unwrap();
    let directory = bench.scratch.join("rootfs");
    fs_err::create_dir_all(directory.join("etc")).unwrap();
    fs_err::write(directory.join("etc/file"), "content").unwrap();
    std::os::unix::fs::symlink("file", directory.join("etc/link")).unwrap();
    let open = |path: &Path| {
        ImageArchive::open(&ImageFile { kind: ArchiveKind::Rootfs, path: path.to_owned() }, &bench.scratch)
            .unwrap()
    };
    let id = open(&tar).id();
    assert_eq!(open(&packed).id(), id);
    assert_eq!(open(&directory).id(), open(&directory).id());
    for archive in [open(&packed), open(&directory)] {
        let id = archive.id();
        let loaded = bench.engine.load(archive).await.unwrap();
        bench.check_id(&loaded, id);
        assert_eq!((loaded.config.layers.len(), &loaded.config.cmd), (1, &None));
        bench.engine.remove_image(&loaded.id.to_string()).await.unwrap();
    }
    assert_eq!(open(&tar).config().created.as_deref(), Some("2020-09-13T12:26:40Z"));
}

pub(crate) async fn saving_what_is_not_there_fails_and_writes_nothing<E: Engine>(bench: Bench<E>) {
    let path = bench.scratch.join("nothing.tar");
    let names = ["takelage-enginetest/missing:1".to_owned()];
    let error = bench.engine.save(&names, ArchiveFormat::Docker, &path, &|_, _| ()).await.unwrap_err();
    assert!(matches!(error, EngineError::NoSuchImage { .. }), "{error:?}");
    assert!(!path.exists());
    let names = ["takelage-enginetest/busybox:latest".to_owned()];
    assert!(
        bench
            .engine
            .save(&names, ArchiveFormat::Docker, &bench.scratch.join("no/such/directory.tar"), &|_, _| ())
            .await
            .is_err()
    );
}
