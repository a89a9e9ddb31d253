//! Builds the agent, a static program, and leaves it where `src/agent` includes it from.
//!
//! The agent is for another target than this crate, perhaps, and for another profile in any case, so it is no
//! dependency: a second cargo builds it. That one has a target directory of its own, because this one is
//! locked, and nothing of the environment that was made for this crate.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// The name of the agent's crate, its program, and the profile it is built with.
const AGENT: &str = "takelage-agent";
const PROFILE: &str = "agent";

/// What the second cargo may know of the first one's environment, of all that concerns cargo and rustc: where things
/// are, and how they are fetched and linked. Flags and wrappers of this build are not meant for it.
const KEPT: &[&str] = &[
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "RUSTUP_",
];
const FOREIGN: &[&str] = &["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC", "RUST_", "CLIPPY_", "MIRI"];

fn main() {
    if let Err(reason) = build() {
        println!("cargo::error={reason}");
    }
}

fn build() -> Result<(), String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for path in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for krate in [AGENT, "takelage-model"] {
        for path in ["Cargo.toml", "src"] {
            println!("cargo::rerun-if-changed={}", workspace.join("crates").join(krate).join(path).display());
        }
    }
    println!("cargo::rerun-if-changed=build.rs");

    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = target(&text("TARGET")?)?;
    let directory = out.join("agent");
    let mut cargo = Command::new(variable("CARGO")?);
    for name in names().filter(|name| !is_kept(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(&workspace)
        .env("RUSTC", variable("RUSTC")?)
        // With this set, even if empty, no flags from any configuration apply.
        .env("CARGO_ENCODED_RUSTFLAGS", target.flags)
        .args(["build", "--quiet", "--locked", "--package", AGENT, "--profile", PROFILE])
        .args(["--target", &target.triple, "--target-dir"])
        .arg(&directory);
    let built = cargo.output().map_err(|error| format!("cargo cannot be started for the agent: {error}"))?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        for line in said.lines() {
            println!("cargo::warning={line}");
        }
        return Err(format!(
            "the agent could not be built for {}, see above; {}",
            target.triple, target.hint
        ));
    }
    let program = directory.join(&target.triple).join(PROFILE).join(AGENT);
    let to = out.join(AGENT);
    std::fs::copy(&program, &to)
        .map_err(|error| format!("{} cannot be copied: {error}", program.display()))?;
    Ok(())
}

/// What the agent is built for.
struct Target {
    triple: String,
    flags: &'static str,
    /// What to do if that fails.
    hint: &'static str,
}

/// Chooses a target whose programs need nothing of the container: musl where rustc has it, else a static GNU one.
fn target(own: &str) -> Result<Target, String> {
    let architecture = own.split('-').next().unwrap_or_default();
    let musl = format!("{architecture}-unknown-linux-musl");
    let sysroot = Command::new(variable("RUSTC")?).args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map_err(|error| format!("rustc does not say where it is installed: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib").join(&musl).join("lib").is_dir() {
        let hint = "does the linker work?";
        return Ok(Target { triple: musl, flags: "-Ctarget-feature=+crt-static", hint });
    }
    if !own.ends_with("-linux-gnu") {
        return Err(format!("rustc needs the target {musl} for the agent: rustup target add {musl}"));
    }
    let hint = "a static program needs either libc.a (Debian: libc6-dev), or rustc's target for musl";
    Ok(Target { triple: own.to_owned(), flags: "-Ctarget-feature=+crt-static", hint })
}

fn is_kept(name: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    // The linker of a target belongs to the machine, not to this build.
    !begins(FOREIGN) || begins(KEPT) || (name.starts_with("CARGO_TARGET_") && name.ends_with("_LINKER"))
}

fn text(name: &str) -> Result<String, String> {
    variable(name)?.into_string().map_err(|_| format!("{name} is no text"))
}

#[expect(clippy::disallowed_methods, reason = "this is how cargo speaks to a build script")]
fn names() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name)
}

#[expect(clippy::disallowed_methods, reason = "this is how cargo speaks to a build script")]
fn variable(name: &str) -> Result<OsString, String> {
    std::env::var_os(name).ok_or_else(|| format!("cargo has not set {name}"))
}
