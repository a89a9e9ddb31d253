//! Instances: what each platform of a scenario says, in takelage's own words for containers.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use super::{DriverKind, reader::Reader};
use crate::{Container, Ulimit, Volume, amount, position::join};

/// One instance of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    /// Its name: that of its host in the inventory.
    pub name: String,
    /// The groups that it is in; none is `ungrouped`.
    pub groups: Option<Vec<String>>,
    /// Groups within each of its groups that it is in, too.
    pub children: Vec<String>,
    /// The image; only containers need one.
    pub image: Option<String>,
    /// How the image is made fit for Ansible; none if it is used as it is.
    pub build: Option<Build>,
    /// What it runs.
    pub process: FirstProcess,
    /// How its container is created.
    pub container: Container,
    /// The networks that it joins, in order.
    pub networks: Vec<Network>,
}

/// What a container runs first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstProcess {
    /// Something that waits.
    Wait,
    /// The image's own command.
    Own,
    /// This command. The image's entrypoint stays in front of it.
    Command(Vec<String>),
}

/// How an image is made fit for Ansible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The template of a Dockerfile, relative to the scenario's directory. Where it is not there, the bundled one counts.
    pub dockerfile: String,
    /// Arguments of the build.
    pub arguments: IndexMap<String, String>,
    /// Whether the base image is fetched anew.
    pub pull: bool,
    /// The registry that is put in front of the image's name.
    pub registry: Option<String>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Names of the instance in it.
    pub aliases: Vec<String>,
    /// The instance's address in it.
    pub address: Option<String>,
}

/// Keys of the Docker and the Podman driver that say something about a container, and that takelage acts on or need not
/// act on.
const KNOWN: [&str; 47] = [
    "ulimits",
    "name",
    "groups",
    "children",
    "image",
    "pre_build_image",
    "dockerfile",
    "buildargs",
    "cache_from",
    "platform",
    "force",
    "network_mode",
    "network",
    "pull",
    "registry",
    "override_command",
    "command",
    "command_handling",
    "container_default_behavior",
    "hostname",
    "user",
    "tty",
    "env",
    "labels",
    "privileged",
    "capabilities",
    "security_opts",
    "devices",
    "sysctls",
    "shm_size",
    "memory",
    "cgroupns_mode",
    "volumes",
    "mounts",
    "tmpfs",
    "keep_volumes",
    "networks",
    "networks_cli_compatible",
    "purge_networks",
    "exposed_ports",
    "published_ports",
    "etc_hosts",
    "kill_signal",
    "force_kill",
    "systemd",
    "detach",
    "rootless",
];

/// Keys that takelage reads and cannot follow.
const WITHOUT_EFFECT: [&str; 21] = [
    "docker_networks",
    "dns_servers",
    "links",
    "restart_policy",
    "restart_retries",
    "stop_signal",
    "docker_host",
    "cacert_path",
    "cert_path",
    "key_path",
    "tls_verify",
    "memory_swap",
    "cpus",
    "pid_mode",
    "runtime",
    "cgroup_manager",
    "storage_opt",
    "storage_driver",
    "extra_opts",
    "ip",
    "subnet",
];

pub(super) fn read(reader: &mut Reader<'_>, kind: DriverKind, directory: &Path) -> Vec<Platform> {
    let mut platforms: Vec<Platform> = Vec::new();
    for index in 0..reader.length("/platforms") {
        let at = format!("/platforms/{index}");
        if reader.map(&at).is_none() {
            continue;
        }
        let Some(name) = reader.text(&join(&at, "name")).filter(|name| !name.is_empty()) else {
            reader.refuse(&at, "a platform needs a `name`");
            continue;
        };
        if platforms.iter().any(|platform| platform.name == name) {
            reader.refuse(&join(&at, "name"), format!("platform `{name}` is here a second time"));
            continue;
        }
        let common = Platform {
            name,
            groups: reader.value(&join(&at, "groups")).is_some().then(|| reader.texts(&join(&at, "groups"))),
            children: reader.texts(&join(&at, "children")),
            image: None,
            build: None,
            process: FirstProcess::Wait,
            container: Container::default(),
            networks: Vec::new(),
        };
        platforms.push(if kind == DriverKind::Containers {
            container(reader, &at, common, directory)
        } else {
            common
        });
    }
    platforms
}

