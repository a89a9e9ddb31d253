//! What a playbook did, folded from the reports of its run.

use std::collections::HashMap;

use takelage_model::event::{Task, TaskOutput, TaskStatus, Totals};

use super::{AnsibleError, FailedTask};
use crate::bridge::{Failure, Report};

/// What a playbook did that ran to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Converged {
    /// Ansible's totals over all hosts.
    pub totals: Totals,
    /// The tasks that changed something, in order; what idempotence must not find.
    pub changed: Vec<ChangedTask>,
}

/// A task that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTask {
    /// The task's name.
    pub task: String,
    /// `FILE:LINE`, relative to the project where it lies inside.
    pub path: String,
    /// The inventory's host.
    pub host: String,
}

/// A task that ended badly on a host.
#[derive(Debug)]
struct Bad {
    task: Task,
    host: String,
    item: Option<String>,
    status: TaskStatus,
    output: TaskOutput,
}

/// The fold.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    converged: Converged,
    bad: Option<Bad>,
    /// The last failed item per task and host: its result says more than the sum over the loop.
    items: HashMap<(String, String), Bad>,
    failure: Option<Failure>,
    plays: u64,
    empty: Vec<(String, Vec<String>, Vec<String>)>,
}

impl Ledger {
    pub(super) fn add(&mut self, report: Report) {
        match report {
            Report::Play { .. } => self.plays += 1,
            Report::NoHosts { pattern, hosts, groups } => self.empty.push((pattern, hosts, groups)),
            Report::Result { task, host, item, status, output, .. } => {
                self.result(task, host, item, status, output);
            }
            Report::Recap { totals, .. } => self.total(totals),
            Report::Failure(failure) => self.failure = Some(failure),
            _ => {}
        }
    }

    fn result(
        &mut self,
        task: Task,
        host: String,
        item: Option<String>,
        status: TaskStatus,
        output: TaskOutput,
    ) {
        let bad = matches!(status, TaskStatus::Failed | TaskStatus::Unreachable);
        if item.is_some() {
            if bad {
                let key = (task.id.clone(), host.clone());
                self.items.insert(key, Bad { task, host, item, status, output });
            }
            return;
        }
        let item = self.items.remove(&(task.id.clone(), host.clone()));
        if bad {
            // The first failure is the cause; later ones are of other hosts, or of an `always` section.
            let bad = item.unwrap_or(Bad { task, host, item: None, status, output });
            self.bad.get_or_insert(bad);
        } else if status == TaskStatus::Changed {
            self.converged.changed.push(ChangedTask { task: task.name, path: task.path, host });
        }
    }

    fn total(&mut self, totals: Totals) {
        let sum = &mut self.converged.totals;
        sum.ok += totals.ok;
        sum.changed += totals.changed;
        sum.unreachable += totals.unreachable;
        sum.failed += totals.failed;
        sum.skipped += totals.skipped;
        sum.rescued += totals.rescued;
        sum.ignored += totals.ignored;
    }

    /// Returns what was done, whatever came of it.
    pub(super) fn converged(self) -> Converged {
        self.converged
    }

    /// Says how the run ended. `status` describes the program's end; `success` is whether it ended with 0.
    pub(super) fn close(
        self,
        success: bool,
        status: String,
        stderr: String,
    ) -> Result<Converged, AnsibleError> {
        if let Some(Bad { task, host, item, status, output }) = self.bad {
            return Err(match status {
                TaskStatus::Unreachable => AnsibleError::Unreachable {
                    task: task.name,
                    path: task.path,
                    host,
                    message: output.message,
                },
                _ => AnsibleError::Failed(Box::new(FailedTask {
                    task: task.name,
                    action: task.action,
                    path: task.path,
                    host,
                    item,
                    message: output.message,
                    stdout: output.stdout,
                    stderr: output.stderr,
                    status: output.status,
                })),
            });
        }
        if let Some(failure) = self.failure {
            // Everything Ansible raises by itself is about its input; what is about itself has other classes.
            let ansibles = failure.class.starts_with("Ansible") && failure.class != "AnsibleCallbackError";
            if ansibles {
                let Failure { message, file, line, column, .. } = failure;
                return Err(AnsibleError::Syntax { file, line, column, message });
            }
            let message = format!("{}: {}", failure.class, failure.message);
            return Err(AnsibleError::Crashed { status, message, stderr });
        }
        if !success {
            let message =
                stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
            return Err(AnsibleError::Crashed { status, message, stderr });
        }
        if self.plays == 0
            && let Some((_, hosts, groups)) = self.empty.first()
        {
            let patterns: Vec<_> = self.empty.iter().map(|(pattern, ..)| pattern.as_str()).collect();
            return Err(AnsibleError::NoHosts {
                pattern: patterns.join("`, `"),
                hosts: quoted(hosts),
                groups: quoted(groups),
            });
        }
        Ok(self.converged)
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(item: Option<&str>, status: TaskStatus, message: &str) -> Report {
        Report::Result {
            task: Task {
                id: "t".into(),
                name: "install".into(),
                action: "apt".into(),
                path: "site.yml:4".into(),
                handler: false,
            },
            host: "app".into(),
            item: item.map(str::to_owned),
            status,
            output: TaskOutput { message: message.into(), ..TaskOutput::default() },
            took: 0.0,
        }
    }

    fn close(reports: impl IntoIterator<Item = Report>, success: bool) -> Result<Converged, AnsibleError> {
        let mut ledger = Ledger::default();
        reports.into_iter().for_each(|report| ledger.add(report));
        ledger.close(success, "exit status 2".into(), String::new())
    }

    #[test]
    fn a_failed_item_says_more_than_its_loop() {
        let reports = [
            result(Some("vim"), TaskStatus::Failed, "no package vim"),
            result(None, TaskStatus::Failed, "One or more items failed"),
        ];
        let Err(AnsibleError::Failed(failed)) = close(reports, false) else { panic!("it failed") };
        assert_eq!((failed.message.as_str(), failed.item.as_deref()), ("no package vim", Some("vim")));
    }

    #[test]
    fn rescued_and_ignored_failures_are_none_and_items_do_not_count_twice() {
        let reports = [
            result(None, TaskStatus::Rescued, "x"),
            result(None, TaskStatus::Ignored, "x"),
            result(Some("a"), TaskStatus::Changed, ""),
            result(None, TaskStatus::Changed, ""),
        ];
        assert_eq!(close(reports, true).unwrap().changed.len(), 1);
    }

    #[test]
    fn a_playbook_without_hosts_names_what_there_is() {
        let play =
            Report::NoHosts { pattern: "web".into(), hosts: vec!["app".into()], groups: vec!["all".into()] };
        let error = close([play], true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no host matches `web`: there are the hosts `app` and the groups `all`"
        );
        assert!(error.is_users());
    }

    #[test]
    fn what_ansible_raises_itself_is_told_with_its_place() {
        let failure = Failure {
            class: "AnsibleParserError".into(),
            message: "conflicting action statements".into(),
            file: Some("site.yml".into()),
            line: Some(3),
            column: Some(7),
        };
        let error = close([Report::Failure(failure)], false).unwrap_err();
        assert_eq!(error.to_string(), "site.yml:3:7: conflicting action statements");
    }
}
