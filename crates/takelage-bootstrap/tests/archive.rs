//! From a request to an unpacked file system, with a small archive on this machine.

#![expect(clippy::unwrap_used, reason = "what a test rests on must be there, or it fails")]

mod mirror;

use std::{collections::BTreeMap, io::Read, path::Path, sync::atomic::AtomicBool, time::Duration};

use mirror::{Answer, Server, repository, settings};
use takelage_bootstrap::{BootstrapError, Mirror, Request, Selection, Settings, fetch_file, resolve, unpack};

fn names(selection: &Selection) -> Vec<&str> {
    selection.packages.iter().map(|package| package.name.as_str()).collect()
}

fn resolve_in(cache: &Path, request: &Request) -> Result<Selection, BootstrapError> {
    resolve(request, &settings(cache))
}

/// Kind, mode and content or target by path, without a slash at the end.
fn entries(tar: &Path) -> BTreeMap<String, (tar::EntryType, u32, String)> {
    let mut archive = tar::Archive::new(fs_err::File::open(tar).unwrap());
    let mut entries = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string().trim_end_matches('/').to_owned();
        let header = entry.header().clone();
        let mut content =
            header.link_name().unwrap().map(|link| link.display().to_string()).unwrap_or_default();
        entry.read_to_string(&mut content).ok();
        // What comes later replaces what came before, as for all who unpack archives.
        entries.insert(path, (header.entry_type(), header.mode().unwrap(), content));
    }
    entries
}

#[test]
fn the_closure_prefers_priority_and_what_is_there_and_takes_usr_is_merged() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let selection = resolve_in(cache.path(), &server.request(&["gawk"])).unwrap();
    assert_eq!(
        names(&selection),
        ["base-files", "libshell", "mawk", "shell", "usr-is-merged", "apt", "gawk"]
    );
    let selection = resolve_in(cache.path(), &server.request(&["taker"])).unwrap();
    // `awk (>= 4)` is only provided by gawk; mawk, the alternative, is not `Multi-Arch: allowed`, so `:any` excludes it.
    let gawk = selection.packages.iter().find(|package| package.name == "gawk").unwrap();
    assert!(gawk.automatic);
}

#[test]
fn the_digest_depends_on_packages_and_not_on_the_host() {
    let (server, other, cache) = (Server::start(), Server::start(), tempfile::tempdir().unwrap());
    let plain = resolve_in(cache.path(), &server.request(&[])).unwrap().digest();
    assert_eq!(resolve_in(cache.path(), &other.request(&[])).unwrap().digest(), plain);
    assert_ne!(resolve_in(cache.path(), &server.request(&["gawk"])).unwrap().digest(), plain);
    let mut named = server.request(&[]);
    named.mirror = Mirror::Project(server.url.clone());
    assert_ne!(resolve_in(cache.path(), &named).unwrap().digest(), plain, "its apt is told another mirror");
}

#[test]
fn names_are_checked_and_the_nearest_is_offered() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let fail = |include: &[&str]| resolve_in(cache.path(), &server.request(include)).unwrap_err();
    assert_eq!(fail(&["takr"]).to_string(), "`test` has no package `takr`; the nearest name is `taker`");
    assert_eq!(fail(&["nothing-like-it"]).to_string(), "`test` has no package `nothing-like-it`");
    assert!(
        matches!(fail(&["lonely"]), BootstrapError::Unsatisfiable { package, .. } if package == "lonely")
    );
    assert!(matches!(fail(&["taker", "rival"]), BootstrapError::Conflict { .. }));
    let mut request = server.request(&[]);
    request.components = vec!["main/../..".into()];
    assert!(matches!(resolve_in(cache.path(), &request), Err(BootstrapError::Request { .. })));
    request.components = vec!["contrib".into()];
    assert!(matches!(resolve_in(cache.path(), &request), Err(BootstrapError::NotInSuite { .. })));
}

#[test]
fn only_a_valid_signature_of_a_trusted_key_counts() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let good = fs_err::read_to_string(repository().join("debian/dists/test/InRelease")).unwrap();
    let refused = |bytes: Vec<u8>| {
        server.answer("test/InRelease", Answer::Bytes(bytes));
        let error = resolve_in(cache.path(), &server.request(&[])).unwrap_err();
        assert!(matches!(error, BootstrapError::Signature { .. }), "{error:?}");
        error.to_string()
    };
    refused(good.replace("Origin: Test", "Origin: Tess").into());
    refused(good.split("-----BEGIN PGP SIGNATURE").next().unwrap().into());
    refused(b"Suite: test\n".to_vec());
    refused(format!("Suite: evil\n\n{good}").into());
    let read = |name: &str| fs_err::read(repository().join("debian/dists/test").join(name)).unwrap();
    assert!(refused(read("InRelease.stranger")).contains("is not trusted"));
    assert!(refused(read("InRelease.late")).contains("was not valid at the time"));
    // Nothing that was refused is in the cache.
    let mut offline = settings(cache.path());
    offline.offline = true;
    assert!(matches!(resolve(&server.request(&[]), &offline), Err(BootstrapError::Offline { .. })));
}

