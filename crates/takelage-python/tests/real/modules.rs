//! Ansible's modules called by checks: in forks of a process that is up, with the same results.

use serde_json::Value;

use crate::scene::Scene;

/// Checks that collect what calls come to.
const CHECKS: &str = r##"
import json, os, re, subprocess, threading
import pytest, testinfra
from testinfra.utils.ansible_runner import AnsibleRunner

testinfra_hosts = ["ansible://app"]
CALLS = [
    (["command", "id -un"], {"check": False}),
    (["command", "id -un"], {}),
    (["command", "sh -c 'exit 3'"], {"check": False}),
    (["shell", "echo \"$0\" 'a  b' | tr a-z A-Z; echo é >&2"], {"check": False}),
    (["raw", "echo %s; exit 4"], {"check": False}),
    (["copy", "content={{ words | join(':') }} dest=/tmp/copied mode=0640"], {"extra_vars": {"words": ["Zoë", "a 'b'", "\"c\""]}}),
    (["copy", "content={{ words | join(':') }} dest=/tmp/copied mode=0640"],
     {"extra_vars": {"words": ["Zoë", "a 'b'", "\"c\""]}, "check": False, "diff": True}),
    (["copy", "content=new dest=/tmp/copied"], {"diff": True}),
    (["command", "cat /tmp/copied"], {"check": False}),
    (["command", "id"], {"check": False, "become": True, "become_user": "nobody"}),
    (["command", "id -un"], {"check": False, "user": "bob"}),
    (["command", "id -un"], {"check": False, "become": True, "become_method": "nothing"}),
    (["stat", "path=/etc/debian_version get_checksum=false"], {}),
    (["ansible.builtin.file", "path=/tmp/none state=file"], {}),
    (["file", "path=/tmp/none nonsense=1"], {}),
    (["no_such_module", None], {}),
    (["debug", "msg={{ nothing }}"], {}),
    (["debug", "var=group_names"], {}),
    (["debug", "msg=\"{{ lookup('env', 'PYTEST_CURRENT_TEST') }} {{ lookup('env', 'SEEN') }} {{ playbook_dir }}\""], {}),
    (["debug", "msg={{ lookup('pipe', 'umask; cat; tty; readlink /proc/self/fd/0 | tr -d 0-9; ulimit -a') }}"], {}),
    (["set_fact", "one=1"], {}),
    (["ping", ""], {"one_line": True, "verbose": 4}),
    (["ping", "data=crash"], {"check": False}),
    (["setup", "gather_subset=!all filter=ansible_dist*"], {}),
    (["ping", None], {"become": "yes"}),
    (["ping", None], {"become_user": 7}),
    (["ping", None], {"unknown": True}),
]

def attempt(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        return [type(error).__name__, str(error), getattr(error, "result", None)]

@pytest.fixture(scope="module")
def told():
    told = {}
    yield told
    with open(os.environ["TOLD"], "w") as file:
        json.dump(told, file, default=repr)

def test_calls(host, told):
    told["calls"] = [attempt(host.ansible, *args, **kwargs) for args, kwargs in CALLS]

@pytest.mark.parametrize("name", ["one", "two words"])
def test_name(host, told, name):
    told[name] = host.ansible("debug", "msg={{ lookup('env', 'PYTEST_CURRENT_TEST') }}")

def test_variables(host, told):
    told["variables"] = host.ansible.get_variables()
    told["hosts"] = [attempt(AnsibleRunner(os.environ["MOLECULE_INVENTORY_FILE"]).get_hosts, name) for name in ["all", "web", "no"]]
    told["empty"] = attempt(AnsibleRunner("/dev/null").get_hosts)
    told["missing"] = attempt(AnsibleRunner("/no/such").get_variables, "app")

def test_settings(host, told, monkeypatch, tmp_path):
    seen = told["settings"] = []
    ask = lambda: seen.append(attempt(host.ansible, "debug", "msg=\"{{ lookup('env', 'SEEN') }} {{ lookup('config', 'DEFAULT_TIMEOUT') }}\""))
    ask()
    monkeypatch.setenv("SEEN", "one")
    monkeypatch.setenv("ANSIBLE_TIMEOUT", "77")
    ask()
    monkeypatch.undo()
    ask()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ansible.cfg").write_text("[defaults]\ntimeout = 78\n[inventory]\nenable_plugins = yaml\n")
    ask()
    (tmp_path / "ansible.cfg").write_text("[defaults]\ntimeout = 9\n")
    ask()
    (tmp_path / "ansible.cfg").write_text("nonsense\n")
    ask()
    monkeypatch.undo()
    ask()
    (tmp_path / "ansible").write_text("#!/bin/sh\necho skipped $#\n")
    (tmp_path / "ansible").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    ask()

def test_side_by_side(host, told):
    found = {}
    def call(n):
        found[n] = host.ansible("command", f"echo {n}", check=False)["stdout"]
    threads = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    told["side by side"] = sorted(found.items())

def test_this_machine(told):
    local = testinfra.get_host("local://")
    told["local"] = [
        (done.rc, done.stdout, done.stderr, done.command)
        for done in [local.run("echo %s", "a b"), local.run("ansible --version | wc -l; exit 3"), local.run("X=1 ansible --nonsense")]
    ]

def test_way(host, told):
    words = "tr '\\0' ' ' < /proc/$PPID/cmdline"
    asked = lambda: host.ansible("debug", "msg={{ lookup('pipe', words) }}", extra_vars={"words": words})["msg"]
    told["way"] = asked()
    # A fork of the tests has a process of its own.
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, asked().encode())
        os._exit(0)
    os.wait()
    told["forked way"] = os.read(read, 10000).decode()