fn container(reader: &mut Reader<'_>, at: &str, common: Platform, directory: &Path) -> Platform {
    let of = |key: &str| join(at, key);
    let known: Vec<&str> = KNOWN.iter().chain(&WITHOUT_EFFECT).copied().collect();
    reader.mostly(at, &known);
    for key in WITHOUT_EFFECT {
        if reader.value(&of(key)).is_some() {
            reader.note(
                &of(key),
                format!("`{key}` has no effect: takelage's engines cannot do it yet"),
                None,
            );
        }
    }
    let process = process(reader, at);
    let networks = networks(reader, &of("networks"));
    let mode = reader.text(&of("network_mode")).or_else(|| reader.text(&of("network")));
    let network = match mode.as_deref() {
        None | Some("default" | "bridge" | "") => networks.first().map(|network| network.name.clone()),
        Some(mode) => Some(mode.to_owned()),
    };
    let (volumes, mut tmpfs) = mounts(reader, at);
    tmpfs.extend(self::tmpfs(reader, &of("tmpfs")));
    let asks_for_systemd =
        reader.text(&of("systemd")).is_some_and(|word| !matches!(&*word, "false" | "False"))
            || reader.value(&of("cgroupns_mode")).is_some()
            || volumes.iter().any(|volume| volume.target == CGROUP)
            || tmpfs.contains_key("/run");
    let systemd = match &process {
        FirstProcess::Command(command) => runs_systemd(command),
        FirstProcess::Own => asks_for_systemd,
        FirstProcess::Wait => false,
    };
    let container = Container {
        command: match &process {
            FirstProcess::Wait => None,
            FirstProcess::Own => Some(Vec::new()),
            FirstProcess::Command(command) => Some(command.clone()),
        },
        keep_entrypoint: matches!(process, FirstProcess::Command(_)) && !systemd,
        systemd,
        capabilities: reader.texts(&of("capabilities")),
        tmpfs,
        // The engine gives systemd the cgroup tree that fits the host; the host's own one would only be in its way.
        volumes: volumes.into_iter().filter(|volume| !systemd || volume.target != CGROUP).collect(),
        env: reader.text_map(&of("env")),
        network,
        privileged: reader.boolean(&of("privileged")).unwrap_or(false),
        user: reader.text(&of("user")),
        hostname: match reader.value(&of("hostname")) {
            Some(Value::Bool(_)) | None => Some(common.name.clone()),
            Some(_) => reader.text(&of("hostname")),
        },
        memory: size(reader, &of("memory")),
        ports: reader.texts(&of("published_ports")),
        hosts: hosts(reader, &of("etc_hosts")),
        security: reader.texts(&of("security_opts")),
        sysctls: reader.text_map(&of("sysctls")),
        devices: reader.texts(&of("devices")),
        shm_size: size(reader, &of("shm_size")),
        processes: None,
        ulimits: ulimits(reader, &of("ulimits")),
        labels: reader.text_map(&of("labels")),
    };
    let image = reader.text(&of("image")).filter(|image| !image.is_empty());
    let build = (!reader.boolean(&of("pre_build_image")).unwrap_or(false)).then(|| Build {
        dockerfile: reader.text(&of("dockerfile")).unwrap_or_else(|| "Dockerfile.j2".to_owned()),
        arguments: reader.text_map(&of("buildargs")),
        pull: reader.boolean(&of("pull")).unwrap_or(true),
        registry: reader.text(&of("registry/url")).filter(|url| !url.is_empty()),
    });
    if image.is_none() && !directory.join("create.yml").is_file() {
        reader.refuse(at, format!("platform `{}` needs an `image`", common.name));
    }
    if reader.value(&of("registry/credentials")).is_some() {
        let hint = Some("log in with `docker login`, and take them out of the file");
        reader.note(&of("registry/credentials"), "credentials in a scenario have no effect", hint);
    }
    Platform { image, build, process, container, networks, ..common }
}

const CGROUP: &str = "/sys/fs/cgroup";

fn process(reader: &mut Reader<'_>, at: &str) -> FirstProcess {
    let pointer = join(at, "command");
    if reader.boolean(&join(at, "override_command")) == Some(false) {
        return FirstProcess::Own;
    }
    let words = match reader.value(&pointer) {
        None => return FirstProcess::Wait,
        // A list is joined and split again, as Docker's module does it in its compatible mode.
        Some(Value::Array(_)) => Some(reader.texts(&pointer)),
        Some(_) => {
            let line = reader.text(&pointer).unwrap_or_default();
            let words = shlex::split(&line);
            if words.is_none() {
                reader.refuse(&pointer, "the command has a quote that is not closed");
            }
            words
        }
    };
    match words {
        Some(words) if !words.is_empty() => FirstProcess::Command(words),
        _ => FirstProcess::Own,
    }
}

fn runs_systemd(command: &[String]) -> bool {
    let program = command.first().and_then(|program| program.rsplit('/').next());
    matches!(program, Some("systemd" | "init"))
}

fn networks(reader: &mut Reader<'_>, at: &str) -> Vec<Network> {
    let mut networks = Vec::new();
    for index in 0..reader.length(at) {
        let of = |key: &str| format!("{at}/{index}/{key}");
        let Some(name) = reader.text(&of("name")) else {
            reader.refuse(&format!("{at}/{index}"), "a network needs a `name`");
            continue;
        };
        networks.push(Network {
            name,
            aliases: reader.texts(&of("aliases")),
            address: reader.text(&of("ipv4_address")),
        });
    }
    if networks.len() > 1 {
        reader.note(at, "only the first of several networks is joined", None);
    }
    networks
}