#[test]
fn old_and_other_suites_are_refused() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let mut request = server.request(&[]);
    request.suite = "old".into();
    assert!(matches!(resolve_in(cache.path(), &request), Err(BootstrapError::Expired { .. })));
    let good = fs_err::read(repository().join("debian/dists/test/InRelease")).unwrap();
    server.answer("newer/InRelease", Answer::Bytes(good));
    request.suite = "newer".into();
    assert!(matches!(resolve_in(cache.path(), &request), Err(BootstrapError::WrongSuite { .. })));
    request.suite = "tester".into();
    assert!(matches!(resolve_in(cache.path(), &request), Err(BootstrapError::Status { status: 404, .. })));
}

#[test]
fn what_does_not_have_its_digest_is_refused_from_the_mirror_and_from_the_cache() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let selection = resolve_in(cache.path(), &server.request(&[])).unwrap();
    let to = cache.path().join("root.tar");
    let mawk = selection.packages.iter().find(|package| package.name == "mawk").unwrap();
    let size = usize::try_from(mawk.size).unwrap();
    server.answer("mawk_1.0-1_amd64.deb", Answer::Bytes(vec![7; size]));
    let error = unpack(&selection, &settings(cache.path()), &to).unwrap_err();
    assert!(
        matches!(&error, BootstrapError::Mismatch { url } if url.ends_with("mawk_1.0-1_amd64.deb")),
        "{error:?}"
    );
    server.answer("mawk_1.0-1_amd64.deb", Answer::Bytes(vec![7; size + 1]));
    assert!(matches!(unpack(&selection, &settings(cache.path()), &to), Err(BootstrapError::TooLarge { .. })));
    server.answer("mawk_1.0-1_amd64.deb", Answer::CutOff(0));
    unpack(&selection, &settings(cache.path()), &to).unwrap();
    // Spoilt on disk: fetched again.
    fs_err::write(cache.path().join("sha256").join(mawk.digest.hex()), vec![7; size]).unwrap();
    let before = server.asked("mawk_1.0-1_amd64.deb");
    unpack(&selection, &settings(cache.path()), &to).unwrap();
    assert_eq!(server.asked("mawk_1.0-1_amd64.deb"), before + 1);
}

#[test]
fn passing_failures_are_repeated_and_downloads_go_on_where_they_broke_off() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    server.answer("Packages.xz", Answer::Status(503, 2));
    server.answer("shell_1.0-1_amd64.deb", Answer::CutOff(1));
    let selection = resolve_in(cache.path(), &server.request(&[])).unwrap();
    assert_eq!(server.asked("Packages.xz"), 3);
    unpack(&selection, &settings(cache.path()), &cache.path().join("root.tar")).unwrap();
    assert_eq!(server.asked("libshell_1.0-1_amd64.deb") + server.asked("/shell_1.0-1_amd64.deb"), 3);
}

#[test]
fn the_cache_serves_while_it_is_young_and_offline() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let to = cache.path().join("root.tar");
    let young = Settings { max_age: Duration::from_secs(3600), ..settings(cache.path()) };
    let request = server.request(&[]);
    let offline = Settings { offline: true, ..settings(cache.path()) };
    assert!(matches!(resolve(&request, &offline), Err(BootstrapError::Offline { .. })));
    let selection = resolve(&request, &young).unwrap();
    assert_eq!(resolve(&request, &young).unwrap(), selection);
    assert_eq!((server.asked("InRelease"), server.asked("Packages.xz")), (1, 1));
    assert!(matches!(unpack(&selection, &offline, &to), Err(BootstrapError::Offline { .. })));
    unpack(&selection, &young, &to).unwrap();
    assert_eq!(resolve(&request, &offline).unwrap(), selection);
    unpack(&selection, &offline, &to).unwrap();
    resolve(&request, &settings(cache.path())).unwrap();
    assert_eq!(
        (server.asked("InRelease"), server.asked("Packages.xz")),
        (2, 1),
        "asked again for what may change"
    );
}

#[test]
fn a_mirror_that_is_not_there_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let mut request = Request::new("test");
    request.mirror = Mirror::Project("http://127.0.0.1:9/debian".into());
    let error = resolve_in(cache.path(), &request).unwrap_err();
    assert_eq!(error.to_string(), "cannot download `http://127.0.0.1:9/debian/dists/test/InRelease`");
    assert!(error.hint().unwrap().contains("mirror"));
}

