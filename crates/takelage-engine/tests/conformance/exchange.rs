//! An image means the same on both engines, whichever of them made it.

use std::{collections::BTreeMap, path::Path};

use takelage_engine::{
    ArchiveFormat, ArchiveKind, Container, ContainerSpec, Engine, History, ImageArchive, ImageFile,
    Reference, Startup,
};

use crate::{
    base::{Bench, LABEL, say, spec},
    docker, embedded, files,
};

/// The capability to bind to low ports, permitted and effective, as the kernel keeps it with a file.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A program with a capability, as an archive.
fn program() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_pax_extensions([("SCHILY.xattr.security.capability", CAPABILITY.as_slice())]).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(0);
    header.set_mtime(1_600_000_000);
    tar.append_data(&mut header, "srv/capable", [].as_slice()).unwrap();
    tar.into_inner().unwrap()
}

/// What an export says of everything that the image has, with the capabilities of files.
fn exported(path: &Path) -> (BTreeMap<String, String>, Vec<Vec<u8>>) {
    let mut all: BTreeMap<_, _> = files::read(fs_err::File::open(path).unwrap())
        .into_iter()
        .map(|(name, entry)| (name, format!("{entry:?}")))
        .collect();
    // The engine's own, in each container.
    let own = ["dev", "proc", "sys", "etc", ".dockerenv", "."];
    let owned = ["etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"];
    all.retain(|name, _| {
        !own.contains(&name.as_str())
            && !owned.contains(&name.as_str())
            && !name.starts_with("dev/")
            && !name.is_empty()
    });
    let mut capabilities = Vec::new();
    let mut archive = tar::Archive::new(fs_err::File::open(path).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        for extension in entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap) {
            if extension.key_bytes() == b"SCHILY.xattr.security.capability" {
                capabilities.push(extension.value_bytes().to_vec());
            }
        }
    }
    (all, capabilities)
}

/// Makes an image on one engine and compares what containers of it have on both.
async fn carry<A: Engine, B: Engine>(a: &Bench<A>, b: &Bench<B>, name: &str, format: ArchiveFormat) {
    let name: Reference = format!("takelage-enginetest/{name}:{}", std::process::id()).parse().unwrap();
    let mut config = a.image.config.clone();
    config.labels.insert(LABEL.to_owned(), name.to_string());
    let layer = a.scratch.join("program.tar");
    fs_err::write(&layer, program()).unwrap();
    let layers = [a.scratch.join("busybox.tar"), layer];
    let base = ImageArchive::of_layers(&config, &layers, &a.scratch).unwrap();
    let base = a.engine.load(base).await.unwrap();
    config = base.config;
    // With a date: containerd's store does not tell one without from one of 1970.
    let created = Some("2026-03-04T05:06:07Z".to_owned());
    config.history.push(History { created, ..History::default() });
    let mut made = None;
    a.with(&spec(base.id), async |container| {
        container.put("/srv", files::tree(&a.engine)).await.unwrap();
        say(&container, "rm /etc/group; rm -r /run; chmod 700 /root; ln /etc/passwd /srv/again").await;
        made = Some(container.commit(&config, Some(&name), None).await.unwrap());
    })
    .await;
    let made = made.unwrap();
    let path = a.scratch.join("exchange.tar");
    a.engine.save(&[name.to_string()], format, &path, &|_, _| ()).await.unwrap();
    let kind = match format {
        ArchiveFormat::Docker => ArchiveKind::Docker,
        ArchiveFormat::Oci => ArchiveKind::Oci,
    };
    let archive = ImageArchive::open(&ImageFile { kind, path }, &a.scratch).unwrap();
    let loaded = b.engine.load(archive.named(Some(&name))).await.unwrap();
    assert_eq!(loaded.config, made.config);
    assert_eq!(loaded.id == made.id, a.by_manifest == b.by_manifest);
    let trees = [a.scratch.join("a.tar"), b.scratch.join("b.tar")];
    let of = |id| ContainerSpec { startup: Startup::Wait, ..spec(id) };
    a.with(&of(made.id), async |container| container.export(&trees[0]).await.unwrap()).await;
    b.with(&of(loaded.id), async |container| container.export(&trees[1]).await.unwrap()).await;
    a.engine.remove_image(name.as_str()).await.unwrap();
    b.engine.remove_image(name.as_str()).await.unwrap();
    a.engine.remove_image(&base.id.to_string()).await.unwrap();
    let [(files_a, capabilities_a), (files_b, capabilities_b)] = trees.map(|path| exported(&path));
    assert!(files_a.contains_key("srv/tree/set-user") && !files_a.contains_key("etc/group"), "{files_a:#?}");
    pretty_assert(&files_a, &files_b);
    assert_eq!(capabilities_a, [CAPABILITY]);
    assert_eq!(capabilities_b, [CAPABILITY]);
}

/// Says which names differ, rather than all of both.
fn pretty_assert(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) {
    let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let short = |text: Option<&String>| text.map(|text| text.chars().take(120).collect::<String>());
    let different: Vec<_> = names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name))
        .map(|name| (name, short(a.get(name)), short(b.get(name))))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_embedded_an_image_is_the_same_on_both_engines() {
    let (Some((docker, _one)), Some((embedded, _other))) = (docker::bench().await, embedded::bench().await)
    else {
        return;
    };
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        Box::pin(carry(&embedded, &docker, "from-embedded", format)).await;
        Box::pin(carry(&docker, &embedded, "from-docker", format)).await;
    }
}
