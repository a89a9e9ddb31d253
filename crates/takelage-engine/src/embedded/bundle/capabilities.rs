//! Which capabilities the first process has, and which what it starts.

use takelage_model::agent::DOCKER_CAPABILITIES;

use crate::{ContainerSpec, Startup};

/// All that Linux has, by number.
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// What the agent needs on its own account: it installs filters of system calls, and gives up the right to before it
/// starts anything.
const OF_THE_AGENT: &str = "SYS_ADMIN";

/// Returns the capabilities of what runs in the container, as `CAP_…`, in the order of their numbers.
pub(in super::super) fn children(spec: &ContainerSpec) -> Result<Vec<String>, String> {
    let mut wanted = if spec.privileged { ALL.to_vec() } else { DOCKER_CAPABILITIES.to_vec() };
    if matches!(spec.startup, Startup::Systemd(_)) {
        wanted.push("SYS_ADMIN");
    }
    for option in &spec.capabilities {
        let (add, name) = match option.strip_prefix('-') {
            Some(name) => (false, name),
            None => (true, option.as_str()),
        };
        let name = name.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        let named: Vec<&str> = ALL.into_iter().filter(|known| name == "ALL" || *known == name).collect();
        if named.is_empty() {
            return Err(format!("there is no capability `{option}`"));
        }
        wanted.retain(|known| !named.contains(known));
        if add {
            wanted.extend(named);
        }
    }
    Ok(ALL.iter().filter(|name| wanted.contains(name)).map(|name| format!("CAP_{name}")).collect())
}

/// Returns the capabilities of the container's first process, the agent.
pub(in super::super) fn first_process(spec: &ContainerSpec) -> Result<Vec<String>, String> {
    let mut names = children(spec)?;
    for name in [OF_THE_AGENT, "SETPCAP", "SETUID", "SETGID", "KILL"].map(|name| format!("CAP_{name}")) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use takelage_model::Digest;

    use super::*;
    use crate::ImageId;

    fn of(options: &[&str]) -> Result<Vec<String>, String> {
        let mut spec = ContainerSpec::new("test", ImageId(Digest::of("")));
        spec.capabilities = options.iter().map(|&option| option.to_owned()).collect();
        children(&spec)
    }

    #[test]
    fn the_default_is_dockers_fourteen() {
        assert_eq!(of(&[]).unwrap().len(), 14);
        assert!(!of(&[]).unwrap().contains(&"CAP_SYS_ADMIN".to_owned()));
    }

    #[test]
    fn capabilities_come_and_go_by_any_spelling() {
        let with = of(&["net_admin", "CAP_SYS_ADMIN", "-CAP_CHOWN", "-mknod"]).unwrap();
        assert!(with.contains(&"CAP_NET_ADMIN".to_owned()) && with.contains(&"CAP_SYS_ADMIN".to_owned()));
        assert!(!with.contains(&"CAP_CHOWN".to_owned()) && !with.contains(&"CAP_MKNOD".to_owned()));
        assert_eq!(of(&["ALL"]).unwrap().len(), 41);
        assert_eq!(of(&["-ALL", "CHOWN"]).unwrap(), ["CAP_CHOWN"]);
        assert!(of(&["FLY"]).unwrap_err().contains("FLY"));
    }

    #[test]
    fn the_agent_has_what_it_needs_also_where_its_children_have_nothing() {
        let mut spec = ContainerSpec::new("test", ImageId(Digest::of("")));
        spec.capabilities = vec!["-ALL".to_owned()];
        assert!(first_process(&spec).unwrap().contains(&"CAP_SYS_ADMIN".to_owned()));
        assert!(children(&spec).unwrap().is_empty());
    }
}
