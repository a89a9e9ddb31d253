//! Makes a request ready for its child: everything as C strings, every question about users answered.

use std::ffi::CString;

use rustix::io::Errno;
use takelage_model::agent::{Command, ErrorKind};
use thiserror::Error;

use crate::{
    child::{Failure, Program, Stage, Work},
    users::{Identity, UserError, Users},
};

/// Where programs are looked for if the environment does not say, as under Docker.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a terminal is if the environment does not say, as under Docker.
const DEFAULT_TERM: &str = "TERM=xterm";

/// A child's plan, without the streams.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) work: Work,
    pub(crate) identity: Identity,
    pub(crate) cwd: CString,
    /// What is worked on, for messages.
    pub(crate) subject: String,
}

/// A request that cannot even begin.
#[derive(Debug, Error)]
pub(crate) enum Unprepared {
    #[error("there is no command")]
    NoCommand,
    #[error("{what} contains a zero byte")]
    Zero { what: &'static str },
    #[error("`{path}` is not an absolute path")]
    Relative { path: String },
    #[error(transparent)]
    User(#[from] UserError),
}

impl Unprepared {
    /// Returns what kind of failure this is to the host.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::User(UserError::Unreadable { .. }) => ErrorKind::System,
            Self::User(_) => ErrorKind::NoSuchUser,
            _ => ErrorKind::Protocol,
        }
    }
}

impl Prepared {
    /// Makes a command ready.
    pub(crate) fn command(command: &Command) -> Result<Self, Unprepared> {
        let program = command.argv.first().filter(|program| !program.is_empty());
        let program = program.ok_or(Unprepared::NoCommand)?;
        let identity = identity(command.user.as_deref())?;
        let arguments = command.argv.iter().map(|argument| c_string("an argument", argument.as_str()));
        let arguments = arguments.collect::<Result<_, _>>()?;
        let candidates = candidates(program, variable(command, "PATH").unwrap_or(DEFAULT_PATH))?;
        let work = Work::Program(Program::new(candidates, arguments, environment(command, &identity)?));
        let cwd = c_string("the working directory", command.cwd.as_deref().unwrap_or("/"))?;
        Ok(Self { work, identity, cwd, subject: program.clone() })
    }

    /// Makes a file ready to be written.
    pub(crate) fn put(path: &str, user: Option<&str>, mode: Option<u32>) -> Result<Self, Unprepared> {
        Self::file(path, user, |path| Work::Write { path, mode })
    }

    /// Makes a file ready to be read.
    pub(crate) fn get(path: &str, user: Option<&str>) -> Result<Self, Unprepared> {
        Self::file(path, user, |path| Work::Read { path })
    }

    fn file(path: &str, user: Option<&str>, work: impl FnOnce(CString) -> Work) -> Result<Self, Unprepared> {
        if !path.starts_with('/') {
            return Err(Unprepared::Relative { path: path.to_owned() });
        }
        Ok(Self {
            work: work(c_string("the path", path)?),
            identity: identity(user)?,
            cwd: c"/".to_owned(),
            subject: path.to_owned(),
        })
    }

    /// Says why the child failed, and which status a shell would give if that is about the program.
    pub(crate) fn explain(&self, failure: Failure) -> (Result<i32, ErrorKind>, String) {
        let Failure { stage, errno } = failure;
        let subject = &self.subject;
        let reason = std::io::Error::from(errno);
        let status = if matches!(errno, Errno::NOENT | Errno::NOTDIR) { 127 } else { 126 };
        let system = Err(ErrorKind::System);
        let sandbox = Err(ErrorKind::Sandbox);
        match stage {
            Stage::Program => (Ok(status), format!("cannot run `{subject}`: {reason}")),
            Stage::Directory => {
                let cwd = self.cwd.to_string_lossy();
                (Ok(status), format!("cannot run `{subject}` in `{cwd}`: {reason}"))
            }
            Stage::Open => (Err(file_kind(errno)), format!("cannot open `{subject}`: {reason}")),
            Stage::Transfer => (system, format!("cannot copy `{subject}`: {reason}")),
            Stage::Mode => (system, format!("cannot set the mode of `{subject}`: {reason}")),
            Stage::Session => (system, format!("cannot begin a session: {reason}")),
            Stage::Streams => (system, format!("cannot set up the streams: {reason}")),
            Stage::Identity => (system, format!("cannot become the user: {reason}")),
            Stage::NoNewPrivileges => (sandbox, format!("cannot give up new privileges: {reason}")),
            Stage::Filter => (sandbox, format!("cannot install the filter of system calls: {reason}")),
            Stage::Bounding => (sandbox, format!("cannot drop a capability for good: {reason}")),
            Stage::Capabilities => (sandbox, format!("cannot set the capabilities: {reason}")),
        }
    }
}

