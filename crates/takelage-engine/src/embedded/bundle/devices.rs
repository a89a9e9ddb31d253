//! Devices of a container, and the rules of its control group about them.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use serde_json::{Value, json};

/// Devices that every container has, which the runtime makes by itself: kind and numbers.
const DEFAULT: [(&str, i64, Option<i64>); 8] = [
    ("c", 1, Some(3)),
    ("c", 1, Some(5)),
    ("c", 1, Some(7)),
    ("c", 1, Some(8)),
    ("c", 1, Some(9)),
    ("c", 5, Some(0)),
    ("c", 5, Some(2)),
    ("c", 136, None),
];

/// Devices beyond those that every container has.
#[derive(Debug)]
pub(super) struct Devices {
    /// Nodes to make.
    pub(super) nodes: Vec<Value>,
    allowed: Vec<Value>,
}

impl Devices {
    /// Returns the rules of the control group: nothing but what is listed may be opened; nodes may be made of anything.
    pub(super) fn rules(&self, privileged: bool) -> Vec<Value> {
        if privileged {
            return vec![json!({"allow": true, "access": "rwm"})];
        }
        let mut rules = vec![json!({"allow": false, "access": "rwm"})];
        for kind in ["c", "b"] {
            rules.push(json!({"allow": true, "type": kind, "access": "m"}));
        }
        for (kind, major, minor) in DEFAULT {
            let mut rule = json!({"allow": true, "type": kind, "major": major, "access": "rwm"});
            if let Some(minor) = minor {
                rule["minor"] = minor.into();
            }
            rules.push(rule);
        }
        rules.extend(self.allowed.iter().cloned());
        rules
    }
}

/// Reads `HOST[:CONTAINER[:rwm]]` as `docker run --device` does.
pub(super) fn devices(options: &[String]) -> Result<Devices, String> {
    let mut devices = Devices { nodes: Vec::new(), allowed: Vec::new() };
    for option in options {
        let mut parts = option.splitn(3, ':');
        let host = parts.next().unwrap_or_default();
        let (mut inside, mut rights) = (host, "rwm");
        for part in parts {
            *(if part.starts_with('/') { &mut inside } else { &mut rights }) = part;
        }
        let metadata = fs_err::metadata(host).map_err(|error| error.to_string())?;
        let kind = match metadata.file_type() {
            kind if kind.is_char_device() => "c",
            kind if kind.is_block_device() => "b",
            _ => return Err(format!("`{host}` is no device")),
        };
        let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        devices.nodes.push(json!({
            "path": inside, "type": kind, "major": major, "minor": minor,
            "fileMode": metadata.mode() & 0o7777, "uid": 0, "gid": 0,
        }));
        devices
            .allowed
            .push(json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": rights}));
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_made_and_allowed() {
        let devices = devices(&["/dev/null:/dev/void:r".to_owned()]).unwrap();
        assert_eq!(devices.nodes[0]["path"], "/dev/void");
        assert_eq!((&devices.nodes[0]["major"], &devices.nodes[0]["minor"]), (&json!(1), &json!(3)));
        let rules = devices.rules(false);
        assert_eq!(rules.first().unwrap()["allow"], false);
        assert_eq!(rules.last().unwrap()["access"], "r");
    }

    #[test]
    fn what_is_no_device_is_refused() {
        assert!(devices(&["/etc/passwd".to_owned()]).unwrap_err().contains("is no device"));
        assert!(devices(&["/dev/none-such".to_owned()]).is_err());
    }
}
