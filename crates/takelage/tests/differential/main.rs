//! takelage beside stock `ansible-playbook` and `pytest`: the same playbook and the same checks must give the same.
//!
//! Both sides begin with a container of [`BASE`], one made by takelage and one by `docker run`. The stock programs
//! reach theirs by `community.docker.docker` and testinfra's `docker://`. What is compared: every result that a
//! callback sees, in order; every variable that a task registered; all files of both containers; what was fetched
//! to this host; everything that testinfra says about one and the same container. What may differ is listed in
//! `normalise.rs` and `filesystem.rs`, each with its reason.
#![expect(
    clippy::unwrap_used,
    reason = "outside of `#[test]` functions clippy does not see that all of this is tests"
)]
#![expect(clippy::print_stdout, reason = "a test that passes says how much it compared")]

mod difference;
mod filesystem;
mod normalise;
mod results;
mod side;
#[path = "../support/stock.rs"]
mod stock;
mod unit;

use difference::Differences;
use side::{Mode, Side};

/// An image with systemd, Python, sudo and what testinfra needs, made by `.ci/setup`.
const BASE: &str = "takelage-difftest/base:bookworm";

/// Starts both sides, or says why they cannot be.
fn sides() -> Result<[Side; 2], String> {
    side::possible()?;
    normalise::begin();
    Ok(std::thread::scope(|scope| {
        let ours = scope.spawn(Side::ours);
        let stock = Side::stock();
        [ours.join().unwrap(), stock]
    }))
}

/// Runs the playbook on both sides at once and compares all results. Returns how many were compared.
fn play(sides: &[Side; 2], mode: Mode, differences: &mut Differences) -> usize {
    let [ours, stock] = std::thread::scope(|scope| {
        sides.each_ref().map(|side| scope.spawn(move || side.play(mode))).map(|thread| thread.join().unwrap())
    });
    results::compare(&ours, &stock, mode, differences)
}

#[test]
fn docker_ansible_a_check_tells_the_same_and_changes_nothing() {
    let sides = match sides() {
        Ok(sides) => sides,
        Err(reason) => takelage_testkit::skip!("{reason}"),
    };
    let mut differences = Differences::default();
    let compared = play(&sides, Mode::Check, &mut differences);
    let [ours, stock] = sides.each_ref().map(Side::files);
    differences.files("after the check", &ours, &stock);
    differences.end(&format!("{compared} results and {} files", ours.len()));
}

#[test]
fn docker_ansible_results_files_and_checks_are_the_same() {
    let sides = match sides() {
        Ok(sides) => sides,
        Err(reason) => takelage_testkit::skip!("{reason}"),
    };
    let mut differences = Differences::default();
    let first = play(&sides, Mode::First, &mut differences);
    let again = play(&sides, Mode::Again, &mut differences);
    let [ours, stock] = sides.each_ref().map(Side::files);
    differences.files("in the container", &ours, &stock);
    let [fetched, stock_fetched] = sides.each_ref().map(Side::fetched);
    differences.files("on this host", &fetched, &stock_fetched);
    // One container, so that every value is comparable.
    let [values, stock_values] = sides[0].values();
    let told = difference::leaves(&stock_values);
    differences.values("testinfra", &values, &stock_values);
    differences.end(&format!(
        "{first} and {again} results, {} files, {} fetched files and {told} values of testinfra",
        ours.len(),
        fetched.len()
    ));
}
