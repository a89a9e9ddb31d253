//! The program that takelage starts inside a container, to run commands and to move files there.
//!
//! ```text
//! takelage-agent serve    process 1 of an embedded container. Descriptor 3 is a listening unix socket, 4 a file with
//!                         an `AgentConfig` in JSON; standard output and error are the container's log
//! takelage-agent stdio    one stream on standard input and output, within whatever somebody else has made around it
//! ```
//!
//! It is static, has one thread, and nothing of it is in the image. What it says and hears is in
//! [`takelage_model::agent`]. One loop ([`server`]) waits for everything at once; a child is made ready by its parent
//! ([`prepare`]), and between fork and exec ([`child`]) only the kernel is called.
//!
//! **Rights.** In an embedded container the agent has more rights than what it starts: it holds `CAP_SYS_ADMIN` to install
//! filters without `no_new_privs`, which would make sudo powerless. So it is not dumpable, and nobody in the container
//! can trace it. If any part of the sandbox cannot be applied, the command does not run.

mod child;
mod client;
mod job;
mod outbox;
mod prepare;
mod roles;
mod sandbox;
mod server;
mod session;
mod signals;
mod spawn;
mod users;

use std::process::ExitCode;

/// What the agent ends with if it cannot do its own part.
const BROKEN: u8 = 125;

fn main() -> ExitCode {
    let role = std::env::args().nth(1);
    let status = match role.as_deref() {
        Some("serve") => roles::serve(),
        Some("stdio") => roles::stdio(),
        _ => Err(roles::RoleError::Usage),
    };
    match status {
        // Statuses have eight bits.
        Ok(status) => ExitCode::from(u8::try_from(status & 0xff).unwrap_or(BROKEN)),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.status().unwrap_or(BROKEN))
        }
    }
}

/// Says into the container's log why there will be no container.
#[expect(clippy::print_stderr, reason = "standard error is the container's log")]
fn complain(error: &dyn std::error::Error) {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    eprintln!("takelage: {message}");
}
