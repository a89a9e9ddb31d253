//! A real registry of its own, and what talks to it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use takelage_testkit::skip;
use tempfile::TempDir;

use crate::{
    ImageRecord, Reference,
    embedded::store::tests::fixture::{Bench, noise, tar},
    registry::{Backoff, Registries, Settings},
};

/// A password whose base64 has the two characters in which the alphabets differ.
pub(super) const PASSWORD: &str = "???>>>~~~";
const HTPASSWD: &str = "user:$2a$05$abcdefghijklmnopqrstuuWvrtiViDvTM8iW86aMkM6UHLjCXA5jq\n";

/// A registry that ends with the value.
pub(super) struct Registry {
    process: Child,
    pub(super) port: u16,
    pub(super) scratch: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// Starts a registry. `None`: the test is skipped, the reason printed.
    pub(super) async fn start(locked: bool) -> Option<Self> {
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

    pub(super) fn name(&self, rest: &str) -> Reference {
        name(self.port, rest)
    }
}

pub(super) fn name(port: u16, rest: &str) -> Reference {
    format!("127.0.0.1:{port}/{rest}").parse().unwrap()
}

/// Settings that do not wait long.
pub(super) fn settings() -> Settings {
    let backoff = Backoff { attempts: 4, first: Duration::from_millis(5), longest: Duration::from_secs(2) };
    Settings { backoff, ..Settings::default() }
}

pub(super) fn registries() -> Registries {
    Registries::new(settings())
}

/// An image whose layers do not compress, so that a transfer takes several reads. `seed` makes them its own.
pub(super) async fn image(bench: &Bench, name: &Reference, seed: u32) -> ImageRecord {
    let layer = |number: u32, length| tar(&format!("noise{number}"), &noise(seed * 8 + number, length));
    let layers = [layer(0, 1_500_000), layer(1, 700_000), layer(2, 10), layer(3, 300_000)];
    bench.load(&layers, Some(name.as_str())).await
}

/// Pushes an image of its own under this name and returns it.
pub(super) async fn pushed(name: &Reference, seed: u32) -> ImageRecord {
    let bench = Bench::new().await;
    let made = image(&bench, name, seed).await;
    registries().push(&bench.store, name, &|_, _| ()).await.unwrap();
    made
}
