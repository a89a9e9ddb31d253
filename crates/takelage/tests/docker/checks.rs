//! `test`: the image as its users run it, and what becomes of a container in which a check failed.

use insta::assert_snapshot;

use crate::{
    daemon::{BASE, can, docker},
    harbour::Harbour,
    need_everything,
};

#[test]
fn docker_the_images_own_command_runs() {
    need_everything!();
    let file = format!(
        "name: e2e-own\nimages:\n  \
         app:\n    from: {BASE}\n    playbook: app.yml\n    tests: tests\n    container: {{command: [sleep, '77']}}\n    \
         config: {{entrypoint: [sleep], cmd: ['123456'], user: nobody, workdir: /harbour, env: {{BERTH: '7'}}}}\n  \
         ends:\n    from: {BASE}\n    tests: tests\n    config: {{cmd: [sh, -c, 'echo no wind; exit 4']}}\n"
    );
    let harbour = Harbour::with_file("e2e-own", &file);
    harbour.write(
        "tests/test_app.py",
        "\
def test_own(host):
    assert host.file('/proc/1/cmdline').content == b'sleep\\x00123456\\x00'
    assert host.check_output('whoami; pwd; echo $BERTH') == 'nobody\\n/harbour\\n7'
",
    );
    let run = harbour.run(&["test", "--jobs", "1"]);
    assert_snapshot!(run, @r#"
    status: 1
    --- stderr ---
    e2e-own: test app, ends with docker [VERSION], because it answers (takelage 0.1.0)
    app: resolve ...
    app: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-own-[PLACE]-app-produce-[ID])
    app: prepare ...
    app: prepare: skipped (/usr/bin/python3 is there)
    app: converge ...
    app: converge: changed: write the greeting
    app: converge: changed: open the harbour
    app: converge: done in [TIME] (2 tasks, 2 changed)
    app: commit ...
    app: commit: done in [TIME] ([ID])
    app: tag ...
    app: tag: done in [TIME]
    app: image [ID] ([SIZE])
    ends: resolve ...
    ends: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    ends: create ...
    ends: create: done in [TIME] (takelage-e2e-own-[PLACE]-ends-produce-[ID])
    ends: commit ...
    ends: commit: done in [TIME] ([ID])
    ends: tag ...
    ends: tag: done in [TIME]
    ends: image [ID] ([SIZE])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-own-[PLACE]-app-test-[ID])
    app: verify ...
    app: verify: done in [TIME] (1 passed)
    ends: create ...
    error: ends: create failed after [TIME]: the command of image `ends` ended with status 4 before anything could be checked; it said
          no wind

    hint: give the image a command that stays, with `config: {cmd: …}`, or remove `tests:`

    image  step      result  took  details
    app    resolve   done  [TIME]
           create    done  [TIME]
           prepare   skipped
           converge  done  [TIME]  2 tasks: 2 changed
           commit    done  [TIME]
           tag       done  [TIME]
           create    done  [TIME]
           verify    done  [TIME]  1 check: 1 passed
    ends   resolve   done  [TIME]
           create    done  [TIME]
           commit    done  [TIME]
           tag       done  [TIME]
           create    failed  [TIME]

    app   [ID]  [SIZE]
    ends  [ID]  [SIZE]

    failed: ends: create: the command of image `ends` ended with status 4 before anything could be checked; it said

    e2e-own: test failed after [TIME] (2 images produced; 2 tasks: 2 changed; 1 check: 1 passed)
    "#);
    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_a_container_that_failed_stays_if_wanted_until_the_next_run() {
    need_everything!();
    let harbour = Harbour::new("e2e-failed");
    let right = fs_err::read_to_string(harbour.root().join("tests/test_app.py")).unwrap();
    harbour.write("tests/test_app.py", &right.replace("== 'ahoy", "== 'avast"));
    let junit = harbour.directory().join("checks.xml");
    let run = harbour.run(&["test", "--on-failure", "remove", "--junit", junit.to_str().unwrap()]);
    assert_snapshot!(run, @r#"
    status: 1
    --- stderr ---
    e2e-failed: test app with docker [VERSION], because it answers (takelage 0.1.0)
    app: resolve ...
    app: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-failed-[PLACE]-app-produce-[ID])
    app: prepare ...
    app: prepare: skipped (/usr/bin/python3 is there)
    app: converge ...
    app: converge: changed: write the greeting
    app: converge: changed: open the harbour
    app: converge: done in [TIME] (2 tasks, 2 changed)
    app: commit ...
    app: commit: done in [TIME] ([ID])
    app: tag ...
    app: tag: done in [TIME] (takelage-e2e/e2e-failed:1)
    app: image [ID] ([SIZE]): takelage-e2e/e2e-failed:1
    app: create ...
    app: create: done in [TIME] (takelage-e2e-failed-[PLACE]-app-test-[ID])
    app: verify ...
    error: app: verify: check failed: tests/test_app.py::test_greeting[takelage://app]
        at tests/test_app.py:1
        host = <testinfra.host.Host takelage://app>

            def test_greeting(host):
        >       assert host.file('/greeting').content_string == 'avast\n'
        E       AssertionError: assert 'ahoy\n' == 'avast\n'
        E
        E         - avast
        E         + ahoy

        tests/test_app.py:2: AssertionError
    error: app: verify failed after [TIME]: 1 of 1 checks failed
    note: the container of `app` that failed is removed

    hint: keep it with `--on-failure keep`, or work in one with `takelage develop app`

    image  step      result  took  details
    app    resolve   done  [TIME]
           create    done  [TIME]
           prepare   skipped
           converge  done  [TIME]  2 tasks: 2 changed
           commit    done  [TIME]
           tag       done  [TIME]
           create    done  [TIME]
           verify    failed  [TIME]  1 check: 1 failed

    app  [ID]  [SIZE]  takelage-e2e/e2e-failed:1

    failed: app: verify: tests/test_app.py::test_greeting[takelage://app] (tests/test_app.py:1)

    e2e-failed: test failed after [TIME] (1 image produced; 2 tasks: 2 changed; 1 check: 1 failed)
    "#);
    harbour.assert_nothing_remains_but(&[]);
    let report = fs_err::read_to_string(junit).unwrap();
    assert!(report.contains("failures=\"1\"") && report.contains("test_greeting"), "{report}");

    let run = harbour.run(&["test", "--on-failure", "keep"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("takelage shell --failed app"), "{run}");
    let kept = harbour.containers();
    assert_eq!(kept.len(), 1);
    harbour.assert_nothing_remains_but(&kept);
    let shell = harbour.run(&["shell", "--failed", "app", "--", "cat", "/greeting"]);
    assert_eq!((shell.status, shell.stdout.as_str(), shell.stderr.as_str()), (Some(0), "ahoy\n", ""));
    harbour.run(&["list"]);
    harbour.assert_nothing_remains_but(&kept);

    harbour.write("tests/test_app.py", &right);
    harbour.succeed(&["test"]);
    harbour.assert_nothing_remains_but(&[]);
    assert!(!can(&["inspect", &kept[0]]));
    let none = harbour.run(&["shell", "--failed", "--", "true"]);
    assert_snapshot!(none, @r#"
    status: 2
    --- stderr ---
    error: there is no container of `app` yet

    hint: create it with `takelage develop app` or `takelage converge app`
    "#);
}

#[test]
fn docker_a_published_image_runs_with_docker_alone() {
    need_everything!();
    let harbour = Harbour::new("e2e-alone");
    harbour.succeed(&["produce"]);
    assert_eq!(docker(&["run", "--rm", "takelage-e2e/e2e-alone:1", "cat", "/greeting"]), "ahoy");
}
