//! What may stand between the requests of a step and the container they are for.
//!
//! A memory knows replies from earlier runs. As long as it knows them all, there need not be a container; it gives one
//! when it has no reply, together with the requests that must be made again for the container to be where it would be.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use takelage_engine::{EngineError, ExecOutput};
use takelage_model::frame::{RequestTask, Zygote};
use tokio::sync::Mutex;

use crate::prepare::Prepared;

/// What is remembered by another version of this crate's programs in containers, or of its requests, is void.
pub const FORMAT: u32 = 1;

/// Requests and replies larger than this, in bytes, are not remembered.
pub const REMEMBERED_LIMIT: u64 = 64 << 20;

/// A future of an object that is only known by its trait.
pub type Promise<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request to a container, whole, so that it can be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Make sure that there is a Python: see [`prepare`](crate::prepare).
    Prepare,
    /// Run a command.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
        /// A user name or id; none is the container's own user.
        user: Option<String>,
        /// All of its standard input.
        stdin: Bytes,
        /// An interpreter that may run the standard input in place of the command.
        zygote: Option<Zygote>,
    },
    /// Write a file.
    Put {
        /// Absolute path in the container.
        path: String,
        /// Whose file it becomes.
        user: Option<String>,
        /// What is in it.
        content: Bytes,
    },
    /// Read a file.
    Get {
        /// Absolute path in the container.
        path: String,
    },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// How the container came by its Python.
    Prepared(Prepared),
    /// How a command ended.
    Exit(ExecOutput),
    /// A file was written.
    Done,
    /// What is in a file.
    File(Bytes),
    /// There is no such file: one sentence.
    NoSuchFile(String),
}

/// What a memory says to a request.
#[derive(Debug)]
pub enum Recall<C> {
    /// What came of it before, and would come of it again.
    Known(Answer),
    /// It must be carried out.
    Live(Live<C>),
}

/// How to carry out a request that a memory has no answer to.
#[derive(Debug)]
pub struct Live<C> {
    /// In this container …
    pub container: C,
    /// … after these, whose answers go to [`Memory::repeated`].
    pub before: Vec<Arc<Wanted>>,
    /// Goes to [`Memory::remember`] with the answer. None: nothing is remembered any more.
    pub ticket: Option<Ticket>,
}

/// Stands for a request that is being carried out.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(
    /// Its number.
    pub u64,
);

/// A request that was made again has another answer than the one that was given: what was built on that is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diverged;

/// Whether the container's state is worth keeping before the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// No.
    Nothing,
    /// Yes: see [`Memory::keep`].
    Keeping,
}

/// Knows what requests of one container came to.
///
/// Its methods are called by one request at a time, except for [`remember`](Self::remember): the answer to a request may
/// come while the next one asks.
pub trait Memory<C>: Send + Sync {
    /// Says what came of a request, or where to carry it out. `task` is what it is for, if that is known.
    fn recall<'a>(
        &'a self,
        wanted: &'a Arc<Wanted>,
        task: Option<&'a RequestTask>,
    ) -> Promise<'a, Result<Recall<C>, EngineError>>;

    /// Says where to carry out what is never remembered, and why it is not.
    fn forgo(&self, why: String) -> Promise<'_, Result<Live<C>, EngineError>>;

    /// Compares the answer to the next request of [`Live::before`] with the one that was given. `None`: it could not be made.
    fn repeated<'a>(&'a self, answer: Option<&'a Answer>) -> Promise<'a, Result<Worth, Diverged>>;

    /// Takes the answer to a request. `None`: nobody knows what came of it.
    fn remember<'a>(&'a self, ticket: Ticket, answer: Option<&'a Answer>) -> Promise<'a, Worth>;

    /// Whether nothing is being carried out, as far as is remembered.
    fn is_quiet(&self) -> Promise<'_, bool>;

    /// Keeps the container's state. Nothing of the bridge runs in it meanwhile.
    fn keep(&self) -> Promise<'_, ()>;

    /// Forgets what came of the last requests, because the task that made them has failed.
    fn failed<'a>(&'a self, task: &'a str) -> Promise<'a, ()>;
}

/// What a name of the inventory stands for.
pub enum Host<C> {
    /// A container.
    Container(C),
    /// One that is only there if something must be carried out in it.
    Remembered(Remembered<C>),
}

/// A memory, and the turn of those who ask it.
pub struct Remembered<C> {
    pub(super) memory: Arc<dyn Memory<C>>,
    pub(super) turn: Mutex<()>,
}

impl<C> Host<C> {
    /// A container that may not have to be there.
    pub fn remembered(memory: Arc<dyn Memory<C>>) -> Self {
        Self::Remembered(Remembered { memory, turn: Mutex::new(()) })
    }
}

impl<C> From<C> for Host<C> {
    fn from(container: C) -> Self {
        Self::Container(container)
    }
}

impl<C> fmt::Debug for Host<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container(_) => "Container",
            Self::Remembered(_) => "Remembered",
        })
    }
}

impl<C> fmt::Debug for Remembered<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered")
    }
}
