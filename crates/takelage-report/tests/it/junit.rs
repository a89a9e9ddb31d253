//! What CI systems read.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use insta::assert_snapshot;
use takelage_model::event::Event;
use takelage_report::Junit;

use crate::streams;

fn report(events: &[Event]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/on/demand/report.xml");
    let mut junit = Junit::new(&path);
    for event in events {
        junit.handle(event);
    }
    junit.finish().unwrap();
    fs_err::read_to_string(path).unwrap()
}

#[test]
fn checks_are_cases_as_in_the_report_of_pytest() {
    assert_snapshot!(report(&streams::failing_check()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="harbour" tests="5" skipped="1" failures="1" errors="1" timestamp="2026-01-02T03:04:05.000+00:00" time="12.000">
        <testsuite name="app.verify" tests="5" skipped="1" errors="1" failures="1" timestamp="2026-01-02T03:04:06.500+00:00" time="2.300">
            <testcase name="test_user" classname="tests.test_app" time="0.120"/>
            <testcase name="test_port[app]" classname="tests.test_app" time="0.120">
                <failure message="assert False">    def test_port(host):
    &gt;       assert host.socket(&apos;tcp://80&apos;).is_listening
    E       assert False
    </failure>
                <system-out>connecting
    </system-out>
            </testcase>
            <testcase name="test_db" classname="tests.test_app" time="0.120">
                <error message="fixture &apos;db&apos; not found">E   fixture &apos;db&apos; not found</error>
            </testcase>
            <testcase name="test_old" classname="tests.test_app" time="0.120">
                <skipped message="known"/>
            </testcase>
            <testcase name="test_new" classname="tests.test_app" time="0.120"/>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn checks_that_did_not_run_again_say_so() {
    assert_snapshot!(report(&streams::cached_checks()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="harbour" tests="2" skipped="1" failures="0" errors="0" timestamp="2026-01-02T03:04:05.000+00:00" time="7.500">
        <testsuite name="app.verify" tests="2" skipped="1" errors="0" failures="0" timestamp="2026-01-02T03:04:06.500+00:00" time="2.300">
            <testcase name="test_user" classname="tests.test_app" time="0.120">
                <properties>
                    <property name="cached" value="true"/>
                </properties>
            </testcase>
            <testcase name="test_old" classname="tests.test_app" time="0.120">
                <properties>
                    <property name="cached" value="true"/>
                </properties>
                <skipped message="known"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn failed_tasks_are_errors() {
    assert_snapshot!(report(&streams::failing_task()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="harbour" tests="1" skipped="0" failures="0" errors="1" timestamp="2026-01-02T03:04:05.000+00:00" time="12.000">
        <testsuite name="app.converge" tests="1" skipped="0" errors="1" failures="0" time="2.300">
            <testcase name="nginx : install" classname="ansible.builtin.apt" time="0.840">
                <error message="No package matching &apos;ngnix&apos; is available" type="ansible.builtin.apt">failed on app
    roles/nginx/tasks/main.yml:12
    No package matching &apos;ngnix&apos; is available</error>
                <system-out>Reading package lists...

    Building tree...
    </system-out>
                <system-err>E: Unable to locate package ngnix
    </system-err>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn steps_that_fail_or_are_given_up_are_errors() {
    assert_snapshot!(report(&streams::failing_step()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="harbour" tests="1" skipped="0" failures="0" errors="1" timestamp="2026-01-02T03:04:05.000+00:00" time="9.000">
        <testsuite name="slim.bootstrap" tests="1" skipped="0" errors="1" failures="0" time="2.300">
            <testcase name="bootstrap" classname="slim.bootstrap" time="2.300">
                <error message="`dpkg --configure -a` ended with status 1"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
    assert_snapshot!(report(&streams::interrupted()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="harbour" tests="2" skipped="0" failures="0" errors="2" timestamp="2026-01-02T03:04:05.000+00:00" time="15.000">
        <testsuite name="web.converge" tests="1" skipped="0" errors="1" failures="0" time="2.300">
            <testcase name="converge" classname="web.converge" time="2.300">
                <error message="interrupted"/>
            </testcase>
        </testsuite>
        <testsuite name="db.converge" tests="1" skipped="0" errors="1" failures="0" time="2.300">
            <testcase name="converge" classname="db.converge" time="2.300">
                <error message="interrupted"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn the_report_replaces_its_predecessor_and_is_the_only_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.xml");
    fs_err::write(&path, "old").unwrap();
    let mut junit = Junit::new(&path);
    for event in streams::every_kind() {
        junit.handle(&event);
    }
    junit.finish().unwrap();
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(quick_junit::Report::deserialize_from_str(&text).is_ok(), "{text}");
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    let usual = directory.path().join("usual");
    fs_err::write(&usual, "").unwrap();
    let mode = |path| fs_err::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(path), mode(usual));
}

#[test]
fn links_are_followed_and_a_pipe_is_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let write = |name: &str| {
        let mut junit = Junit::new(path(name));
        for event in streams::failing_check() {
            junit.handle(&event);
        }
        junit.finish().unwrap();
    };
    fs_err::write(path("report.xml"), "old").unwrap();
    fs_err::os::unix::fs::symlink("report.xml", path("link")).unwrap();
    write("link");
    assert!(path("link").is_symlink());
    let report = fs_err::read_to_string(path("report.xml")).unwrap();

    // As of `/dev/stdout`, which nobody may replace.
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let pipe = path("pipe");
    let reader = std::thread::spawn(move || fs_err::read_to_string(pipe).unwrap());
    write("pipe");
    assert_eq!(reader.join().unwrap(), report);
}
