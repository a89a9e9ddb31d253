//! What to do about a failure: one table from typed errors to advice in the imperative.

use takelage_config::{ConfigError, molecule::DiscoveryError};
use takelage_engine::{EngineError, Reference};
use takelage_python::{ansible::AnsibleError, prepare::PrepareError};
use takelage_run::StepError;

use crate::failure::Failure;

/// Returns what to do about a command that could not start.
pub(crate) fn of_failure(failure: &Failure) -> Option<String> {
    Some(match failure {
        Failure::Config(ConfigError::NotFound { .. }) => {
            "write one (`takelage schema` describes it), or name the project's directory with `-C DIR`".to_owned()
        }
        Failure::Config(ConfigError::Settings { .. }) => {
            "projects of the Ruby takelage are not read by this version; write a `takelage.yml` with `images:`".to_owned()
        }
        Failure::Scenario(DiscoveryError::Unknown { known, .. }) if !known.is_empty() => {
            format!("the scenarios are {}", known.join(", "))
        }
        Failure::Scenario(DiscoveryError::None { .. }) => {
            "make one with `molecule init scenario`, or call it from the directory above `molecule`".to_owned()
        }
        Failure::NoInstance { .. } => "`molecule list` shows the instances".to_owned(),
        Failure::WhichInstance { .. } => "name one with `--host`".to_owned(),
        Failure::TerminalOutput => {
            "write it to a file with `--output FILE`, or into a pipe".to_owned()
        }
        Failure::NoImages { .. } => "add one below `images:`".to_owned(),
        Failure::Engine(error) => return of_engine(error),
        Failure::Step(error) => return of_step(error),
        _ => return None,
    })
}

/// Returns what to do about a step that failed.
pub(crate) fn of_step(error: &StepError) -> Option<String> {
    Some(match error.untold() {
        StepError::NoContainer { image } => {
            format!("create it with `takelage develop {image}` or `takelage converge {image}`")
        }
        StepError::NoImage { image } => format!("produce it with `takelage produce {image}`"),
        StepError::NoTags { image } => {
            format!("name its registry and repository below `{image}`, such as `tags: [registry.example/{image}:1.0]`")
        }
        StepError::NotIdempotent { .. } => {
            "make these tasks change nothing where nothing has to change, for example with `changed_when` or `creates`"
                .to_owned()
        }
        StepError::NotConverged { .. } => "run `molecule converge` first".to_owned(),
        StepError::NoDriver { .. } => {
            "give the scenario `create.yml` and `destroy.yml`, or use the driver `docker`".to_owned()
        }
        StepError::Dockerfile { .. } => {
            "build the image before, and use it with `pre_build_image: true`".to_owned()
        }
        StepError::CommandEnded { .. } => {
            "give the image a command that stays, with `config: {cmd: …}`, or remove `tests:`".to_owned()
        }
        StepError::Bootstrap(error) => error.hint()?.to_owned(),
        StepError::Engine(error) | StepError::Prepare(PrepareError::Engine(error)) => return of_engine(error),
        StepError::Ansible(AnsibleError::Unreachable { .. }) => {
            "see whether the engine runs, with `takelage doctor`; a task may also have stopped the container".to_owned()
        }
        _ => return None,
    })
}

fn of_engine(error: &EngineError) -> Option<String> {
    Some(match error {
        EngineError::Unavailable { .. } => {
            "start Docker, name its socket in `DOCKER_HOST`, add yourself to the group `docker`, or use `--engine embedded`".to_owned()
        }
        EngineError::Gone { .. } => {
            "see whether it runs, with `takelage doctor`; the next run removes what this one left".to_owned()
        }
        EngineError::DiskFull { .. } => {
            "make room, for example with `docker image prune`, and run it again".to_owned()
        }
        EngineError::NoSuchImage { name, .. } => {
            format!("check the name `{name}`, build or pull it, or use `bootstrap:` for a Debian base image")
        }
        EngineError::Unauthorized { name, .. } => match name.parse::<Reference>() {
            // Docker's own registry is meant if none is named.
            Ok(name) if name.registry() == "docker.io" => "log in with `docker login`".to_owned(),
            Ok(name) => format!("log in with `docker login {}`", name.registry()),
            Err(_) => "log in with `docker login`".to_owned(),
        },
        EngineError::NoRegistry { name, .. } => {
            format!("see whether the name `{name}` is right, and whether its registry runs and can be reached from here")
        }
        EngineError::NoSuchContainer { .. } => "run it again; `takelage list` shows what is there".to_owned(),
        EngineError::NameTaken { name } => format!("remove it with `docker rm -f {name}`"),
        EngineError::Systemd { .. } => "look at the image with `container: {systemd: false}`".to_owned(),
        _ => return None,
    })
}
