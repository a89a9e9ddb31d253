//! Pulling and pushing, with and without a login, against a real registry on loopback.
//!
//! Needs Docker and the program `docker-registry` (Debian package docker-registry).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use takelage_engine::{
    Engine, EngineError, ImageArchive, ImageConfig, ImageRecord, Reference,
    docker::{Docker, Settings},
    embedded::{self, Embedded},
};
use takelage_testkit::skip;
use tempfile::TempDir;

/// A password whose base64 has the two characters in which the alphabets differ.
const PASSWORD: &str = "???>>>~~~";
const HTPASSWD: &str = "user:$2a$05$abcdefghijklmnopqrstuuWvrtiViDvTM8iW86aMkM6UHLjCXA5jq\n";

/// A registry of its own that ends with the value.
struct Registry {
    process: Child,
    port: u16,
    scratch: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// Starts a registry. `None`: the test is skipped, the reason printed.
    async fn start(locked: bool) -> Option<Self> {
        let scratch = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = scratch.path().join("store");
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n",
            root.display()
        );
        if locked {
            let path = scratch.path().join("htpasswd");
            fs_err::write(&path, HTPASSWD).unwrap();
            config = format!("{config}auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path.display());
        }
        let path = scratch.path().join("config.yml");
        fs_err::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        let process = command.arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let registry = match process {
            Ok(process) => Self { process, port, scratch },
            Err(error) => skip!("docker-registry cannot be started: {error}"),
        };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(registry);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the registry does not answer");
    }

    fn name(&self, rest: &str) -> Reference {
        format!("127.0.0.1:{}/{rest}", self.port).parse().unwrap()
    }

    /// The user's logins, with this password for this registry.
    fn login(&self, password: &str) -> String {
        let port = self.port;
        format!(r#"{{"auths": {{"127.0.0.1:{port}": {{"username": "user", "password": "{password}"}}}}}}"#)
    }

    /// Opens an embedded engine of its own with this text as the user's `config.json`.
    async fn embedded(&self, config: &str) -> Option<Embedded> {
        if !rustix::process::geteuid().is_root() {
            skip!("the embedded engine as root needs root");
        }
        let directory = tempfile::tempdir_in(self.scratch.path()).unwrap().keep();
        fs_err::write(directory.join("config.json"), config).unwrap();
        let settings = embedded::Settings {
            root: directory.join("engine"),
            program: env!("CARGO_BIN_EXE_takelage-engine-helper").into(),
            config_dir: Some(directory),
            mirrors: std::collections::BTreeMap::new(),
            docker: None,
        };
        Some(Embedded::open(&settings).await.unwrap())
    }

    /// Connects to Docker with this text as the user's `config.json`. `None`: the test is skipped.
    #[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
    async fn docker(&self, config: &str) -> Option<Docker> {
        let directory = tempfile::tempdir_in(self.scratch.path()).unwrap().keep();
        fs_err::write(directory.join("config.json"), config).unwrap();
        let settings = Settings {
            host: std::env::var("DOCKER_HOST").ok(),
            tls: None,
            config_dir: Some(directory),
            scratch: self.scratch.path().to_owned(),
            plain: false,
        };
        match Docker::connect(&settings).await {
            Ok(docker) => Some(docker),
            Err(error) => skip!("{error}"),
        }
    }
}

/// Loads an image with a few megabytes that do not compress, so that there is progress to report.
async fn image(engine: &impl Engine, scratch: &Path, seed: u32) -> ImageRecord {
    let layers: Vec<_> = (0..2_u32)
        .map(|number| {
            let mut state = seed * 2 + number;
            let content: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .take((5 + number as usize) << 20)
            .collect();
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("noise{number}"), content.as_slice()).unwrap();
            let path = scratch.join(format!("noise{number}.tar"));
            fs_err::write(&path, tar.into_inner().unwrap()).unwrap();
            path
        })
        .collect();
    let config = ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
    engine.load(ImageArchive::of_layers(&config, &layers, scratch).unwrap()).await.unwrap()
}

/// What a registry already has is not sent again, so every name has content of its own.
fn seed(name: &Reference) -> u32 {
    name.as_str().bytes().fold(1, |sum, byte| (sum * 31 + u32::from(byte)) % 1_000_003)
}

/// Pushes an image under `name`, forgets it, and pulls it again.
async fn round_trip(docker: &Docker, registry: &Registry, name: &Reference) {
    let made = image(docker, registry.scratch.path(), seed(name)).await;
    docker.tag(&made.id, name).await.unwrap();
    let seen = Mutex::new(Vec::new());
    let progress = |done: u64, all: Option<u64>| seen.lock().unwrap().push((done, all));
    docker.push(name, &progress).await.unwrap();
    let pushed = std::mem::take(&mut *seen.lock().unwrap());
    docker.remove_image(&made.id.to_string()).await.unwrap();
    assert_eq!(docker.image(name.as_str()).await.unwrap(), None);
    let pulled = docker.pull(name, &progress).await.unwrap();
    assert_eq!((pulled.id, &pulled.config), (made.id, &made.config));
    let pulled_with = std::mem::take(&mut *seen.lock().unwrap());
    for progress in [&pushed, &pulled_with] {
        let (done, all) = *progress.last().expect("something was reported");
        assert!(done > 1 << 20 && all.is_some_and(|all| done <= all), "{progress:?}");
        assert!(progress.is_sorted_by_key(|report| report.0), "{progress:?}");
    }
    // By its digest it is the same image.
    let digest =
        pulled.digests.iter().find(|digest| digest.starts_with(&format!("127.0.0.1:{}", registry.port)));
    let by_digest: Reference = digest.unwrap().parse().unwrap();
    docker.remove_image(&pulled.id.to_string()).await.unwrap();
    assert_eq!(docker.pull(&by_digest, &|_, _| ()).await.unwrap().id, made.id);
    docker.remove_image(&pulled.id.to_string()).await.unwrap();
}

