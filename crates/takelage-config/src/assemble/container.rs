//! `container:`.

use indexmap::IndexMap;

use super::Assembly;
use crate::{
    Container, Ulimit, Volume,
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
            keep_entrypoint: false,
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
            processes: container.processes.and_then(|count| self.processes(&count, &of("processes"))),
            ulimits: self.ulimits(&container.ulimits, &of("ulimits")),
            labels: IndexMap::new(),
        }
    }

    fn processes(&mut self, count: &document::Text, at: &str) -> Option<u32> {
        let text = self.text(count, at);
        let number = text.parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            let message = format!("`{text}` is no number of processes");
            self.faults.push(Fault::new(self.marks.value(at), message).hint("write a whole number above 0"));
        }
        number
    }

    fn ulimits(&mut self, limits: &[String], at: &str) -> Vec<Ulimit> {
        let mut read = Vec::new();
        for (index, limit) in limits.iter().enumerate() {
            match ulimit(limit) {
                Ok(limit) => read.push(limit),
                Err(message) => {
                    let mark = self.marks.value(&join(at, &index.to_string()));
                    let hint = "write `NAME=SOFT` or `NAME=SOFT:HARD`, such as `nofile=1024:4096`";
                    self.faults.push(Fault::new(mark, message).hint(hint));
                }
            }
        }
        read
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

/// The names of limits, as `docker run --ulimit` has them.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `NAME=SOFT[:HARD]`; `-1` and `unlimited` are no limit.
fn ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = || format!("`{text}` is no limit");
    let (name, values) = text.split_once('=').ok_or_else(wrong)?;
    if !ULIMITS.contains(&name) {
        let nearest = crate::suggestion::nearest(name, ULIMITS.iter().copied());
        let nearest = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(format!("there is no limit `{name}`{nearest}"));
    }
    let value = |value: &str| match value {
        "-1" | "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| wrong()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return Err(format!("the soft limit of `{text}` is above the hard one"));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_docker_run_reads_them() {
        let read = |text: &str| ulimit(text).map(|limit| (limit.soft, limit.hard));
        assert_eq!(read("nofile=1024"), Ok((Some(1024), Some(1024))));
        assert_eq!(read("nofile=1024:4096"), Ok((Some(1024), Some(4096))));
        assert_eq!(read("core=0:unlimited"), Ok((Some(0), None)));
        assert_eq!(read("core=-1"), Ok((None, None)));
        for wrong in ["nofile", "nofile=", "nofile=x", "nofiles=1", "nofile=2:1", "nofile=-1:1"] {
            assert!(ulimit(wrong).is_err(), "{wrong}");
        }
        assert!(ulimit("nofiles=1").unwrap_err().contains("`nofile`"));
    }
}
