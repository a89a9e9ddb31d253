use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;

/// An entry as a hostile package may write it: its name is not checked.
fn raw(path: &str, kind: EntryType, link: &str) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn tar(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(|(path, kind, link)| raw(path, *kind, link)).collect();
    bytes.extend([0; 1024]);
    bytes
}

fn control(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn package(control: &[u8], data: &[u8]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", control), ("data.tar", data)] {
        let header = ar::Header::new(name.into(), content.len() as u64);
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

const FIELDS: &str = "Package: evil\nVersion: 1\nArchitecture: amd64\n";

/// Lays a package out after `before`, and returns the paths in the result.
fn lay_out(
    before: &[(&str, EntryType, &str)],
    entries: &[(&str, EntryType, &str)],
) -> Result<Vec<String>, String> {
    let mut layout = Layout::new(Vec::new(), 0);
    for (name, entries) in [("good", before), ("evil", entries)] {
        let fields = FIELDS.replace("evil", name);
        let deb = Deb::open(&package(&control(&[("./control", &fields)]), &tar(entries)))?;
        layout.add(&Package::for_test(name), deb).map_err(|error| error.to_string())?;
    }
    let bytes = layout.writer.finish().map_err(|error| error.to_string())?;
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().map_err(|error| error.to_string())?;
    Ok(entries.map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).into_owned()).collect())
}

const DIRECTORY_KIND: EntryType = EntryType::Directory;
const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;

#[test]
fn paths_that_leave_the_root_are_refused() {
    for entries in [
        &[("../evil", FILE, "")][..],
        &[("./a/../../evil", FILE, "")],
        &[("a", LINK, "../../.."), ("a/../evil", FILE, "")],
        &[("hard", EntryType::Link, "/etc/shadow")],
        &[("hard", EntryType::Link, "../../etc/shadow")],
        &[("device", EntryType::Block, "")],
        &[("device", EntryType::Char, "")],
        &[("./", LINK, "/elsewhere")],
        &[(".takelage-bootstrap/essential", FILE, "")],
        &[("file", FILE, ""), ("file/below", FILE, "")],
        &[("loop", LINK, "loop"), ("loop/x", FILE, "")],
    ] {
        let result = lay_out(&[], entries);
        assert!(result.is_err(), "{entries:?} became {result:?}");
    }
}

#[test]
fn links_out_of_the_root_lead_back_into_it() {
    let paths = lay_out(&[], &[("out", LINK, "/../../etc"), ("out/evil", FILE, "")]).unwrap();
    assert_eq!(paths, ["out", "etc/", "etc/evil"]);
}

#[test]
fn a_package_cannot_take_what_another_has() {
    let before = [("etc", DIRECTORY_KIND, ""), ("etc/passwd", FILE, "")];
    assert!(lay_out(&before, &[("etc/passwd", FILE, "")]).is_err());
    assert!(lay_out(&before, &[("etc/passwd", LINK, "/tmp/x")]).is_err());
    assert!(lay_out(&before, &[("mine", EntryType::Link, "etc/passwd")]).is_err());
    // A directory stays what it is, and what is below it stays where it is.
    assert_eq!(lay_out(&before, &[("etc", LINK, "tmp")]).unwrap(), ["etc/", "etc/passwd"]);
}

#[test]
fn a_package_must_be_what_was_selected() {
    for fields in ["Package: other\nVersion: 1\nArchitecture: amd64\n", "Package: evil\n", "", "\n\n", ":"] {
        let deb = Deb::open(&package(&control(&[("control", fields)]), &tar(&[])));
        let result = deb
            .map_err(drop)
            .and_then(|deb| Layout::new(Vec::new(), 0).add(&Package::for_test("evil"), deb).map_err(drop));
        assert!(result.is_err(), "{fields:?}");
    }
}

#[test]
fn control_files_have_plain_names() {
    for name in ["a/b", "UPPER", "x"] {
        let deb = Deb::open(&package(&control(&[("control", FIELDS), (name, "")]), &tar(&[])));
        assert!(deb.is_err(), "{name}");
    }
    for trigger in ["interest ../x", "interest a/b", "interest File", "interest", "explode x"] {
        let deb =
            Deb::open(&package(&control(&[("control", FIELDS), ("triggers", trigger)]), &tar(&[]))).unwrap();
        assert!(Layout::new(Vec::new(), 0).add(&Package::for_test("evil"), deb).is_err(), "{trigger}");
    }
}

#[test]
fn a_bomb_is_refused() {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 80 << 20), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    let mut builder = ar::Builder::new(Vec::new());
    builder.append(&ar::Header::new(b"debian-binary".to_vec(), 4), &b"2.0\n"[..]).unwrap();
    builder.append(&ar::Header::new(b"control.tar.xz".to_vec(), bomb.len() as u64), bomb.as_slice()).unwrap();
    let error = Deb::open(&builder.into_inner().unwrap()).unwrap_err();
    assert!(error.contains("larger than"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_package_or_refused(bytes: Vec<u8>) {
        prop_assert!(Deb::open(&bytes).is_err());
    }

    #[test]
    fn a_damaged_package_is_laid_out_or_refused(position in 0_usize..4096, value: u8) {
        let mut bytes = package(
            &control(&[("control", FIELDS), ("conffiles", "/etc/x\n"), ("md5sums", "")]),
            &tar(&[("etc", DIRECTORY_KIND, ""), ("etc/x", FILE, ""), ("l", LINK, "etc")]),
        );
        let length = bytes.len();
        bytes[position % length] = value;
        if let Ok(deb) = Deb::open(&bytes) {
            drop(Layout::new(Vec::new(), 0).add(&Package::for_test("evil"), deb));
        }
    }

    #[test]
    fn no_laid_out_path_leaves_the_root(
        entries in proptest::collection::vec(("[ab./]{1,10}", 0_usize..4, "[ab./]{1,10}"), 0..8),
    ) {
        let kinds = [DIRECTORY_KIND, FILE, LINK, EntryType::Link];
        let entries: Vec<_> =
            entries.iter().map(|(path, kind, link)| (path.as_str(), kinds[*kind], link.as_str())).collect();
        for path in lay_out(&[], &entries).unwrap_or_default() {
            prop_assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".."), "{}", path);
        }
    }
}