#[tokio::test]
async fn docker_registry_without_a_login() {
    let Some(registry) = Registry::start(false).await else { return };
    let Some(docker) = registry.docker("{}").await else { return };
    round_trip(&docker, &registry, &registry.name("takelage-enginetest/open:1")).await;
    round_trip(&docker, &registry, &registry.name("takelage-enginetest/untagged")).await;
    let error = docker.pull(&registry.name("takelage-enginetest/missing:1"), &|_, _| ()).await.unwrap_err();
    assert!(matches!(&error, EngineError::NoSuchImage { .. }), "{error:?}");
    let error =
        docker.pull(&registry.name("takelage-enginetest/open:missing"), &|_, _| ()).await.unwrap_err();
    assert!(matches!(&error, EngineError::NoSuchImage { .. }), "{error:?}");
    let error = docker.push(&registry.name("takelage-enginetest/not-here:1"), &|_, _| ()).await.unwrap_err();
    assert!(matches!(&error, EngineError::NoSuchImage { .. }), "{error:?}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody: Reference = format!("{closed}/takelage-enginetest/open:1").parse().unwrap();
    let error = docker.pull(&nobody, &|_, _| ()).await.unwrap_err();
    assert!(matches!(&error, EngineError::NoRegistry { .. }), "{error:?}");
    assert!(error.to_string().contains("connection refused"), "{error:?}");
}

#[tokio::test]
async fn docker_registry_with_a_login() {
    let Some(registry) = Registry::start(true).await else { return };
    let name = registry.name("takelage-enginetest/locked:1");
    let Some(anonymous) = registry.docker("{}").await else { return };
    let error = anonymous.pull(&name, &|_, _| ()).await.unwrap_err();
    assert!(matches!(&error, EngineError::Unauthorized { .. }), "{error:?}");
    let made = image(&anonymous, registry.scratch.path(), seed(&name)).await;
    anonymous.tag(&made.id, &name).await.unwrap();
    let error = anonymous.push(&name, &|_, _| ()).await.unwrap_err();
    assert!(matches!(&error, EngineError::Unauthorized { .. }), "{error:?}");
    let wrong = registry.docker(&registry.login("wrong")).await.unwrap();
    let error = wrong.push(&name, &|_, _| ()).await.unwrap_err();
    assert!(matches!(&error, EngineError::Unauthorized { .. }), "{error:?}");
    anonymous.remove_image(&made.id.to_string()).await.unwrap();
    let docker = registry.docker(&registry.login(PASSWORD)).await.unwrap();
    round_trip(&docker, &registry, &name).await;
}

/// Has one engine push what the other pulls.
async fn hand_over(from: &impl Engine, to: &impl Engine, registry: &Registry, name: &Reference) {
    let made = image(from, registry.scratch.path(), seed(name)).await;
    from.tag(&made.id, name).await.unwrap();
    from.push(name, &|_, _| ()).await.unwrap();
    let pushed = from.image(name.as_str()).await.unwrap().unwrap();
    let pulled = to.pull(name, &|_, _| ()).await.unwrap();
    assert_eq!((pulled.id, &pulled.config), (made.id, &made.config));
    assert!(pushed.digests.iter().any(|digest| pulled.digests.contains(digest)), "{pushed:?} {pulled:?}");
    for engine_name in [name.to_string(), made.id.to_string()] {
        from.remove_image(&engine_name).await.unwrap();
        to.remove_image(&engine_name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_embedded_what_one_engine_pushes_the_other_pulls() {
    let Some(registry) = Registry::start(true).await else { return };
    let Some(docker) = registry.docker(&registry.login(PASSWORD)).await else { return };
    let Some(embedded) = registry.embedded(&registry.login(PASSWORD)).await else { return };
    hand_over(&docker, &embedded, &registry, &registry.name("takelage-enginetest/by-docker:1")).await;
    hand_over(&embedded, &docker, &registry, &registry.name("takelage-enginetest/by-embedded:1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_embedded_what_a_registry_refuses_is_told_alike() {
    let Some(registry) = Registry::start(true).await else { return };
    let Some(docker) = registry.docker("{}").await else { return };
    let Some(embedded) = registry.embedded("{}").await else { return };
    refused(&docker, &registry).await;
    refused(&embedded, &registry).await;
}

async fn refused(engine: &impl Engine, registry: &Registry) {
    let name = registry.name("takelage-enginetest/refused:1");
    let made = image(engine, registry.scratch.path(), seed(&name)).await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody: Reference = format!("{closed}/takelage-enginetest/refused:1").parse().unwrap();
    for name in [&name, &nobody] {
        engine.tag(&made.id, name).await.unwrap();
    }
    let locked = engine.push(&name, &|_, _| ()).await.unwrap_err();
    let closed = engine.push(&nobody, &|_, _| ()).await.unwrap_err();
    engine.remove_image(&made.id.to_string()).await.unwrap();
    assert!(matches!(&locked, EngineError::Unauthorized { .. }), "{locked:?}");
    assert!(matches!(&closed, EngineError::NoRegistry { .. }), "{closed:?}");
}
