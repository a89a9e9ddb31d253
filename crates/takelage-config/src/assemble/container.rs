//! `container:`.

use indexmap::IndexMap;

use super::Assembly;
use crate::{
    Container, Volume,
    document::{self, Mounts},
    error::Fault,
    position::join,
};

impl Assembly<'_> {
    pub(super) fn container(&mut self, container: document::Container, at: &str) -> Container {
        let of = |key: &str| join(at, key);
        let tmpfs = match container.tmpfs {
            None => IndexMap::new(),
            Some(Mounts::Map(map)) => map,
            Some(Mounts::List(list)) => {
                let pairs = list.into_iter().map(|mount| match mount.split_once(':') {
                    Some((path, options)) => (path.to_owned(), options.to_owned()),
                    None => (mount, String::new()),
                });
                pairs.collect()
            }
        };
        for path in tmpfs.keys().filter(|path| !path.starts_with('/')) {
            let message = format!("mount point `{path}` must be an absolute path");
            self.faults.push(Fault::new(self.marks.value(&of("tmpfs")), message));
        }
        let volumes = container.volumes.into_iter().enumerate();
        let volumes = volumes
            .filter_map(|(index, volume)| self.volume(&volume, &join(&of("volumes"), &index.to_string())));
        Container {
            volumes: volumes.collect(),
            command: container.command.map(|command| self.words(command, &of("command"))),
            systemd: container.systemd,
            capabilities: container.capabilities,
            tmpfs,
            env: self.texts(container.env, &of("env")),
            network: container.network,
            privileged: container.privileged,
            user: container.user.map(|user| self.text(&user, &of("user"))),
            hostname: container.hostname,
            memory: container.memory.and_then(|size| self.size(&size, &of("memory"))),
            ports: container.ports,
            hosts: container.hosts,
            security: container.security,
            sysctls: self.texts(container.sysctls, &of("sysctls")),
            devices: container.devices,
            shm_size: container.shm_size.and_then(|size| self.size(&size, &of("shm_size"))),
        }
    }

    /// Reads `SOURCE:TARGET[:ro|rw]`. A source with a separator, or `.`, is a path; else a volume's name.
    fn volume(&mut self, volume: &str, at: &str) -> Option<Volume> {
        let (rest, read_only) = match volume.rsplit_once(':') {
            Some((rest, "ro")) => (rest, true),
            Some((rest, "rw")) => (rest, false),
            _ => (volume, false),
        };
        let Some((source, target)) =
            rest.rsplit_once(':').filter(|(source, target)| !source.is_empty() && target.starts_with('/'))
        else {
            let message = format!("`{volume}` is no volume");
            self.faults.push(
                Fault::new(self.marks.value(at), message)
                    .hint("write `SOURCE:TARGET` or `SOURCE:TARGET:ro` with an absolute target"),
            );
            return None;
        };
        let source = if source.starts_with('/') {
            source.to_owned()
        } else if source == "." || source == ".." || source.contains('/') {
            // An engine would make an empty directory of a misspelt one.
            self.path(source, at, super::Want::Either).to_string_lossy().into_owned()
        } else {
            source.to_owned()
        };
        Some(Volume { source, target: target.to_owned(), read_only })
    }
}
