//! An image of the project: what it is based on, how it is provisioned and tested.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use takelage_model::ImageName;

use crate::{Clean, Config, Container, Position};

/// One entry of `images:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its key.
    pub name: ImageName,
    /// What it is based on.
    pub from: Origin,
    /// The playbooks, each committed as one layer. `playbook:` gives one without a name; there may be none.
    pub layers: Vec<Layer>,
    /// What is done to the container before Ansible.
    pub prepare: Prepare,
    /// Where Ansible looks for roles first.
    pub roles_path: Vec<PathBuf>,
    /// Variables that win over all others.
    pub extra_vars: Map<String, Value>,
    /// Ansible's view of the container.
    pub inventory: Inventory,
    /// How containers of this image are created while it is developed, produced and tested.
    pub container: Container,
    /// The file or directory of its pytest checks.
    pub tests: Option<PathBuf>,
    /// What changes in the metadata of the base image.
    pub config: Config,
    /// What of it no image gets, of what provisioning has written.
    pub clean: Vec<Clean>,
    /// All names that the produced image gets.
    pub tags: Vec<String>,
    /// Where its key is.
    pub position: Position,
}

/// What an image is based on.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// Packages of a Debian archive.
    Bootstrap(Bootstrap),
    /// Another image of the project.
    Image(ImageName),
    /// An image that the engine has or a registry serves.
    Reference(String),
    /// An image in a file.
    File {
        /// What it is.
        kind: FileKind,
        /// Where it is.
        path: PathBuf,
    },
}

/// What an image file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `docker-archive:`, what `docker save` writes.
    DockerArchive,
    /// `oci-archive:`, an OCI image layout as a tar file or a directory.
    OciArchive,
    /// `rootfs:`, the files of a root file system as a tar file or a directory.
    Rootfs,
}

/// A Debian system made from packages alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    /// The release: `bookworm`, `trixie`, `stable`.
    pub suite: String,
    /// Packages in addition to the essential ones.
    pub include: Vec<String>,
    /// The archive; none is the host's own mirror, else Debian's.
    pub mirror: Option<String>,
    /// The archive's components, by default `main`.
    pub components: Vec<String>,
    /// The processor in Debian's words; none is the host's.
    pub architecture: Option<String>,
}

/// A playbook whose result is one layer of the image.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its name in `layers:`; none for `playbook:`.
    pub name: Option<String>,
    /// The playbook.
    pub playbook: PathBuf,
    /// Where the project file names it.
    pub position: Position,
}

/// What is done to a container before Ansible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Prepare {
    /// Install Python where it is missing.
    #[default]
    Python,
    /// Nothing.
    None,
}

/// Ansible's view of the container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// Groups that the container's host belongs to.
    pub groups: Vec<String>,
    /// Variables per host.
    pub host_vars: IndexMap<String, Map<String, Value>>,
    /// Variables per group.
    pub group_vars: IndexMap<String, Map<String, Value>>,
    /// Files and directories used in place: `hosts`, `group_vars` or `host_vars` → path.
    pub links: IndexMap<String, PathBuf>,
}