"##;

/// Returns what calls come to.
async fn told(scene: &mut Scene) -> Value {
    let path = scene.root.path().join("told.json");
    let seen = [("TOLD", path.display().to_string()), ("SEEN", "first".to_owned())];
    let mut session = scene.session();
    session.env.extend(seen.map(|(name, value)| (name.to_owned(), value)));
    scene.write("tests/test_modules.py", CHECKS);
    let verified = scene.verify(&session).await;
    let checks = scene.checks();
    assert_eq!(verified.unwrap_or_else(|error| panic!("{error} {checks:#?}")).passed, 8, "{checks:#?}");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

/// Replaces what is by chance or of one scene.
fn without_chance(told: &str, scene: &Scene) -> String {
    let private = scene.bridge.socket().parent().unwrap().display().to_string();
    let mut text =
        told.replace(&private, "<private>").replace(&scene.root.path().display().to_string(), "<root>");
    for (pattern, word) in [
        (r"input[A-Za-z0-9_.]{6}", "<input>"),
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,}", "<time>"),
        (r"[0-9]:[0-9]{2}:[0-9]{2}\.[0-9]+", "<took>"),
        (r"0x[0-9a-f]+", "<address>"),
        (r"\btmp[a-z0-9_]{8}\b", "<temporary>"),
        (r"ansible-(tmp|local)-[0-9.]+[-a-z0-9_]*", "<temporary>"),
        (r"ansible_[a-z_.]+_payload_[a-z0-9_]{8}", "<temporary>"),
        (r"pytest-of-[a-z]+/pytest-[0-9]+", "<temporary>"),
        // How long it took to become ready differs, too.
        (r#""(mtime|ctime|atime|inode|dev)": [0-9.]+"#, "<by chance>"),
        (r"BECOME-SUCCESS-[a-z]{32}", "<key>"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pytest_modules_come_to_the_same_in_forks_of_a_process_that_is_up() {
    let keep = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for fast in [false, true] {
        let Some(mut scene) = Scene::with(fast.then(|| keep.path())).await else { return };
        scene.container.sh("useradd -m bob; echo 1 > /tmp/one").await;
        let mut told = told(&mut scene).await;
        for way in ["way", "forked way"] {
            let way = told.as_object_mut().unwrap().remove(way).unwrap();
            assert_eq!(way.as_str().unwrap().contains("serve_ansible"), fast, "{way}");
        }
        let pretty = serde_json::to_string_pretty(&told).unwrap();
        all.push(without_chance(&pretty, &scene));
    }
    let differ: Vec<_> =
        all[0].lines().zip(all[1].lines()).filter(|(plain, fast)| plain != fast).take(20).collect();
    assert_eq!(differ, []);
    assert_eq!(all[0].lines().count(), all[1].lines().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pytest_a_process_for_modules_that_ends_is_told_and_has_a_successor() {
    let keep = tempfile::tempdir().unwrap();
    let Some(mut scene) = Scene::with(Some(keep.path())).await else { return };
    let checks = r#"
import pytest
testinfra_hosts = ["ansible://app"]

def test_end(host):
    parent = "{{ lookup('pipe', 'sed -n s/^PPid:.//p /proc/$PPID/status') }}"
    first = host.ansible("debug", "msg=" + parent)["msg"]
    assert host.ansible("debug", "msg=" + parent)["msg"] == first
    with pytest.raises(RuntimeError, match="has ended"):
        host.ansible("debug", "msg={{ lookup('pipe', 'kill -9 ' ~ pid ~ '; sleep 1') }}", extra_vars={"pid": first})
    assert host.ansible("debug", "msg=" + parent)["msg"] != first
    assert host.ansible("ping")["ping"] == "pong"
"#;
    scene.write("tests/test_end.py", checks);
    let mut session = scene.session();
    // What is killed leaves its temporary directory there.
    session.env.retain(|(name, _)| name != "HOME");
    session.env.push(("HOME".to_owned(), scene.root.path().display().to_string()));
    let verified = scene.verify(&session).await;
    let checks = scene.checks();
    assert_eq!(verified.unwrap_or_else(|error| panic!("{error} {checks:#?}")).passed, 1, "{checks:#?}");
}
