//! Checks that the crates depend on one another only in the designed directions.
//!
//! `ARCHITECTURE.md` shows the same table as a picture and says why.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata};

use crate::chore::{self, Broken, Finding};

/// Every crate of the workspace, and which others it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("takelage-model", &[]),
    ("takelage-agent", &["takelage-model"]),
    ("takelage-bootstrap", &["takelage-model"]),
    ("takelage-config", &["takelage-model"]),
    ("takelage-engine", &["takelage-model"]),
    ("takelage-report", &["takelage-model"]),
    ("takelage-python", &["takelage-engine", "takelage-model"]),
    (
        "takelage-run",
        &["takelage-bootstrap", "takelage-config", "takelage-engine", "takelage-model", "takelage-python"],
    ),
    (
        "takelage",
        &[
            "takelage-bootstrap",
            "takelage-config",
            "takelage-engine",
            "takelage-model",
            "takelage-python",
            "takelage-report",
            "takelage-run",
        ],
    ),
    ("takelage-testkit", &[]),
    ("xtask", &[]),
];

/// What tests may use besides.
const FOR_TESTS: &str = "takelage-testkit";

/// Crates that must stay free of the async runtime and of what is built on it. A crate that only reads or
/// computes is easier to test, to replay and to link elsewhere.
const SYNCHRONOUS: &[&str] =
    &["takelage-model", "takelage-agent", "takelage-bootstrap", "takelage-config", "takelage-report"];
const ASYNCHRONOUS: &[&str] = &["tokio", "tokio-util", "bollard"];

/// One dependency of a crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
    test: bool,
}

/// Checks the workspace.
pub(crate) fn check() -> Result<Vec<Finding>, Broken> {
    let metadata = chore::metadata()?;
    let members: BTreeSet<_> =
        metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let mut findings = wrong_edges(&members, &edges(&metadata));
    findings.extend(runtime_below_model(&metadata));
    for package in metadata.workspace_packages() {
        if !inherits_lints(&fs_err::read_to_string(&package.manifest_path)?) {
            findings.push(format!("{}: Cargo.toml lacks `[lints] workspace = true`", package.name));
        }
    }
    Ok(findings)
}

fn edges(metadata: &Metadata) -> Vec<Edge> {
    let packages = metadata.workspace_packages();
    let edges = packages.iter().flat_map(|package| {
        package.dependencies.iter().map(|dependency| Edge {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            test: dependency.kind == DependencyKind::Development,
        })
    });
    edges.collect()
}

fn wrong_edges(members: &BTreeSet<String>, edges: &[Edge]) -> Vec<Finding> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut findings: Vec<_> = members
        .iter()
        .filter(|member| !allowed.contains_key(member.as_str()))
        .map(|member| format!("{member}: unknown crate, say in xtask/src/dependencies.rs what it may use"))
        .collect();
    for Edge { from, to, test } in edges {
        let for_tests = *test && to == FOR_TESTS;
        let may = allowed.get(from.as_str()).is_none_or(|allowed| allowed.contains(&to.as_str()));
        if members.contains(to) && !may && !for_tests {
            findings.push(format!("{from} → {to}: this direction is not in the design"));
        }
        if SYNCHRONOUS.contains(&from.as_str()) && ASYNCHRONOUS.contains(&to.as_str()) && !test {
            findings.push(format!("{from} → {to}: {from} stays synchronous"));
        }
    }
    findings
}

/// The vocabulary must not even reach the runtime through others.
fn runtime_below_model(metadata: &Metadata) -> Vec<Finding> {
    let Some(resolve) = &metadata.resolve else { return Vec::new() };
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let mut findings = Vec::new();
    for root in ["takelage-model", "takelage-agent"] {
        let mut open: Vec<_> = nodes.keys().copied().filter(|id| names.get(id) == Some(&root)).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if let Some(name) = names.get(id).filter(|name| ASYNCHRONOUS.contains(name)) {
                findings.push(format!("{root} → … → {name}: {root} stays synchronous"));
            }
            let used = nodes[id].deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            open.extend(used.map(|dependency| &dependency.pkg));
        }
    }
    findings
}

/// Whether a manifest takes its lints from the workspace.
fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.replace(' ', "") == "workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> BTreeSet<String> {
        ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn edge(from: &str, to: &str, test: bool) -> Edge {
        Edge { from: from.into(), to: to.into(), test }
    }

    #[test]
    fn designed_directions_pass() {
        let edges = [
            edge("takelage", "takelage-run", false),
            edge("takelage-run", "takelage-bootstrap", false),
            edge("takelage-python", "takelage-engine", false),
            edge("takelage-python", "takelage-testkit", true),
            edge("takelage-engine", "tokio", false),
            edge("takelage-model", "serde", false),
        ];
        assert_eq!(wrong_edges(&members(), &edges), Vec::<String>::new());
    }

    #[test]
    fn forbidden_directions_are_found() {
        for (from, to) in [
            ("takelage-report", "takelage-run"),
            ("takelage-config", "takelage-engine"),
            ("takelage-python", "takelage-run"),
            ("takelage-run", "takelage"),
            ("takelage-model", "takelage-config"),
            ("takelage-bootstrap", "takelage-engine"),
            ("takelage-engine", "takelage-testkit"),
            ("takelage-model", "tokio"),
            ("takelage-config", "bollard"),
        ] {
            assert_eq!(wrong_edges(&members(), &[edge(from, to, false)]).len(), 1, "{from} → {to}");
        }
        assert_eq!(wrong_edges(&members(), &[edge("takelage-config", "takelage-run", true)]).len(), 1);
    }

    #[test]
    fn a_crate_that_the_design_does_not_know_is_found() {
        let members = BTreeSet::from(["takelage-new".to_owned()]);
        assert_eq!(wrong_edges(&members, &[]).len(), 1);
    }

    #[test]
    fn the_table_has_no_cycle() {
        let order: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
        let place = |name: &str| order.iter().position(|known| *known == name);
        for (name, allowed) in ALLOWED {
            for used in *allowed {
                assert!(place(used) < place(name), "{name} comes before {used}");
            }
        }
    }

    #[test]
    fn lints_are_inherited_only_from_their_own_section() {
        assert!(inherits_lints("[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"));
        assert!(inherits_lints("[lints]\nworkspace=true"));
        assert!(!inherits_lints("[package]\nversion.workspace = true\n"));
        assert!(!inherits_lints("[lints]\n[dependencies]\nworkspace = true\n"));
        assert!(!inherits_lints("[lints]\nworkspace = false\n"));
    }
}
