//! Pulling and pushing against a real registry on loopback, and through a proxy that misbehaves.
//!
//! What is named `docker_…` needs the program `docker-registry` (Debian package docker-registry).

mod docker_faults;
mod docker_login;
mod docker_transfers;
mod hostile;
mod proxy;
mod server;
