//! What makes Ansible fast, and that nothing of it shows.

use takelage_model::event::{EventKind, TaskStatus};
use takelage_python::ansible::AnsibleError;

use crate::scene::Scene;

/// Says how many warm interpreters run in the container.
const ZYGOTES: &str = "grep -la 'compile(r(int(r[(]8' /proc/[0-9]*/cmdline 2>/dev/null | wc -l";

/// Returns every result with what it says, without what is different each time.
fn told(events: &[EventKind]) -> Vec<(String, TaskStatus, String, String, String)> {
    let told = events.iter().filter_map(|event| match event {
        EventKind::TaskResult { task, item, status, output, .. } => Some((
            format!("{} {item:?}", task.name),
            *status,
            output.message.clone(),
            output.stdout.clone(),
            output.stderr.clone(),
        )),
        _ => None,
    });
    told.collect()
}

/// Tasks whose output shows what a module finds around itself.
const TASKS: &str = r#"
    - name: all around
      ansible.builtin.shell: env | sed 's/SUCCESS-[a-z]*/SUCCESS/' | grep -v ^HOSTNAME | sort; pwd; umask; ulimit -a; cat; readlink /proc/self/fd/0 | tr -d '[0-9]'; kill -l | head -1; grep Sig[BIC] /proc/self/status
      changed_when: false
    - name: with variables
      ansible.builtin.shell: env | sed 's/SUCCESS-[a-z]*/SUCCESS/' | grep -v ^HOSTNAME | sort
      environment: {FOO: "a 'b' $c", BAR: ""}
    - name: as somebody else
      ansible.builtin.shell: id; env | sed 's/SUCCESS-[a-z]*/SUCCESS/' | grep -v ^HOSTNAME | sort; pwd
      become: true
      become_user: nobody
    - name: the same again
      ansible.builtin.command: id
      become: true
      become_user: nobody
    - name: a loop
      ansible.builtin.copy: {content: "{{ item }}", dest: "/tmp/{{ item }}"}
      loop: [one, two]
    - name: a script of its own
      noisy: {}
      ignore_errors: true
    - name: a script that leaves much to its end
      late: {}
    - name: what came of it
      ansible.builtin.shell: cat /tmp/late; ls /tmp | grep late-; cat /tmp/late-unwritten
    - name: a new user
      ansible.builtin.user: {name: zed}
    - name: is known
      ansible.builtin.command: id -un zed
    - name: a group and its member
      ansible.builtin.shell: groupadd crew && usermod -aG crew zed && id -nG zed
    - name: a failure
      ansible.builtin.command: /no/such/program
      ignore_errors: true
    - name: a lookup
      ansible.builtin.debug: {msg: "{{ lookup('pipe', 'echo out; readlink /proc/self/fd/2 | tr -d 0-9') }}"}
"#;

/// A module that leaves in a disorderly way.
const NOISY: &str = r#"#!/usr/bin/python3
import atexit, sys
from ansible.module_utils.basic import AnsibleModule
atexit.register(lambda: sys.stdout.write("at the end\n"))
AnsibleModule(argument_spec={})
print(sys.argv, __name__, repr(sys.stdin.read()))
raise ValueError("as planned")
"#;

/// A module that leaves to the end of its interpreter what nothing else sees to.
const LATE: &str = r#"#!/usr/bin/python3
import atexit, tempfile, threading, time
from ansible.module_utils.basic import AnsibleModule

def note(word, open=open):
    with open("/tmp/late", "a") as file:
        file.write(word + "\n")

class Circle:
    def __init__(self):
        self.itself = self
        self.note = note
    def __del__(self):
        self.note("collected")

def after():
    time.sleep(0.3)
    note("thread")

circle = Circle()
unwritten = open("/tmp/late-unwritten", "w")
unwritten.write("unwritten\n")
temporary = tempfile.NamedTemporaryFile(prefix="late-", dir="/tmp")
atexit.register(note, "atexit")
threading.Thread(target=after).start()
AnsibleModule(argument_spec={}).exit_json(msg="begun")
"#;

