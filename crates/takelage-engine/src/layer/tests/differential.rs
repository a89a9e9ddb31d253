//! The same archives by GNU tar and by this module, with equal trees; and archives by either for the other.

use std::path::Path;

use rustix::fs::XattrFlags;
use takelage_testkit::tree::Tree;

use super::{gnu, *};

/// Makes one of everything that is hard.
fn make(root: &Path) {
    gnu::shell(
        root,
        r#"
        umask 022
        mkdir -p d/sub empty "strange name"
        echo content > d/file
        printf 'x%.0s' $(seq 1 5000) > d/blocks
        head -c 512 /dev/zero > d/block
        : > d/nothing
        ln d/file d/sub/link
        ln d/file other
        ln -s ../file d/sub/relative
        ln -s /etc/passwd absolute
        ln -s nowhere dangling
        ln dangling dangling-too
        mkfifo -m 622 fifo
        mknod -m 666 null c 1 3
        mknod -m 640 loop b 7 200
        mknod -m 600 large c 4095 1048575
        cp d/file setuid; chown 3000000:4000000 setuid; chmod 6755 setuid
        chown -h 7:8 dangling
        mkdir shared; chown 0:50 shared; chmod 2775 shared; mkdir shared/sub; echo 1 > shared/file; echo 1 > shared/sub/child
        mkdir sticky; chmod 1777 sticky; mkdir closed; echo 1 > closed/file; chmod 000 closed closed/file
        truncate -s 3M hole; printf end >> hole
        printf start > holes; truncate -s 1M holes; for n in 1 2 3 4 5 6 7 8 9; do
            printf "part $n" | dd of=holes bs=1 seek=$((n * 2000000 + n)) conv=notrunc status=none; done
        truncate -s 30M holes
        truncate -s 2M only-hole
        long=$(printf 'n%.0s' $(seq 1 90)); mkdir -p $long/$long/$long
        echo long > $long/$long/$long/$long; ln -s $long/$long/$long/$long link-to-long; ln $long/$long/$long/$long hard-to-long
        exact=$(printf 'e%.0s' $(seq 1 98)); : > $exact; : > ${exact}e; : > ${exact}ee; mkdir ${exact}D
        : > "$(printf 'new\nline')"; : > "$(printf 'not\377utf8')"; : > 'back\slash'
        touch -d @0 epoch; touch -d @-12345 before; touch -d @5000000000.123456789 far; touch -h -d @77.5 dangling
        touch -d @1000000000.5 d/sub; touch -d @999999999.25 d; touch -d @123456789 .
        "#,
    );
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(root.join(path), name, value, XattrFlags::empty()).unwrap();
    };
    // One capability, and bits that are a newline in a record.
    set("d/file", "security.capability", b"\x01\0\0\x02\n\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    set("d/blocks", "user.binary", &(0..=255).collect::<Vec<u8>>());
    set("d/nothing", "user.empty", b"");
    set("d", "user.of a directory", b"1=2");
    set("setuid", "user.a=b%3D", b"\n\n");
    set("dangling", "trusted.of.a.link", b"1");
    set("null", "trusted.of.a.device", b"2");
    set("fifo", "trusted.of.a.fifo", b"3");
    // u::rwx u:1000:rwx g::r-x m::rwx o::r-x, handed on to what is made in the directory.
    let acl = [
        [2, 0, 0, 0].as_slice(),
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[2, 0, 7, 0, 232, 3, 0, 0],
        &[4, 0, 5, 0, 255, 255, 255, 255],
        &[16, 0, 7, 0, 255, 255, 255, 255],
        &[32, 0, 5, 0, 255, 255, 255, 255],
    ]
    .concat();
    set("shared/sub", "system.posix_acl_default", &acl);
    assert!(rustix::fs::lgetxattr(root.join("null"), "trusted.of.a.device", &mut [0_u8; 8]).is_ok());
}

#[test]
fn root_unpacks_every_format_of_gnu_tar_as_gnu_tar_does() {
    if let Some(reason) = gnu::missing() {
        takelage_testkit::skip!("{reason}");
    }
    let source = tempfile::tempdir().unwrap();
    make(source.path());
    let original = Tree::of(source.path()).unwrap();
    let xattrs = ["--format=posix", "--xattrs", "--xattrs-include=*"];
    let too_long =
        ["--exclude=nnn*", "--exclude=*to-long", "--exclude=setuid", "--exclude=far", "--exclude=before"];
    for (what, options) in [
        ("gnu", vec!["--format=gnu"]),
        ("gnu sparse", vec!["--format=gnu", "-S", "--hole-detection=raw"]),
        ("oldgnu", vec!["--format=oldgnu", "-S"]),
        ("posix", xattrs.to_vec()),
        (
            "posix sparse 0.0",
            [&xattrs, ["-S", "--sparse-version=0.0", "--hard-dereference"].as_slice()].concat(),
        ),
        ("posix sparse 0.1", [&xattrs, ["-S", "--sparse-version=0.1"].as_slice()].concat()),
        ("posix sparse 1.0", [&xattrs, ["-S", "--sparse-version=1.0"].as_slice()].concat()),
        ("ustar", [&["--format=ustar"], too_long.as_slice()].concat()),
        (
            "v7",
            [
                &[
                    "--format=v7",
                    "--exclude=null",
                    "--exclude=loop",
                    "--exclude=large",
                    "--exclude=fifo",
                    "--exclude=e*",
                ],
                too_long.as_slice(),
            ]
            .concat(),
        ),
    ] {
        let bench = Bench::new();
        let tar = source.path().with_extension("tar");
        gnu::pack(source.path(), &tar, &options);
        let theirs = tempfile::tempdir().unwrap();
        gnu::unpack(&tar, theirs.path(), &[]);
        let unpacked = bench.unpack(&fs_err::read(&tar).unwrap()).unwrap();
        fs_err::remove_file(&tar).unwrap();
        assert_eq!(unpacked.left_out, [], "{what}");
        let theirs = Tree::of(theirs.path()).unwrap();
        assert!(theirs.0.len() > 20, "{what}");
        theirs.assert_same(&bench.tree(), what);
        if what == "posix" {
            original.assert_same(&bench.tree(), "the original");
        }
    }
}

#[test]
fn root_packs_what_gnu_tar_unpacks_to_the_same_tree() {
    if let Some(reason) = gnu::missing() {
        takelage_testkit::skip!("{reason}");
    }
    let source = tempfile::tempdir().unwrap();
    make(source.path());
    let options = PackOptions { markers: Namespace::Trusted, newest: None, skip: vec![] };
    let mut tar = Vec::new();
    super::super::pack(open(source.path()).as_fd(), &mut tar, &options).unwrap();
    let file = source.path().with_extension("tar");
    fs_err::write(&file, &tar).unwrap();
    let theirs = tempfile::tempdir().unwrap();
    gnu::unpack(&file, theirs.path(), &[]);
    fs_err::remove_file(&file).unwrap();
    let mut original = Tree::of(source.path()).unwrap();
    // A layer has whole seconds.
    original.0.values_mut().for_each(|file| file.mtime.1 = 0);
    original.assert_same(&Tree::of(theirs.path()).unwrap(), "the original");
}
