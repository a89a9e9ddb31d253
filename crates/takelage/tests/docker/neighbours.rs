//! Two runs at once: of one checkout, and of two checkouts of one project.

use crate::{daemon::docker, harbour::Harbour, need_everything, support::Running};

#[test]
fn docker_two_runs_of_one_checkout() {
    need_everything!();
    let harbour = Harbour::new("e2e-twice");
    let runs = [harbour.start(&["test"]), harbour.start(&["test"])].map(Running::finish);
    for run in &runs {
        assert_eq!(run.status, Some(0), "{run}");
    }
    let waited = runs.iter().filter(|run| run.stderr.contains("another takelage works on `app`")).count();
    assert_eq!(waited, 1);
    harbour.assert_nothing_remains_but(&[]);
    assert_eq!(docker(&["run", "--rm", "takelage-e2e/e2e-twice:1", "cat", "/greeting"]), "ahoy");
}

#[test]
fn docker_two_checkouts_of_one_project() {
    need_everything!();
    let checkouts = [Harbour::new("e2e-checkouts"), Harbour::new("e2e-checkouts")];
    assert_ne!(checkouts[0].id(), checkouts[1].id());
    let runs = [checkouts[0].start(&["develop"]), checkouts[1].start(&["develop"])].map(Running::finish);
    for run in &runs {
        assert_eq!(run.status, Some(0), "{run}");
    }
    for harbour in &checkouts {
        harbour.assert_nothing_remains_but(&[harbour.kept()]);
    }
    checkouts[0].succeed(&["destroy"]);
    checkouts[0].assert_nothing_remains_but(&[]);
    checkouts[1].assert_nothing_remains_but(&[checkouts[1].kept()]);
}
