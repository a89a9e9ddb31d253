//! What users see where no engine is needed, or none answers: words, exit statuses, standard output.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its own work fails")]

#[path = "../support/mod.rs"]
mod support;

mod engine;
mod help;
mod printing;
mod project_file;

use support::TestProject;

/// A project with one image that is right in every way.
fn right() -> TestProject {
    TestProject::new()
        .with("takelage.yml", "images:\n  app:\n    from: debian:bookworm-slim\n    playbook: app.yml\n")
        .with("app.yml", "- hosts: all\n  tasks: []\n")
}