#[test]
fn giving_up_is_seen() {
    static GIVEN_UP: AtomicBool = AtomicBool::new(true);
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let selection = resolve_in(cache.path(), &server.request(&[])).unwrap();
    let settings = Settings { cancelled: &GIVEN_UP, ..settings(cache.path()) };
    assert!(matches!(resolve(&server.request(&[]), &settings), Err(BootstrapError::Cancelled)));
    assert!(matches!(unpack(&selection, &settings, &cache.path().join("t")), Err(BootstrapError::Cancelled)));
}

#[test]
fn the_unpacked_system_is_merged_complete_and_the_same_each_time() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let selection = resolve_in(cache.path(), &server.request(&["diverter", "taker"])).unwrap();
    let (first, second) = (cache.path().join("1.tar"), cache.path().join("2.tar"));
    unpack(&selection, &settings(cache.path()), &first).unwrap();
    unpack(&selection, &settings(cache.path()), &second).unwrap();
    assert_eq!(fs_err::read(&first).unwrap(), fs_err::read(&second).unwrap());

    let entries = entries(&first);
    let text = |path: &str| entries.get(path).unwrap_or_else(|| panic!("no {path}")).2.as_str();
    assert_eq!(entries["bin"].0, tar::EntryType::Symlink);
    assert_eq!(text("bin"), "usr/bin");
    assert_eq!(text("usr/bin/sh"), "not a shell\n");
    assert_eq!(text("usr/bin/mawk"), "better\n", "taker replaces it");
    let status = text("var/lib/dpkg/status");
    assert_eq!(status.matches("Status: install ok unpacked\n").count(), selection.packages.len() - 1);
    assert!(!status.contains("diverter"), "dpkg itself unpacks what diverts");
    assert!(entries.contains_key(".takelage-bootstrap/debs/diverter.deb"));
    assert!(
        status.contains("Conffiles:\n /etc/debian_version 447e472ec9a77407097cbf98e8d6eec8\n"),
        "{status}"
    );
    assert!(!status.contains("newconffile"), "{status}");
    assert_eq!(text("var/lib/dpkg/info/shell.list"), "/.\n/bin\n/bin/sh\n");
    assert!(
        text("var/lib/dpkg/info/libshell:amd64.md5sums")
            .ends_with("  usr/lib/x86_64-linux-gnu/libshell.so.1\n")
    );
    assert_eq!(text("var/lib/dpkg/info/mawk.list"), "/.\n/usr\n/usr/bin\n", "it lost its file to taker");
    assert_eq!(entries["var/lib/dpkg/info/shell.preinst"].1 & 0o777, 0o755);
    assert_eq!(text("var/lib/dpkg/triggers/File"), "/usr/share/shells shell/noawait\n");
    assert_eq!(text(".takelage-bootstrap/preinst-essential"), "shell shell amd64 1.0-1\n");
    assert!(
        text("var/lib/apt/extended_states")
            .contains("Package: gawk\nArchitecture: amd64\nAuto-Installed: 1\n")
    );
    let sources = text("etc/apt/sources.list.d/debian.sources");
    assert!(
        sources.contains("http://deb.debian.org/debian\n") && !sources.contains("127.0.0.1"),
        "{sources}"
    );
}

#[test]
fn two_packages_with_the_same_file_are_refused() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let selection = resolve_in(cache.path(), &server.request(&["clash"])).unwrap();
    let error = unpack(&selection, &settings(cache.path()), &cache.path().join("root.tar")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/usr/bin/mawk` is in `mawk` and in `clash`, and neither replaces the other"
    );
}

#[test]
fn one_file_of_one_package_is_fetched_and_checked() {
    let (server, cache, to) = (Server::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let request = server.request(&["lonely"]);
    let fetch = |package: &str, wanted: &str| {
        fetch_file(&request, package, |path| path == wanted, &settings(cache.path()), to.path())
    };
    let path = fetch("mawk", "usr/bin/mawk").unwrap();
    assert_eq!(
        (path.as_path(), fs_err::read_to_string(&path).unwrap()),
        (&*to.path().join("mawk"), "awk\n".into())
    );
    assert_eq!(server.asked(".deb"), 1, "only that package");
    // A directory is no file.
    assert!(matches!(fetch("mawk", "usr/bin"), Err(BootstrapError::Malformed { .. })));
    assert!(matches!(
        fetch("mawq", "usr/bin/mawk"),
        Err(BootstrapError::UnknownPackage { nearest: Some(_), .. })
    ));
    server.answer("gawk_1.0-1_amd64.deb", Answer::Bytes(b"!<arch>".to_vec()));
    assert!(matches!(fetch("gawk", "usr/bin/gawk"), Err(BootstrapError::Mismatch { .. })));
    assert!(!to.path().join("gawk").exists());
}
