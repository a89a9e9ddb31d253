//! The Docker engine: the contract over the Docker API, for Docker from 20.10 on and for Podman's socket.
//!
//! Where the API falls short of the contract, the reason and the way around it are told in the file concerned:
//! `commit` (exact metadata), `files` (mounts inside the container), `systemd` (booting without `--privileged`).

mod commit;
mod connection;
mod container;
mod create;
mod credentials;
mod errors;
mod exec;
mod files;
mod images;
mod interact;
mod network;
mod record;
mod save;
mod snapshot;
mod stream;
mod systemd;
mod transfer;

pub use connection::{ConnectError, Docker, Settings};
pub use container::DockerContainer;
