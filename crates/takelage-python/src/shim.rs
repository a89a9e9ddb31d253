//! The embedded Python files, written where Python can read them.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Every embedded file, with its path below the shim directory.
const FILES: &[(&str, &str)] = &[
    ("launch_ansible.py", include_str!("../python/launch_ansible.py")),
    ("launch_pytest.py", include_str!("../python/launch_pytest.py")),
    ("serve_ansible.py", include_str!("../python/serve_ansible.py")),
    ("takelage_acceleration/__init__.py", include_str!("../python/takelage_acceleration/__init__.py")),
    ("takelage_acceleration/ending.py", include_str!("../python/takelage_acceleration/ending.py")),
    ("takelage_acceleration/locators.py", include_str!("../python/takelage_acceleration/locators.py")),
    ("takelage_acceleration/payloads.py", include_str!("../python/takelage_acceleration/payloads.py")),
    ("takelage_acceleration/requests.py", include_str!("../python/takelage_acceleration/requests.py")),
    ("takelage_acceleration/store.py", include_str!("../python/takelage_acceleration/store.py")),
    ("takelage_acceleration/workers.py", include_str!("../python/takelage_acceleration/workers.py")),
    ("takelage_acceleration/zygotes.py", include_str!("../python/takelage_acceleration/zygotes.py")),
    ("takelage_ansible.py", include_str!("../python/takelage_ansible.py")),
    ("takelage_bridge.py", include_str!("../python/takelage_bridge.py")),
    ("takelage_pytest.py", include_str!("../python/takelage_pytest.py")),
    ("takelage_testinfra.py", include_str!("../python/takelage_testinfra.py")),
    ("plugins/connection/takelage.py", include_str!("../python/plugins/connection/takelage.py")),
    ("plugins/callback/takelage.py", include_str!("../python/plugins/callback/takelage.py")),
];

/// Writes all files below `directory`/shims, unless they are there, and returns that directory.
///
/// `directory` is private to one bridge, so nobody else writes there at the same time.
pub(crate) fn write(directory: &Path) -> io::Result<PathBuf> {
    let shims = directory.join("shims");
    if shims.is_dir() {
        return Ok(shims);
    }
    let begun = directory.join("shims.part");
    for (path, content) in FILES {
        let path = begun.join(path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::write(path, content)?;
    }
    fs_err::rename(&begun, &shims)?;
    Ok(shims)
}
