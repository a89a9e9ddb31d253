//! Single files in and out.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bytes::Bytes;
use takelage_model::agent::ErrorKind;

use crate::base::{guest, say};

#[tokio::test]
async fn a_file_comes_back_as_it_was() {
    let (client, _agent) = guest().await;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("with space\nand line");
    let name = path.to_str().unwrap();
    for length in [0, 1, 65_536, 20_000_001] {
        let content: Bytes = (0..length).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        client.put(name, None, None, &content[..]).await.unwrap();
        assert!(fs_err::read(&path).unwrap() == content, "{length}");
        let mut back = Vec::new();
        assert_eq!(client.get(name, None, &mut back).await.unwrap(), u64::from(length));
        assert!(back == content, "{length}");
    }
    assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o7777, 0o644);
}

#[tokio::test]
async fn what_is_there_keeps_its_mode_and_links_are_followed() {
    let (client, _agent) = guest().await;
    let scratch = tempfile::tempdir().unwrap();
    let (file, link) = (scratch.path().join("file"), scratch.path().join("link"));
    fs_err::write(&file, "something that is longer").unwrap();
    fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o751)).unwrap();
    fs_err::os::unix::fs::symlink("file", &link).unwrap();
    client.put(link.to_str().unwrap(), None, None, &b"short"[..]).await.unwrap();
    assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs_err::metadata(&file).unwrap().mode() & 0o7777, 0o751);
    let mut back = Vec::new();
    client.get(link.to_str().unwrap(), None, &mut back).await.unwrap();
    assert_eq!(back, b"short");
    client.put(link.to_str().unwrap(), None, Some(0o4640), &b""[..]).await.unwrap();
    assert_eq!(fs_err::metadata(&file).unwrap().mode() & 0o7777, 0o4640);
}

#[tokio::test]
async fn what_cannot_be_is_told_apart() {
    let (client, _agent) = guest().await;
    let scratch = tempfile::tempdir().unwrap();
    fs_err::os::unix::fs::symlink("nowhere", scratch.path().join("dangling")).unwrap();
    let below = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let get = async |path: &str| client.get(path, None, &mut Vec::new()).await.unwrap_err();
    for path in [below("nosuch"), below("dangling"), "/etc/passwd/below".to_owned()] {
        let error = get(&path).await;
        assert_eq!(error.kind(), Some(ErrorKind::NoSuchFile), "{error}");
        assert!(error.to_string().contains(&path), "{error}");
    }
    assert_eq!(get("/etc").await.kind(), Some(ErrorKind::IsDirectory));
    assert_eq!(get("relative").await.kind(), Some(ErrorKind::Protocol));
    assert_eq!(get("/zero\0byte").await.kind(), Some(ErrorKind::Protocol));
    let put = async |path: &str| client.put(path, None, None, &b"x"[..]).await.unwrap_err();
    assert_eq!(put("/etc").await.kind(), Some(ErrorKind::IsDirectory));
    assert_eq!(put(&below("no/such")).await.kind(), Some(ErrorKind::NoSuchFile));
    // The disk is full.
    let much = vec![0; 4 << 20];
    let error = client.put("/dev/full", None, None, &much[..]).await.unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::System), "{error}");
    assert!(error.to_string().contains("/dev/full"), "{error}");
    assert_eq!(say(&client, "echo on").await, "on");
}

#[tokio::test]
async fn many_files_at_once_do_not_wait_for_one_another() {
    let (client, _agent) = guest().await;
    let scratch = tempfile::tempdir().unwrap();
    let one = async |i: usize| {
        let path = scratch.path().join(i.to_string());
        let content = vec![i.to_le_bytes()[0]; 300_000 + i];
        client.put(path.to_str().unwrap(), None, None, &content[..]).await.unwrap();
        let mut back = Vec::new();
        client.get(path.to_str().unwrap(), None, &mut back).await.unwrap();
        assert!(back == content, "{i}");
    };
    futures_util::future::join_all((0..50).map(one)).await;
}
