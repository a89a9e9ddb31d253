//! Unpacks archives that nobody should have made, and packs what became of them. Run it as root, on a file system in memory:
//! `TMPDIR=/dev/shm`.
//!
//! Nothing outside of the directory may change, and what was unpacked must be what is packed: a layer of the tree makes the same
//! tree, and the same layer of that.

#![no_main]

use std::{fs, fs::File, os::fd::AsFd, path::Path};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use takelage_engine::fuzzing::{pack_layer, remove_tree, unpack_layer};
use tar::{EntryType, Header};

/// Names that meet each other, and those that say something.
const COMPONENTS: [&str; 14] = [
    "a",
    "b",
    "c",
    "",
    ".",
    "..",
    ".wh.a",
    ".wh.b",
    ".wh..wh..opq",
    ".wh..wh.plnk",
    ".wh.",
    "outside",
    "file",
    "root",
];
const KEYS: [&str; 22] = [
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "SCHILY.xattr.user.a",
    "SCHILY.xattr.security.capability",
    "SCHILY.xattr.trusted.overlay.opaque",
    "SCHILY.xattr.trusted.overlay.redirect",
    "SCHILY.xattr.system.posix_acl_default",
    "SCHILY.xattr.system.posix_acl_access",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
    "GNU.sparse.numblocks",
    "GNU.sparse.offset",
    "GNU.sparse.numbytes",
    "GNU.sparse.map",
    "comment",
];
const KINDS: &[u8] = b"0\x001234567SxgLKV";

/// More than this is no better test.
const MOST: u64 = 1 << 20;

#[derive(Arbitrary, Debug)]
enum Input {
    /// An archive as it is.
    Raw(Vec<u8>),
    /// One that is whole enough to be read further.
    Members(Vec<Member>),
}

#[derive(Arbitrary, Debug)]
struct Member {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    gnu: bool,
    mode: u16,
    owner: (u16, u16),
    mtime: u32,
    device: (u8, u8),
    records: Vec<(u8, Value)>,
    content: Content,
    /// What a header's field says otherwise.
    patches: Vec<(u16, u8)>,
    cut: Option<u8>,
}

#[derive(Arbitrary, Debug)]
enum Value {
    Bytes(Vec<u8>),
    Number(u16),
    Numbers(Vec<u16>),
    Name(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Content {
    Bytes(Vec<u8>),
    Blocks(u8),
    /// The map of a sparse file, and blocks.
    Map(Vec<u16>, u8),
    Records(Vec<(u8, Value)>),
}

fn name(components: &[u8]) -> String {
    let component = |&index: &u8| COMPONENTS[usize::from(index) % COMPONENTS.len()];
    components.iter().map(component).collect::<Vec<_>>().join("/")
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Number(number) => number.to_string().into_bytes(),
            Self::Numbers(numbers) => {
                numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",").into_bytes()
            }
            Self::Name(components) => name(components).into_bytes(),
        }
    }
}

fn records(records: &[(u8, Value)]) -> Vec<u8> {
    let mut all = Vec::new();
    for (key, value) in records {
        let rest =
            [b" ", KEYS[usize::from(*key) % KEYS.len()].as_bytes(), b"=", &value.bytes(), b"\n"].concat();
        let mut length = rest.len() + 1;
        while length != rest.len() + length.to_string().len() {
            length = rest.len() + length.to_string().len();
        }
        all.extend_from_slice(length.to_string().as_bytes());
        all.extend_from_slice(&rest);
    }
    all
}

fn put(field: &mut [u8], text: &str) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

impl Member {
    fn append(&self, tar: &mut Vec<u8>) {
        if !self.records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            let records = records(&self.records);
            header.set_size(records.len() as u64);
            append(tar, header, &records);
        }
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Blocks(blocks) => vec![b'x'; usize::from(blocks % 8) * 512],
            Content::Map(numbers, blocks) => {
                let mut map = format!("{}\n", numbers.len() / 2).into_bytes();
                numbers.iter().for_each(|number| map.extend_from_slice(format!("{number}\n").as_bytes()));
                map.resize(map.len().next_multiple_of(512) + usize::from(blocks % 8) * 512, b'x');
                map
            }
            Content::Records(all) => records(all),
        };
        let mut header = if self.gnu { Header::new_gnu() } else { Header::new_ustar() };
        header.set_entry_type(EntryType::new(KINDS[usize::from(self.kind) % KINDS.len()]));
        put(&mut header.as_old_mut().name, &name(&self.name));
        put(&mut header.as_old_mut().linkname, &name(&self.link));
        header.set_mode(self.mode.into());
        header.set_uid(self.owner.0.into());
        header.set_gid(self.owner.1.into());
        header.set_mtime(self.mtime.into());
        header.set_device_major(self.device.0.into()).expect("this format has devices");
        header.set_device_minor(self.device.1.into()).expect("this format has devices");
        header.set_size(content.len() as u64);
        for (at, byte) in &self.patches {
            header.as_mut_bytes()[usize::from(*at) % 512] = *byte;
        }
        append(tar, header, &content);
        if let Some(cut) = self.cut {
            tar.truncate(tar.len().saturating_sub(cut.into()));
        }
    }
}

fn append(tar: &mut Vec<u8>, mut header: Header, content: &[u8]) {
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fuzz_target!(|input: Input| {
    let tar = match input {
        Input::Raw(tar) => tar,
        Input::Members(members) => {
            let mut tar = Vec::new();
            members.iter().for_each(|member| member.append(&mut tar));
            tar.resize(tar.len() + 1024, 0);
            tar
        }
    };
    let bench = tempfile::tempdir().expect("room for a directory");
    let path = |name: &str| bench.path().join(name);
    for name in ["root", "again", "outside"] {
        fs::create_dir(path(name)).expect("the directory is new");
    }
    fs::write(path("outside/file"), "untouched").expect("room for a file");
    let open = |name: &str| File::open(path(name)).expect("the directory was made");
    let (root, again) = (open("root"), open("again"));
    let unpacked = unpack_layer(tar.as_slice(), root.as_fd(), MOST);
    assert_eq!(fs::read(path("outside/file")).expect("it is untouched"), b"untouched");
    assert_eq!(fs::read_dir(path("outside")).expect("it is untouched").count(), 1);
    assert_eq!(fs::read_dir(bench.path()).expect("it is untouched").count(), 3);
    if unpacked.is_ok() {
        let layer = pack_layer(root.as_fd()).expect("what was unpacked can be packed");
        unpack_layer(layer.as_slice(), again.as_fd(), 2 * MOST).expect("what was packed can be unpacked");
        assert!(pack_layer(again.as_fd()).expect("and packed again") == layer, "into the same bytes");
    }
    for name in ["root", "again"] {
        remove_tree(open(".").as_fd(), Path::new(name)).expect("any tree can be removed");
    }
});
