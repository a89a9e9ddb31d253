//! The image under test, and containers that go away whatever happens.

use std::{
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use futures_util::FutureExt;
use takelage_engine::{
    Container, ContainerSpec, Engine, ExecOutput, ExecSpec, ImageArchive, ImageConfig, ImageId, ImageRecord,
};
use takelage_model::Digest;

/// The label of everything that these tests create.
pub(crate) const LABEL: &str = "takelage.enginetest";
/// Programs of `busybox` that the tests use.
const APPLETS: [&str; 31] = [
    "cat", "chmod", "chown", "cut", "dd", "df", "echo", "env", "false", "find", "grep", "head", "hostname",
    "id", "kill", "ln", "ls", "mkdir", "mknod", "mount", "printf", "rm", "seq", "sh", "sleep", "stat",
    "sync", "tar", "touch", "true", "wc",
];
const BUSYBOX: &str = "/bin/busybox";

/// An engine to test and where files may lie.
#[derive(Clone)]
pub(crate) struct Bench<E: Engine> {
    pub(crate) engine: E,
    pub(crate) scratch: PathBuf,
    /// The image under test.
    pub(crate) image: ImageRecord,
    /// Whether the engine knows images by the digests of their manifests, rather than of their configurations.
    pub(crate) by_manifest: bool,
}

impl<E: Engine> Bench<E> {
    /// Loads the image under test. `Err`: why it cannot be made here.
    pub(crate) async fn new(engine: E, scratch: &Path) -> Result<Self, String> {
        if !Path::new(BUSYBOX).exists() {
            return Err(format!("there is no {BUSYBOX} (Debian package busybox-static)"));
        }
        let layer = scratch.join("busybox.tar");
        fs_err::write(&layer, rootfs()).unwrap();
        let archive = ImageArchive::of_layers(&config(), &[layer], scratch).unwrap();
        let image = if let Some(image) = engine.image(&archive.id().to_string()).await.unwrap() {
            image
        } else {
            engine.load(archive).await.unwrap()
        };
        // With a name nobody prunes it, and further runs find it. Another version of these tests may have given it away.
        engine.tag(&image.id, &"takelage-enginetest/busybox:latest".parse().unwrap()).await.unwrap();
        Ok(Self { engine, scratch: scratch.to_owned(), image, by_manifest: false })
    }

    /// Holds an image to the digest that its configuration should have, and to be known by it where the engine does that.
    pub(crate) fn check_id(&self, image: &ImageRecord, configuration: ImageId) {
        assert_eq!(ImageId(Digest::of(image.config.to_json())), configuration);
        assert_eq!(image.id == configuration, !self.by_manifest, "{} {configuration}", image.id);
    }

    /// A container of the image under test, with a name of its own.
    pub(crate) fn spec(&self) -> ContainerSpec {
        spec(self.image.id)
    }

    /// Runs `test` with a container and removes it, also if the test fails.
    pub(crate) async fn with(&self, spec: &ContainerSpec, test: impl AsyncFnOnce(E::Container)) {
        let container = self.engine.create(spec).await.unwrap();
        let result = AssertUnwindSafe(test(container.clone())).catch_unwind().await;
        container.remove().await.unwrap();
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A container of `image` with a name of its own.
pub(crate) fn spec(image: ImageId) -> ContainerSpec {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name =
        format!("takelage-enginetest-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut spec = ContainerSpec::new(&name, image);
    spec.labels.insert(LABEL.to_owned(), name);
    spec
}

/// Runs a shell script as the container's own user.
pub(crate) async fn sh(container: &impl Container, script: &str) -> ExecOutput {
    container.run(shell(script)).await.unwrap()
}

/// Runs a shell script that must succeed and returns what it wrote.
pub(crate) async fn say(container: &impl Container, script: &str) -> String {
    let output = sh(container, script).await;
    assert!(output.success(), "{script}: {output:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

pub(crate) fn shell(script: &str) -> ExecSpec {
    ExecSpec { argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), ..ExecSpec::default() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The configuration of the image under test; everything that an image can have, so that it can be lost.
pub(crate) fn config() -> ImageConfig {
    ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        created: Some("2026-01-02T03:04:05Z".to_owned()),
        entrypoint: Some(words(&["/bin/sh", "-c"])),
        cmd: Some(words(&["echo own; cat"])),
        workdir: "/srv".to_owned(),
        env: [("PATH", "/bin"), ("ZED", "1"), ("ALPHA", "2=3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        labels: [("org.example".to_owned(), "base".to_owned())].into(),
        expose: ["80/tcp".to_owned()].into(),
        stop_signal: Some("SIGINT".to_owned()),
        ..ImageConfig::default()
    }
}

/// A root file system with `busybox` and two users.
fn rootfs() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        if kind.is_symlink() {
            header.set_size(0);
            tar.append_link(&mut header, name, String::from_utf8_lossy(content).as_ref()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content).unwrap();
        }
    };
    for directory in ["bin", "dev", "etc", "proc", "root", "run", "srv", "sys"] {
        add(directory, tar::EntryType::Directory, 0o755, b"");
    }
    add("tmp", tar::EntryType::Directory, 0o1777, b"");
    add("bin/busybox", tar::EntryType::Regular, 0o755, &fs_err::read(BUSYBOX).unwrap());
    for applet in APPLETS {
        add(&format!("bin/{applet}"), tar::EntryType::Symlink, 0o777, b"busybox");
    }
    let passwd = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/srv:/bin/sh\n";
    add("etc/passwd", tar::EntryType::Regular, 0o644, passwd);
    add("etc/group", tar::EntryType::Regular, 0o644, b"root:x:0:\napp:x:1000:\nextra:x:1001:app\n");
    tar.into_inner().unwrap()
}
