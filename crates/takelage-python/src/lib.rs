//! Real Ansible and real pytest, driven over one socket.
//!
//! [`toolchain`] finds them or makes a private environment with them. [`Bridge`] is the socket over which their
//! embedded plugins reach containers and report what happens. [`ansible`] runs a playbook, [`pytest`] runs checks,
//! [`prepare`] gives a container the Python that Ansible needs, and [`program`] runs whatever else a project asks for.
//!
//! Nothing here prints, reads the environment or writes into the project: what a program needs from the
//! environment comes in with its description.

pub mod ansible;
mod bridge;
pub mod prepare;
mod process;
pub mod program;
pub mod pytest;
mod shim;
pub mod toolchain;

pub use bridge::{Bridge, BridgeError, Host, make_again, memory};
pub use toolchain::{Toolchain, ToolchainError};
