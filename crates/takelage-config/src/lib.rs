//! takelage's project file: found, read, checked and turned into a [`Project`].
//!
//! ```text
//! takelage.yml ─ interpolation ─► yaml ─► Value + Marks ─ shape ─► Document ─ assemble ─► Project
//!   as written     $VAR → text     events   positions       schema    raw types   meaning, files
//! ```
//!
//! Every stage adds to one list of problems, each with the position in the file as written. This crate never
//! reads the environment (variables come in as a function) and touches the disk only in [`find`], [`load`] and
//! [`molecule`], which reads the scenarios of Molecule into the same [`Project`].

mod amount;
mod assemble;
mod clean;
mod container;
mod document;
mod error;
mod glob;
mod image;
mod interpolation;
mod metadata;
pub mod molecule;
mod position;
mod project;
mod scalar;
mod settings;
mod shape;
mod source;
mod suggestion;
mod yaml;

pub use clean::{Clean, PathPattern};
pub use container::{Container, Ulimit, Volume};
pub use document::schema;
pub use error::{ConfigError, Problem};
pub use image::{Bootstrap, FileKind, Image, Inventory, Layer, Origin, Prepare};
pub use metadata::{Config, Healthcheck};
pub use position::Position;
pub use project::{Ansible, Cache, EngineChoice, Project, Pytest};
pub use source::{Disk, Entry, FILE_NAME, Files, Source, find, load, parse};
