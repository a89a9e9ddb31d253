//! Who a command runs as: names become numbers by the container's own files, as Docker does it.
//!
//! ```text
//! user spec    = user [":" group]
//! /etc/passwd  = name ":" … ":" uid ":" gid ":" … ":" home ":" …
//! /etc/group   = name ":" … ":" gid ":" member ["," member]…
//! ```
//!
//! The files are whoever's who runs in the container: their size is limited, and a line that makes no sense is
//! skipped. A name that could be read as a number is a name first, wherever it comes first in the file.

use std::{fs::File, io::Read, str};

use rustix::{
    fs::{FileType, Mode, OFlags},
    process::{Gid, Uid},
};
use thiserror::Error;

/// Where the users are.
const PASSWD: &str = "/etc/passwd";
/// Where the groups are.
const GROUP: &str = "/etc/group";
/// A longer file of either kind is not read, in bytes.
const LONGEST: u64 = 16 << 20;
/// The highest number that a user spec may name, as under Docker.
const HIGHEST: u32 = i32::MAX.unsigned_abs();

/// Who somebody is to the kernel, and where they live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// All groups, the first one included.
    pub(crate) groups: Vec<Gid>,
    pub(crate) home: Vec<u8>,
}

/// A user that cannot be found.
#[derive(Debug, Error)]
pub(crate) enum UserError {
    #[error("there is no user `{name}` in the container's {PASSWD}")]
    NoSuchUser { name: String },
    #[error("there is no group `{name}` in the container's {GROUP}")]
    NoSuchGroup { name: String },
    #[error("the container's {path} cannot be read: {reason}")]
    Unreadable { path: &'static str, reason: String },
}

/// The container's users and groups.
#[derive(Debug, Default)]
pub(crate) struct Users {
    passwd: Vec<u8>,
    group: Vec<u8>,
}

impl Users {
    /// Reads the container's files. A file that is not there is empty.
    pub(crate) fn read() -> Result<Self, UserError> {
        Ok(Self { passwd: content(PASSWD)?, group: content(GROUP)? })
    }

    /// Finds out who `spec` is.
    pub(crate) fn find(&self, spec: &str) -> Result<Identity, UserError> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (spec, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let entry = entries(&self.passwd).find_map(|fields| User::parse(&fields, user));
        let (uid, own_group, name, home) = match (entry, number(user)) {
            (Some(entry), _) => (entry.uid, entry.gid, Some(entry.name), entry.home),
            (None, Some(uid)) => (uid, 0, None, &b"/"[..]),
            (None, None) => return Err(UserError::NoSuchUser { name: user.to_owned() }),
        };
        let (gid, mut groups) = match group {
            // Whoever names a group wants that one and no other.
            Some(group) => (self.group(group)?, Vec::new()),
            None => (own_group, name.map(|name| self.groups_of(name)).unwrap_or_default()),
        };
        if !groups.contains(&gid) {
            groups.insert(0, gid);
        }
        let home = if home.is_empty() || home.contains(&0) { b"/".to_vec() } else { home.to_vec() };
        let groups = groups.into_iter().map(Gid::from_raw).collect();
        Ok(Identity { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups, home })
    }

    fn group(&self, wanted: &str) -> Result<u32, UserError> {
        let found = entries(&self.group).find_map(|fields| {
            let [name, _, gid, ..] = fields[..] else { return None };
            let gid = id(gid)?;
            (name == wanted.as_bytes() || number(wanted) == Some(gid)).then_some(gid)
        });
        found.or(number(wanted)).ok_or_else(|| UserError::NoSuchGroup { name: wanted.to_owned() })
    }