/// Reads `volumes` and `mounts`.
fn mounts(reader: &mut Reader<'_>, at: &str) -> (Vec<Volume>, IndexMap<String, String>) {
    let mut volumes = Vec::new();
    let mut tmpfs = IndexMap::new();
    let of = join(at, "volumes");
    for index in 0..reader.length(&of) {
        let pointer = format!("{of}/{index}");
        let Some(text) = reader.text(&pointer) else { continue };
        match volume(&text) {
            Some(volume) => volumes.push(volume),
            None => reader.refuse(&pointer, format!("`{text}` is no volume; write `SOURCE:TARGET[:ro]`")),
        }
    }
    let of = join(at, "mounts");
    for index in 0..reader.length(&of) {
        let key = |key: &str| format!("{of}/{index}/{key}");
        let Some(target) = reader.text(&key("target")) else {
            reader.refuse(&format!("{of}/{index}"), "a mount needs a `target`");
            continue;
        };
        match (reader.text(&key("type")).as_deref(), reader.text(&key("source"))) {
            (Some("tmpfs"), _) => {
                tmpfs.insert(target, String::new());
            }
            (_, Some(source)) => {
                let read_only = reader.boolean(&key("read_only")).unwrap_or(false);
                volumes.push(Volume { source, target, read_only });
            }
            (_, None) => reader.refuse(&format!("{of}/{index}"), "a mount needs a `source`"),
        }
    }
    (volumes, tmpfs)
}

fn volume(text: &str) -> Option<Volume> {
    let mut parts = text.split(':');
    let source = parts.next().filter(|source| !source.is_empty())?.to_owned();
    let target = parts.next().filter(|target| target.starts_with('/'))?.to_owned();
    // What else may stand there, such as `z`, is for systems that label files.
    let read_only = parts.next().is_some_and(|modes| modes.split(',').any(|mode| mode == "ro"));
    Some(Volume { source, target, read_only })
}

/// Reads `tmpfs`: a list for Docker, a map of path and options for Podman.
fn tmpfs(reader: &mut Reader<'_>, at: &str) -> IndexMap<String, String> {
    if reader.value(at).is_some_and(Value::is_object) {
        return reader.text_map(at);
    }
    let entries = reader.texts(at).into_iter().map(|entry| match entry.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (entry, String::new()),
    });
    entries.collect()
}

/// Reads `etc_hosts`: a map, or the text of one, which is how the driver's documentation writes it.
fn hosts(reader: &mut Reader<'_>, at: &str) -> Vec<String> {
    if let Some(Value::String(text)) = reader.value(at) {
        let inner = text.trim().trim_start_matches('{').trim_end_matches('}');
        let pairs = inner.split(',').filter_map(|pair| pair.split_once(':'));
        let clean = |text: &str| text.trim().trim_matches(['\'', '"']).to_owned();
        return pairs.map(|(name, address)| format!("{}:{}", clean(name), clean(address))).collect();
    }
    reader.text_map(at).into_iter().map(|(name, address)| format!("{name}:{address}")).collect()
}

/// Reads `ulimits`: a list of `NAME:SOFT[:HARD]`.
fn ulimits(reader: &mut Reader<'_>, at: &str) -> Vec<Ulimit> {
    let mut limits = Vec::new();
    for (index, text) in reader.texts(at).into_iter().enumerate() {
        let limit = |text: &str| match text {
            "-1" | "unlimited" => Some(None),
            number => number.parse().ok().map(Some),
        };
        let parts: Vec<&str> = text.split([':', '=']).collect();
        let read = match parts.as_slice() {
            [name, both] => limit(both).map(|both| (*name, both, both)),
            [name, soft, hard] => limit(soft).zip(limit(hard)).map(|(soft, hard)| (*name, soft, hard)),
            _ => None,
        };
        if let Some((name, soft, hard)) = read {
            limits.push(Ulimit { name: name.to_owned(), soft, hard });
        } else {
            let message = format!("`{text}` is no limit; write it like `nofile:1024:4096`");
            reader.refuse(&format!("{at}/{index}"), message);
        }
    }
    limits
}

fn size(reader: &mut Reader<'_>, at: &str) -> Option<u64> {
    let text = reader.text(at)?;
    // Docker's letters may carry a `b`, and count in 1024s all the same.
    let lower = text.to_ascii_lowercase();
    let size = amount::size(lower.strip_suffix('b').unwrap_or(&lower));
    if size.is_none() {
        reader.refuse(at, format!("`{text}` is no size; write it like `512m`"));
    }
    size
}
