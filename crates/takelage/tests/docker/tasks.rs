//! A task that fails: what is told, where, and what is never told.

use std::path::Path;

use insta::assert_snapshot;

use crate::{harbour::Harbour, need_everything};

#[test]
fn docker_a_failing_task_says_where_and_why() {
    need_everything!();
    let harbour = Harbour::new("e2e-task");
    harbour.tasks(
        "- name: cast off\n  ansible.builtin.shell: echo pulling; echo rope is stuck >&2; exit 7\n\
         - name: never reached\n  ansible.builtin.command: 'true'",
    );
    let run = harbour.run(&["produce"]);
    assert_snapshot!(run, @r#"
    status: 1
    --- stderr ---
    e2e-task: produce app with docker [VERSION], because it answers (takelage 0.1.0)
    app: resolve ...
    app: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-task-[PLACE]-app-produce-[ID])
    app: prepare ...
    app: prepare: skipped (/usr/bin/python3 is there)
    app: converge ...
    error: app: converge: task failed: cast off
        at app.yml:5 (ansible.builtin.shell)
        non-zero return code
        exit status 7
        stdout:
            pulling
        stderr:
            rope is stuck
    error: app: converge failed after [TIME]: task `cast off` (app.yml:5) failed on `app`: non-zero return code
    note: the container of `app` that failed is removed

    hint: keep it with `--on-failure keep`, or work in one with `takelage develop app`

    image  step      result  took  details
    app    resolve   done  [TIME]
           create    done  [TIME]
           prepare   skipped
           converge  failed  [TIME]  1 task: 1 failed

    failed: app: converge: cast off (app.yml:5)

    e2e-task: produce failed after [TIME] (1 task: 1 failed)
    "#);
    let failed =
        run.events.iter().find(|event| event["event"] == "task_result" && event["status"] == "failed");
    let failed = failed.unwrap();
    assert_eq!((&failed["task"]["name"], &failed["task"]["path"]), (&"cast off".into(), &"app.yml:5".into()));
    let output = &failed["output"];
    assert_eq!(
        (&output["stdout"], &output["stderr"], &output["status"]),
        (&"pulling".into(), &"rope is stuck".into(), &7.into())
    );
    assert_eq!(run.events.last().unwrap()["exit"], "failed");
    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_a_playbook_that_is_none_says_where() {
    need_everything!();
    let harbour = Harbour::new("e2e-syntax");
    harbour.tasks("- name: cast off\n  ansible.builtin.nosuchmodule: {}");
    let run = harbour.run(&["converge"]);
    // What is wrong there are Ansible's own words.
    let said = ["app: converge: app.yml:5:7: ", "nosuchmodule", "takelage shell app"];
    assert!(run.status == Some(1) && said.iter().all(|words| run.stderr.contains(words)), "{run}");
}

#[test]
fn docker_what_no_log_hides_is_nowhere() {
    need_everything!();
    let canary = "sEcr3t-canary-4711";
    let mut harbour = Harbour::new("e2e-secret");
    harbour.set("HARBOUR_SECRET", canary);
    harbour.tasks(
        "- name: hide\n  ansible.builtin.shell: 'echo {{ lookup(\"env\", \"HARBOUR_SECRET\") }}; exit {{ item }}'\n  \
         loop: [0, 1]\n  no_log: true\n  ignore_errors: true\n\
         - name: hide and fail\n  no_log: true\n  ansible.builtin.command:\n    \
         argv: [sh, -c, 'echo $0 >&2; exit 1', '{{ lookup(\"env\", \"HARBOUR_SECRET\") }}']",
    );
    let junit = harbour.directory().join("junit.xml");
    let run = harbour.run(&["-vvv", "test", "--on-failure", "keep", "--junit", junit.to_str().unwrap()]);
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.stderr.contains("hide and fail"), "{run}");
    let found: Vec<_> = files(harbour.directory())
        .into_iter()
        .filter(|path| {
            let content = fs_err::read(path).unwrap();
            content.windows(canary.len()).any(|window| window == canary.as_bytes())
        })
        .collect();
    assert_eq!(found, Vec::<std::path::PathBuf>::new(), "{run}");
}

/// Everything that was written: streams, events, reports, cache, home and temporary files.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}
