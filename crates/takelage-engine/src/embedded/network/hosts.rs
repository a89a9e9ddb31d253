//! Names: the switch writes one line for each container into the `/etc/hosts` of all.
//!
//! Its lines carry a mark, so that it finds them again; all others are the container's own, and stay.

use std::{
    io::{self, Write as _},
    net::Ipv4Addr,
    path::Path,
};

use fs_err as fs;

/// What `/etc/hosts` begins with where the network is not the host's.
pub(in super::super) const LOCAL: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
/// How the switch's lines end.
const MARK: &str = "# takelage";

/// One container's line.
pub(super) fn line(address: Ipv4Addr, names: &[String]) -> String {
    format!("{address}\t{}\t{MARK}\n", names.join(" "))
}

/// Replaces the switch's lines in a file. One that is gone is fine.
pub(super) fn update(path: &Path, lines: &str) -> io::Result<()> {
    let old = match fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let new = replaced(&old, lines);
    if new == old {
        return Ok(());
    }
    // It is mounted in the container, so another file in its place would not be seen there.
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(new.as_bytes())?;
    file.set_len(new.len() as u64)
}

fn replaced(text: &str, lines: &str) -> String {
    let mut own: String =
        text.split_inclusive('\n').filter(|line| !line.trim_end().ends_with(MARK)).collect();
    if !own.is_empty() && !own.ends_with('\n') {
        own.push('\n');
    }
    own + lines
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn own_lines_stay_and_others_are_replaced(own in proptest::collection::vec("[a-z0-9 .\t]{0,20}", 0..6)) {
            let own: String = own.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let one = line(Ipv4Addr::new(10, 94, 0, 10), &["web".to_owned()]);
            let two = line(Ipv4Addr::new(10, 94, 0, 11), &["db".to_owned(), "database".to_owned()]);
            let both = replaced(&own, &format!("{one}{two}"));
            proptest::prop_assert_eq!(&both, &format!("{own}{one}{two}"));
            proptest::prop_assert_eq!(replaced(&both, &two), format!("{own}{two}"));
            proptest::prop_assert_eq!(replaced(&both, ""), own);
        }
    }

    #[test]
    fn a_file_becomes_shorter_and_longer_in_its_place() {
        use std::os::unix::fs::MetadataExt as _;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        fs::write(&path, "127.0.0.1 localhost").unwrap();
        let number = fs::metadata(&path).unwrap().ino();
        let one = line(Ipv4Addr::new(10, 94, 0, 10), &["web".to_owned()]);
        for lines in [one.as_str(), ""] {
            update(&path, lines).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("127.0.0.1 localhost\n{lines}"));
        }
        assert_eq!(fs::metadata(&path).unwrap().ino(), number);
        update(&directory.path().join("gone"), &one).unwrap();
    }
}
