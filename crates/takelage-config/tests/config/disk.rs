//! The search for the file, and the disk itself.

use takelage_config::{ConfigError, find, load};

#[test]
fn the_nearest_file_above_is_found_and_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("harbour/a/b");
    fs_err::create_dir_all(&below).unwrap();
    let file = directory.path().join("harbour/takelage.yml");
    fs_err::write(
        &file,
        "images: {app: {from: debian, playbook: app.yml, container: {volumes: ['./a:/a']}}}",
    )
    .unwrap();
    fs_err::write(directory.path().join("harbour/app.yml"), "").unwrap();
    assert_eq!(find(&below).unwrap(), file);
    let project = load(&file, &|_| None).unwrap();
    assert_eq!((project.name.as_str(), &project.file), ("harbour", &file));
    assert_eq!(project.last().unwrap().layers[0].playbook, directory.path().join("harbour/app.yml"));
    assert_eq!(
        project.last().unwrap().container.volumes[0].source,
        directory.path().join("harbour/a").to_str().unwrap()
    );
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let directory = tempfile::tempdir().unwrap();
    let error = find(directory.path()).unwrap_err();
    assert!(matches!(&error, ConfigError::NotFound { start } if start == directory.path()), "{error}");
    assert!(matches!(load(&directory.path().join("takelage.yml"), &|_| None), Err(ConfigError::Read { .. })));
}

#[test]
fn settings_of_the_ruby_takelage_are_recognised() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("takelage.yml");
    fs_err::write(&file, "---\ndocker_registry: https://registry.example\ngit_hg_branch: main\n").unwrap();
    assert!(matches!(find(directory.path()), Err(ConfigError::Settings { file: found }) if found == file));
    assert!(matches!(load(&file, &|_| None), Err(ConfigError::Settings { .. })));
}

#[test]
fn a_file_that_is_no_text_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("takelage.yml");
    fs_err::write(&file, [b'a', 0xff, b'\n']).unwrap();
    assert!(matches!(load(&file, &|_| None), Err(ConfigError::Read { .. })));
}