    fn groups_of(&self, user: &[u8]) -> Vec<u32> {
        let mut groups = Vec::new();
        for fields in entries(&self.group) {
            let [_, _, gid, members, ..] = fields[..] else { continue };
            let Some(gid) = id(gid) else { continue };
            if members.split(|&byte| byte == b',').any(|member| member.trim_ascii() == user)
                && !groups.contains(&gid)
            {
                groups.push(gid);
            }
        }
        groups
    }
}

struct User<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

impl<'a> User<'a> {
    /// Returns the user of a line, if it is the wanted one.
    fn parse(fields: &[&'a [u8]], wanted: &str) -> Option<Self> {
        let [name, _, uid, gid, ..] = *fields else { return None };
        let (uid, gid) = (id(uid)?, id(gid)?);
        let home = fields.get(5).copied().unwrap_or_default();
        (name == wanted.as_bytes() || number(wanted) == Some(uid)).then_some(Self { name, uid, gid, home })
    }
}

/// Cuts a file into lines and those into fields.
fn entries(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let lines = file.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.map(|line| line.split(|&byte| byte == b':').collect())
}

/// Reads a number that a file says. The highest one means nobody to the kernel.
fn id(field: &[u8]) -> Option<u32> {
    let text = str::from_utf8(field).ok()?;
    text.parse().ok().filter(|&id| id != u32::MAX && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads a number that a user spec says.
fn number(text: &str) -> Option<u32> {
    id(text.as_bytes()).filter(|&id| id <= HIGHEST)
}

/// Reads a file that might be anything. Opening a pipe does not wait for a writer.
fn content(path: &'static str) -> Result<Vec<u8>, UserError> {
    let unreadable = |reason: &dyn ToString| UserError::Unreadable { path, reason: reason.to_string() };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Vec::new()),
        Err(errno) => return Err(unreadable(&errno)),
    };
    let about = rustix::fs::fstat(&file).map_err(|errno| unreadable(&errno))?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err(unreadable(&"it is no regular file"));
    }
    let mut content = Vec::new();
    let read = File::from(file).take(LONGEST + 1).read_to_end(&mut content);
    read.map_err(|error| unreadable(&error))?;
    if content.len() as u64 > LONGEST {
        return Err(unreadable(&format!("it is longer than {LONGEST} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn users() -> Users {
        let passwd = b"# comment\nroot:x:0:0:root:/root:/bin/sh\nbroken:x:zero:0::/:\n+::::::\n\
            app:x:1000:1000:app:/srv:/bin/sh\nfew:x:5:6\n42:x:43:44::/forty-two:\nlast:x:4294967295:1::/:\nodd:x:+7:1::/:";
        let group = b"root:x:0:\napp:x:1000:\nextra:x:1001:app,root\nmore:x:1002:ap, app\nagain:x:1001:app\nfew:x:6\nbad:x:-1:app\n";
        Users { passwd: passwd.to_vec(), group: group.to_vec() }
    }

    fn found(spec: &str) -> (u32, u32, Vec<u32>, String) {
        let identity = users().find(spec).unwrap_or_else(|error| panic!("{spec}: {error}"));
        let groups = identity.groups.iter().map(|gid| gid.as_raw()).collect();
        let home = String::from_utf8(identity.home).unwrap();
        (identity.uid.as_raw(), identity.gid.as_raw(), groups, home)
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        for (spec, uid, gid, groups, home) in [
            ("root", 0, 0, &[0, 1001][..], "/root"),
            ("0", 0, 0, &[0, 1001], "/root"),
            ("", 0, 0, &[0, 1001], "/root"),
            ("app", 1000, 1000, &[1000, 1001, 1002], "/srv"),
            ("1000", 1000, 1000, &[1000, 1001, 1002], "/srv"),
            ("app:", 1000, 1000, &[1000, 1001, 1002], "/srv"),
            ("app:extra", 1000, 1001, &[1001], "/srv"),
            ("app:1002", 1000, 1002, &[1002], "/srv"),
            ("4242:4343", 4242, 4343, &[4343], "/"),
            ("4242", 4242, 0, &[0], "/"),
            ("few", 5, 6, &[6], "/"),
            ("42", 43, 44, &[44], "/forty-two"),
            (":app", 0, 1000, &[1000], "/root"),
        ] {
            assert_eq!(found(spec), (uid, gid, groups.to_vec(), home.to_owned()), "{spec}");
        }
    }

    #[test]
    fn nobody_is_taken_for_root() {
        for spec in [
            "nobody",
            "broken",
            "last",
            "odd",
            "-1",
            "+5",
            "4294967295",
            "2147483648",
            " root",
            "app:none",
            "app:bad",
            "# comment",
        ] {
            assert!(users().find(spec).is_err(), "{spec}");
        }
        assert_eq!(Users::default().find("0").unwrap().groups, [Gid::ROOT]);
    }

    #[test]
    fn a_home_that_is_none_is_the_root() {
        let users = Users { passwd: b"a:x:1:1::/h\0me:\nb:x:2:2:::\n".to_vec(), group: Vec::new() };
        assert_eq!([users.find("a").unwrap().home, users.find("b").unwrap().home], [b"/", b"/"]);
    }

    proptest! {
        #[test]
        fn any_files_and_any_spec_do(
            passwd in "([a-z+:,0-9\u{0}é\\n -]{0,200})",
            group in proptest::collection::vec(any::<u8>(), 0..200),
            spec in ".{0,8}",
        ) {
            let users = Users { passwd: passwd.into_bytes(), group };
            if let Ok(identity) = users.find(&spec) {
                prop_assert!(identity.groups.contains(&identity.gid));
                prop_assert_ne!(identity.uid.as_raw(), u32::MAX);
            }
        }
    }
}
