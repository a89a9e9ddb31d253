//! The same calls in a container of Docker and in the agent's sandbox.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
};

use takelage_engine::ExecSpec;
use takelage_model::agent::{AgentConfig, Sandbox};
use takelage_testkit::skip;
use tokio::process::Command;

use crate::base::{Init, is_root, run};

/// The image that a probe runs in; it needs nothing but a shell and `cat`.
const IMAGE: &str = "debian:bookworm-slim";

/// A call: table, number and first argument.
type Call = (String, u32, i64);

/// Where the agent's sandbox, which follows the newest profile, and that of an older Docker may differ.
struct Difference {
    native: &'static [u32],
    i386: &'static [u32],
    /// First arguments with which they differ; any if empty.
    arguments: &'static [i64],
    docker: &'static str,
    ours: &'static [&'static str],
    #[expect(dead_code, reason = "it is for whoever reads this")]
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        native: &[425, 426, 427],
        i386: &[425, 426, 427],
        arguments: &[],
        docker: "other",
        ours: &["EPERM"],
        reason: "io_uring_* were taken out of the profile, for the holes that they had",
    },
    Difference {
        native: &[41],
        i386: &[359],
        arguments: &[38, 40],
        docker: "other",
        ours: &["EPERM"],
        reason: "sockets of the families AF_ALG and AF_VSOCK were taken out of the profile",
    },
    Difference {
        native: &[303, 310, 311, 329, 330, 331],
        i386: &[341, 347, 348, 380, 381, 382],
        arguments: &[],
        docker: "EPERM",
        ours: &["other"],
        reason: "name_to_handle_at, process_vm_readv, process_vm_writev, pkey_mprotect, pkey_alloc and pkey_free were added",
    },
    Difference {
        native: &[450, 451, 452, 453, 454, 455, 456, 457, 458, 459, 460, 461, 462, 463, 464, 465, 466],
        i386: &[450, 451, 452, 453, 454, 455, 456, 457, 458, 459, 460, 461, 462, 463, 464, 465, 466],
        arguments: &[],
        docker: "ENOSYS",
        ours: &["EPERM", "other"],
        reason: "these calls are newer than the older profile, where calls that it does not know do not exist",
    },
];

/// Builds the probe. `None`: the test is skipped, the reason printed.
async fn probe(scratch: &Path) -> Option<PathBuf> {
    let probe = scratch.join("probe");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/probe.c");
    let built =
        Command::new("gcc").args(["-static", "-O1", "-w", "-o"]).arg(&probe).arg(source).output().await;
    match built {
        Ok(built) if built.status.success() => Some(probe),
        Ok(built) => skip!("the probe cannot be built: {}", String::from_utf8_lossy(&built.stderr)),
        Err(error) => skip!("there is no gcc: {error}"),
    }
}

fn parse(output: &[u8]) -> BTreeMap<Call, String> {
    let parse = |line: &str| {
        let [table, number, first, said] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        ((table.to_owned(), number.parse().unwrap(), first.parse().unwrap()), said.to_owned())
    };
    std::str::from_utf8(output).unwrap().lines().map(parse).collect()
}

async fn under_docker(probe: &Path) -> Option<BTreeMap<Call, String>> {
    let script = "cat > /tmp/probe && chmod +x /tmp/probe && exec /tmp/probe";
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--interactive", "--pull=never", IMAGE, "/bin/sh", "-c", script]);
    command.stdin(Stdio::from(std::fs::File::from(fs_err::File::open(probe).unwrap())));
    match command.output().await {
        Ok(output) if output.status.success() => Some(parse(&output.stdout)),
        Ok(output) => skip!("Docker does not run the probe: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => skip!("there is no docker: {error}"),
    }
}

async fn under_the_agent(probe: &Path) -> BTreeMap<Call, String> {
    let agent = Init::start(&AgentConfig { sandbox: Sandbox::docker(), ..AgentConfig::default() });
    let client = agent.client().await;
    let argv = vec![probe.to_str().unwrap().to_owned()];
    let output = run(&client, ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
    assert_eq!(output.status, 0, "{}", String::from_utf8_lossy(&output.stderr));
    parse(&output.stdout)
}

fn is_known((table, number, first): &Call, docker: &str, ours: &str) -> bool {
    DIFFERENCES.iter().any(|known| {
        let numbers = if table == "native" { known.native } else { known.i386 };
        numbers.contains(number)
            && (known.arguments.is_empty() || known.arguments.contains(first))
            && known.docker == docker
            && known.ours.contains(&ours)
    })
}

#[expect(clippy::print_stdout, reason = "what differs here is what somebody wants to read")]
#[tokio::test]
async fn docker_root_the_same_calls_are_refused() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let scratch = tempfile::tempdir().unwrap();
    let Some(probe) = probe(scratch.path()).await else { return };
    let Some(docker) = under_docker(&probe).await else { return };
    let ours = under_the_agent(&probe).await;
    assert!(docker.len() > 470 && docker.keys().eq(ours.keys()), "{} and {}", docker.len(), ours.len());
    let different: Vec<_> = docker
        .iter()
        .zip(ours.values())
        .filter(|((_, docker), ours)| docker != ours)
        .map(|((call, docker), ours)| (call, docker.as_str(), ours.as_str()))
        .collect();
    for (call, docker, ours) in &different {
        println!("{} {} ({:#x}): Docker {docker}, here {ours}", call.0, call.1, call.2);
    }
    let unknown: Vec<_> =
        different.into_iter().filter(|(call, docker, ours)| !is_known(call, docker, ours)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let refused = |calls: &BTreeMap<Call, String>| calls.values().filter(|said| *said == "EPERM").count();
    assert!(refused(&ours) > 50, "{}", refused(&ours));
}