/// What kind of failure it is that a file cannot be opened.
fn file_kind(errno: Errno) -> ErrorKind {
    match errno {
        // A link that leads nowhere, or in circles, is no file to `test -e` either.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => ErrorKind::NoSuchFile,
        Errno::ISDIR => ErrorKind::IsDirectory,
        _ => ErrorKind::System,
    }
}

/// Finds the user. Without a name it is whoever the agent is, in a container that is root.
fn identity(user: Option<&str>) -> Result<Identity, UserError> {
    match user {
        Some(user) => Users::read()?.find(user),
        None => Users::read()?.find(&rustix::process::geteuid().as_raw().to_string()),
    }
}

/// Returns where a program can be. A relative entry of the path is none: it would depend on the directory.
fn candidates(program: &str, path: &str) -> Result<Vec<CString>, Unprepared> {
    if program.contains('/') {
        return Ok(vec![c_string("the program", program)?]);
    }
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    directories.map(|directory| c_string("the program", format!("{directory}/{program}"))).collect()
}

fn environment(command: &Command, identity: &Identity) -> Result<Vec<CString>, Unprepared> {
    let mut environment = Vec::new();
    if command.tty.is_some() && variable(command, "TERM").is_none() {
        environment.push(c_string("the environment", DEFAULT_TERM)?);
    }
    if variable(command, "HOME").is_none() {
        environment.push(c_string("the environment", [b"HOME=", &identity.home[..]].concat())?);
    }
    for (name, value) in &command.env {
        environment.push(c_string("the environment", format!("{name}={value}"))?);
    }
    Ok(environment)
}

fn variable<'a>(command: &'a Command, name: &str) -> Option<&'a str> {
    command.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn c_string(what: &'static str, bytes: impl Into<Vec<u8>>) -> Result<CString, Unprepared> {
    CString::new(bytes).map_err(|_| Unprepared::Zero { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_up_where_the_environment_says() {
        let found = |program: &str, path: &str| {
            let found = candidates(program, path).unwrap();
            found.iter().map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("ls", "/a:/b/c"), ["/a/ls", "/b/c/ls"]);
        assert_eq!(found("ls", ":/a:.:b:"), ["/a/ls"]);
        assert_eq!(found("ls", ""), [""; 0]);
        assert_eq!(found("./ls", "/a"), ["./ls"]);
        assert_eq!(found("/bin/ls", "/a"), ["/bin/ls"]);
    }

    #[test]
    fn what_the_kernel_cannot_take_is_refused() {
        let command = |argv: &[&str]| Command {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            ..Command::default()
        };
        assert!(matches!(Prepared::command(&command(&[])), Err(Unprepared::NoCommand)));
        assert!(matches!(Prepared::command(&command(&[""])), Err(Unprepared::NoCommand)));
        assert!(matches!(Prepared::command(&command(&["a\0b"])), Err(Unprepared::Zero { .. })));
        let cwd = Command { cwd: Some("/\0".to_owned()), ..command(&["a"]) };
        assert!(matches!(Prepared::command(&cwd), Err(Unprepared::Zero { .. })));
        let env = Command { env: vec![("A".to_owned(), "\0".to_owned())], ..command(&["a"]) };
        assert!(matches!(Prepared::command(&env), Err(Unprepared::Zero { .. })));
        assert!(matches!(Prepared::get("file", None), Err(Unprepared::Relative { .. })));
        assert!(matches!(Prepared::put("/a\0", None, None), Err(Unprepared::Zero { .. })));
    }
}
