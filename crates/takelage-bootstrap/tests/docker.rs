//! The whole way, with Debian's archive and Docker's command line: what an engine has to do, and what comes of it.

#![expect(clippy::unwrap_used, reason = "what a test rests on must be there, or it fails")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
    time::Duration,
};

use takelage_bootstrap::{CONFIGURE, Report, Request, Selection, Settings, normalise, resolve, unpack};
use takelage_testkit::skip;

static GO_ON: AtomicBool = AtomicBool::new(false);

/// Downloads are kept between runs, as a user's are.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bootstrap-cache")
}

fn settings() -> Settings<'static> {
    Settings {
        cache: cache(),
        keyrings: Vec::new(),
        proxy: None,
        max_age: Duration::from_secs(3600),
        offline: false,
        progress: &|_| {},
        cancelled: &GO_ON,
    }
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Err(format!("docker {}: {stdout}{stderr}", arguments.first().unwrap_or(&"")))
    }
}

fn missing() -> Option<String> {
    if let Err(reason) = docker(&["version", "--format", "{{.Server.Version}}"]) {
        return Some(format!("no Docker daemon answers: {reason}"));
    }
    let reachable = ureq::head("http://deb.debian.org/debian/dists/bookworm/InRelease").call();
    reachable.err().map(|error| format!("Debian's archive cannot be reached: {error}"))
}

/// An image that goes when the test ends, whichever way.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        drop(docker(&["rmi", "--force", &self.0]));
    }
}

/// A container that goes when the test ends, whichever way.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        drop(docker(&["rm", "--force", "--volumes", &self.0]));
    }
}

/// Makes the final archive `name` in `directory`.
fn make(selection: &Selection, directory: &Path, name: &str) -> Result<(PathBuf, Report), String> {
    let path = |kind: &str| directory.join(format!("{name}.{kind}"));
    let text = |path: &Path| path.display().to_string();
    unpack(selection, &settings(), &path("raw")).map_err(|error| format!("{error}: {error:?}"))?;
    let tag = format!("takelage-bootstrap-test:{}-{name}", std::process::id());
    let image = Image(docker(&["import", &text(&path("raw")), &tag])?);
    let container = Container(format!("takelage-bootstrap-test-{}-{name}", std::process::id()));
    docker(&["run", "--network", "none", "--name", &container.0, &image.0, "/bin/sh", "-c", CONFIGURE])?;
    docker(&["export", "--output", &text(&path("exported")), &container.0])?;
    let report = normalise(&path("exported"), selection, &path("tar")).map_err(|error| error.to_string())?;
    Ok((path("tar"), report))
}

/// Makes the image twice, compares, and returns what `command` says in it.
fn check(suite: &str, include: &[&str], command: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut request = Request::new(suite);
    request.include = include.iter().map(ToString::to_string).collect();
    let selection = resolve(&request, &settings()).unwrap();
    let (first, report) = make(&selection, directory.path(), &format!("{suite}-1")).unwrap();
    let (_, again) = make(&selection, directory.path(), &format!("{suite}-2")).unwrap();
    assert_eq!(report, again, "the same selection gives the same bytes");
    let tag = format!("takelage-bootstrap-test:{}-{suite}", std::process::id());
    let image = Image(docker(&["import", &first.display().to_string(), &tag]).unwrap());
    let names: Vec<_> = selection.packages.iter().map(|package| format!("{} ii ", package.name)).collect();
    let installed = docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        &image.0,
        "dpkg-query",
        "--show",
        "--showformat",
        "${Package} ${db:Status-Abbrev}\n",
    ]);
    let mut expected = names;
    expected.sort();
    let installed = installed.unwrap();
    let mut installed: Vec<_> = installed.lines().map(|line| format!("{} ", line.trim_end())).collect();
    installed.sort();
    assert_eq!(installed, expected);
    docker(&["run", "--rm", "--network", "none", &image.0, "/bin/sh", "-ec", command]).unwrap()
}

/// What must hold in every image.
const SOUND: &str = "test -z \"$(dpkg --audit)\"; dpkg --verify; apt-get check >/dev/null 2>&1; \
    test ! -e /.takelage-bootstrap; test ! -e /usr/sbin/policy-rc.d; awk 'BEGIN { print \"awk\" }'; \
    test -z \"$(find / -xdev -newermt '2030-01-01' -not -path '/etc/*' -not -path '/proc/*')\"; id -un";

#[test]
fn docker_bootstrap_bookworm_is_reproducible_and_sound() {
    if let Some(reason) = missing() {
        skip!("{reason}");
    }
    let command = format!("{SOUND}; ls /etc/ssl/certs/ca-certificates.crt; readlink /bin");
    let said = check("bookworm", &["ca-certificates"], &command);
    assert_eq!(said, "awk\nroot\n/etc/ssl/certs/ca-certificates.crt\nusr/bin");
}

#[test]
fn docker_bootstrap_trixie_with_systemd_and_python() {
    if let Some(reason) = missing() {
        skip!("{reason}");
    }
    let command = format!(
        "{SOUND}; python3 -c 'import json; print(\"python\")'; readlink /sbin/init; getent passwd messagebus | cut -d: -f1; cat /etc/machine-id"
    );
    let said = check("trixie", &["systemd", "systemd-sysv", "dbus", "python3"], &command);
    assert_eq!(said, "awk\nroot\npython\n../lib/systemd/systemd\nmessagebus");
}

#[test]
fn docker_bootstrap_bullseye_is_reproducible_and_sound() {
    if let Some(reason) = missing() {
        skip!("{reason}");
    }
    let command = format!("{SOUND}; test ! -L /bin; python3 -c 'print(\"python\")'");
    let said = check("bullseye", &["python3"], &command);
    assert_eq!(said, "awk\nroot\npython");
}
