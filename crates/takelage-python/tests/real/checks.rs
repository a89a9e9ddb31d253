//! Checks against a real container, with real pytest and testinfra.

use takelage_model::event::{Check, CheckStatus, EventKind};
use takelage_python::{
    ansible::Inventory,
    pytest::{PytestError, Session, Verified, verify},
};
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, environment};

impl Scene {
    pub(crate) fn session(&self) -> Session {
        Session {
            tests: "tests".into(),
            project_root: self.root.path().to_owned(),
            hosts: vec!["app".into()],
            inventory: Inventory::of("app", ["web".to_owned()]),
            env: environment(),
            ..Session::default()
        }
    }

    pub(crate) async fn verify(&self, session: &Session) -> Result<Verified, PytestError> {
        verify(&self.tools, session, &self.bridge, CancellationToken::new(), drop).await
    }

    pub(crate) fn checks(&mut self) -> Vec<Check> {
        self.reported()
            .into_iter()
            .filter_map(|event| match event {
                EventKind::Check { check, .. } => Some(check),
                _ => None,
            })
            .collect()
    }
}

#[tokio::test]
async fn docker_pytest_every_end_of_a_check_is_told() {
    let Some(mut scene) = Scene::new().await else { return };
    scene.write(
        "tests/test_ends.py",
        r#"
import pytest

def test_passes(host):
    assert host.file("/etc/debian_version").exists
    assert host.user("root").uid == 0

def test_fails(host):
    print("seen before")
    assert host.run("echo out; exit 3").rc == 0

@pytest.mark.skip(reason="not now")
def test_skips(): pass

@pytest.mark.xfail(reason="known")
def test_expected(): assert False

@pytest.mark.xfail
def test_unexpected(): pass

@pytest.fixture
def broken(): raise RuntimeError("set-up broke")

def test_error(broken): pass

@pytest.mark.parametrize("n", [1, 2])
def test_many(n): assert n
"#,
    );
    scene.write("tests/test_uncollectable.py", "import nothing_like_this\n");
    let Err(PytestError::Failed(verified)) = scene.verify(&scene.session()).await else {
        panic!("it passed")
    };
    let none = Verified::default();
    assert_eq!(verified, Verified { errors: 1, ..none }, "without its other file pytest runs nothing");
    let checks = scene.checks();
    assert!(
        checks[0].message.contains("nothing_like_this") && checks[0].path == "tests/test_uncollectable.py",
        "{checks:#?}"
    );

    fs_err::remove_file(scene.root.path().join("tests/test_uncollectable.py")).unwrap();
    let Err(PytestError::Failed(verified)) = scene.verify(&scene.session()).await else {
        panic!("it passed")
    };
    let expected = Verified { passed: 3, failed: 1, errors: 1, skipped: 1, xfailed: 1, xpassed: 1, ..none };
    assert_eq!(verified, expected);
    let checks = scene.checks();
    let find = |name: &str| checks.iter().find(|check| check.id.contains(name)).unwrap();
    let failed = find("test_fails");
    assert_eq!(
        (failed.id.as_str(), failed.path.as_str()),
        ("tests/test_ends.py::test_fails[takelage://app]", "tests/test_ends.py:8")
    );
    assert!(failed.message.contains("assert 3 == 0") && failed.output.contains("seen before"), "{failed:#?}");
    assert_eq!(
        (find("test_skips").status, find("test_skips").message.as_str()),
        (CheckStatus::Skipped, "not now")
    );
    assert_eq!(
        (find("test_expected").status, find("test_expected").message.as_str()),
        (CheckStatus::XFailed, "known")
    );
    assert_eq!(find("test_unexpected").status, CheckStatus::XPassed);
    assert!(find("test_error").message.contains("set-up broke"));
    assert!(!find("test_passes").took.is_zero());
    let mut left: Vec<_> =
        fs_err::read_dir(scene.root.path().join("tests")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.extend(fs_err::read_dir(scene.root.path()).unwrap().map(|e| e.unwrap().file_name()));
    assert_eq!(left, ["test_ends.py", "tests"], "something was written into the project");

    let options = Session { options: vec!["-k".into(), "passes".into()], ..scene.session() };
    assert_eq!(scene.verify(&options).await.unwrap(), Verified { passed: 1, deselected: 7, ..none });
    let options = Session { options: vec!["-k".into(), "nothing".into()], ..scene.session() };
    assert!(matches!(scene.verify(&options).await, Err(PytestError::NoChecks { deselected: 8, .. })));
    let options = Session { options: vec!["--nonsense".into()], ..scene.session() };
    let error = scene.verify(&options).await.unwrap_err();
    assert!(matches!(&error, PytestError::Usage { message } if message.contains("--nonsense")), "{error:?}");
}

#[tokio::test]
async fn docker_pytest_every_way_to_name_a_host_leads_to_the_container() {
    let Some(mut scene) = Scene::new().await else { return };
    scene.container.sh("useradd -m bob; printf 'h\\303\\251\\n\\377' > /tmp/bytes; touch /tmp/here").await;
    let body = r#"
def test_there(host):
    assert host.file("/tmp/here").exists
"#;
    for (file, hosts) in [
        ("plain", ""),
        ("ansible", "ansible://app"),
        ("group", "ansible://web"),
        ("docker", "docker://app"),
        ("bare", "app"),
        ("every", "all"),
        ("own", "takelage://bob@app"),
    ] {
        let head = if hosts.is_empty() { String::new() } else { format!("testinfra_hosts = ['{hosts}']\n") };
        scene.write(&format!("tests/test_{file}.py"), &(head + body));
    }
    scene.write(
        "tests/test_molecule.py",
        &format!(
            "import os, testinfra.utils.ansible_runner as r\n\
         testinfra_hosts = r.AnsibleRunner(os.environ['MOLECULE_INVENTORY_FILE']).get_hosts('all')\n{body}    \
         file = os.environ['MOLECULE_EPHEMERAL_DIRECTORY'] + '/inventory/ansible_inventory.yml'\n    \
         assert r.AnsibleRunner(file).get_hosts('all') == ['app']\n"
        ),
    );
    scene.write(
        "tests/test_more.py",
        r#"
import pytest
testinfra_hosts = ["ansible://app"]

def test_bytes(host):
    done = host.run("cat /tmp/bytes; printf e >&2; exit 4")
    assert (done.rc, done.stdout_bytes, done.stderr) == (4, b"h\xc3\xa9\n\xff", "e")
    assert host.run("printf 'h\\303\\251'").stdout == "hé"

def test_users(host):
    with host.sudo("bob"):
        assert host.check_output("id -un") == "bob"
        assert host.user().name == "bob"
    assert host.check_output("id -un") == "root"

def test_ansible(host):
    assert host.ansible("ansible.builtin.command", "id -un", check=False)["stdout"] == "root"
    assert host.ansible("ansible.builtin.stat", "path=/tmp/here")["stat"]["exists"]
    assert host.ansible.get_variables()["group_names"] == ["all", "web"]

def test_fast(host):
    assert host.backend.get_connection_type() == "ansible"
    host.run("true")
"#,
    );
    let verified = scene.verify(&scene.session()).await;
    let checks = scene.checks();
    assert_eq!(verified.unwrap_or_else(|error| panic!("{error} {checks:#?}")).passed, 12, "{checks:#?}");
    let hosts = Session {
        options: vec!["--hosts=docker://bob@app".into(), "-k".into(), "plain".into()],
        ..scene.session()
    };
    scene.verify(&hosts).await.unwrap();
    assert!(scene.checks()[0].id.contains("[takelage://"), "an option chooses the host");
}