/// Cuts out the random part of the path of a module's archive.
fn without_chance(text: &str) -> String {
    let words = text.split_inclusive(['/', ' ', '"', '=']);
    words.filter(|word| !word.starts_with("ansible_noisy_payload_") && !word.contains("-tmp-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_a_warm_interpreter_is_like_a_new_one() {
    let keep = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for fast in [false, true] {
        let Some(mut scene) = Scene::with(fast.then(|| keep.path())).await else { return };
        scene.write("library/noisy.py", NOISY);
        scene.write("library/late.py", LATE);
        let ran = scene.tasks(TASKS).await.unwrap();
        assert_eq!(ran.totals.failed, 0);
        assert_eq!(scene.container.sh(ZYGOTES).await.trim() != "0", fast);
        let told = told(&scene.reported());
        let Scene { container, bridge, .. } = scene;
        bridge.close().await;
        assert_eq!(container.sh(ZYGOTES).await.trim(), "0", "something is left in the container");
        all.push(told);
    }
    let [plain, fast] = [&all[0], &all[1]];
    assert_eq!(plain.len(), fast.len());
    let late = plain.iter().find(|result| result.0.starts_with("what came of it")).unwrap();
    assert_eq!(
        late.3.lines().collect::<Vec<_>>(),
        ["thread", "atexit", "collected", "late-unwritten", "unwritten"]
    );
    for (plain, fast) in plain.iter().zip(fast) {
        let [before, after] = [plain, fast].map(|(name, status, message, stdout, stderr)| {
            (name, status, without_chance(message), without_chance(stdout), without_chance(stderr))
        });
        assert_eq!(before, after);
    }
    let kept = fs_err::read_dir(keep.path().join("v1")).unwrap().count();
    assert!(kept > 20, "only {kept} files are remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_the_interpreter_of_the_run_before_starts_by_itself() {
    let keep = tempfile::tempdir().unwrap();
    let Some(scene) = Scene::with(Some(keep.path())).await else { return };
    let idle = "    - ansible.builtin.debug:\n";
    scene.tasks(idle).await.unwrap();
    assert_eq!(scene.container.sh(ZYGOTES).await.trim(), "0");
    scene.tasks("    - ansible.builtin.ping:\n").await.unwrap();
    let scene = scene.next_run(keep.path()).await;
    assert_eq!(scene.container.sh(ZYGOTES).await.trim(), "0");
    scene.tasks(idle).await.unwrap();
    // Nobody has waited for it.
    scene.container.sh(&format!("until [ $({ZYGOTES}) != 0 ]; do sleep 0.1; done")).await;
    let Scene { container, bridge, .. } = scene;
    bridge.close().await;
    assert_eq!(container.sh(ZYGOTES).await.trim(), "0", "something is left in the container");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_what_a_role_brings_counts_at_once() {
    let keep = tempfile::tempdir().unwrap();
    let Some(mut scene) = Scene::with(Some(keep.path())).await else { return };
    let module = "from ansible.module_utils.basic import AnsibleModule\nfrom ansible.module_utils.mine import WORD\n\
                  AnsibleModule(argument_spec={}).exit_json(msg=WORD)\n";
    scene.write("library/say.py", module);
    for word in ["first", "second"] {
        scene.write("module_utils/mine.py", &format!("WORD = {word:?}\n"));
        scene
            .tasks("    - say: {}\n      register: said\n    - assert: {that: said.msg != ''}\n")
            .await
            .unwrap();
        let said: Vec<_> = told(&scene.reported()).into_iter().map(|result| result.2).collect();
        assert_eq!(said[0], word);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_an_interpreter_that_is_killed_fails_the_task_and_no_module_runs_twice() {
    let keep = tempfile::tempdir().unwrap();
    let Some(scene) = Scene::with(Some(keep.path())).await else { return };
    // Named, for older versions of Ansible look around with another interpreter than the one they then use.
    let with = "      vars: {ansible_python_interpreter: /usr/bin/python3}\n";
    let kill = "echo x >> /tmp/runs; kill -9 $(sed -n 's/^PPid:.//p' /proc/$PPID/status); sleep 2";
    let tasks = format!("    - ansible.builtin.shell: {kill}\n{with}");
    let ping = format!("    - ansible.builtin.ping:\n{with}");
    for runs in ["x\n", "x\nx\n", "x\nx\nx\n"] {
        let failed = scene.tasks(&tasks).await;
        let Err(AnsibleError::Unreachable { message, .. }) = failed else { panic!("{failed:?}") };
        assert!(message.contains("has ended"), "{message}");
        assert_eq!(scene.container.sh("cat /tmp/runs").await, runs);
        scene.tasks(&ping).await.unwrap();
        // The module itself goes on without the interpreter that was killed, until it has slept.
        scene.container.sh("while grep -zqs '^2$' /proc/[0-9]*/cmdline; do sleep 0.1; done; sleep 0.5").await;
        // Another one takes its place, but not that of one that breaks down again and again.
        let lives = scene.container.sh(ZYGOTES).await.trim() != "0";
        assert_eq!(lives, runs != "x\nx\nx\n");
    }
}

/// A module that tells where it finds what it imports, and where what it imports finds itself.
const PLACES: &str = r#"#!/usr/bin/python3
import json, os, sys, traceback
from ansible.module_utils import basic
from ansible.module_utils.common import respawn
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing import convert_bool
import ansible.module_utils.six.moves.urllib.parse
try:
    basic.AnsibleModule(argument_spec=7)
except BaseException:
    trace = traceback.format_exc()
own = os.path.dirname(os.path.dirname(os.path.dirname(basic.__file__)))
places = [
    str(getattr(respawn, "_ANSIBLE_PARENT_PATH", own)), trace, repr(sys.modules["ansible"].__path__), repr(basic),
    basic.__spec__.origin, repr(basic.__loader__), sorted(sys.modules["ansible.module_utils.common"].__dict__),
    basic.AnsibleModule.exit_json.__code__.co_filename, sys.modules["ansible.module_utils.six"].__file__,
    to_text is basic.to_text, getattr(convert_bool, "MARK", "none"), repr(sys.meta_path[-1])[:40],
    sorted(name for name in sys.modules if name.startswith("ansible")),
]
print(json.dumps({"msg": json.dumps(places).replace(own, "PLACE")}))
sys.exit(0)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_what_is_imported_ahead_is_like_what_is_imported_anew() {
    let keep = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for fast in [false, true] {
        let Some(mut scene) = Scene::with(fast.then(|| keep.path())).await else { return };
        scene.write("library/places.py", PLACES);
        let tasks = "    - ansible.builtin.ping:\n    - places: {}\n    - places: {}\n";
        scene.tasks(tasks).await.unwrap();
        // What a project puts in the place of Ansible's own counts, and makes nothing else different.
        let own = "MARK = 'own'\nBOOLEANS_TRUE = frozenset([True])\nBOOLEANS_FALSE = frozenset([False])\n\
                   BOOLEANS = BOOLEANS_TRUE | BOOLEANS_FALSE\ndef boolean(value, strict=True):\n    return bool(value)\n";
        scene.write("module_utils/parsing/convert_bool.py", own);
        scene.write("module_utils/parsing/__init__.py", "");
        scene.tasks(tasks).await.unwrap();
        all.push(told(&scene.reported()));
    }
    let messages = |told: &[(String, TaskStatus, String, String, String)]| -> Vec<_> {
        told.iter().map(|result| result.2.clone()).collect()
    };
    let (plain, fast) = (messages(&all[0]), messages(&all[1]));
    assert!(plain[1].contains("PLACE") && plain[4].contains("own"), "{plain:#?}");
    assert_eq!(plain, fast);
}
