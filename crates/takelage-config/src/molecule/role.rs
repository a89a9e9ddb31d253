//! The names under which the project's own role or collection is found.

use std::path::Path;

use serde_json::Value;

use super::{NameCheck, connection::yaml_file, python_text};
use crate::glob;

/// The name of a project that is a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleName {
    /// `NAMESPACE.ROLE`, or `ROLE` where nothing says a namespace.
    pub name: String,
    /// Whether Galaxy would take it: `namespace.role`, in lowercase letters, digits and `_`.
    pub valid: bool,
}

/// Returns the name of the role that `project` is, or none if it has no `meta/main.yml`.
///
/// `galaxy_info` names it. Without a name, it is the directory's without `ansible-` or `ansible-role-` in front.
pub fn role_name(project: &Path, check: NameCheck) -> Option<RoleName> {
    let meta = ["meta/main.yml", "meta/main.yaml"].iter().map(|name| project.join(name));
    let meta = meta.into_iter().find(|path| path.is_file())?;
    let meta = yaml_file(&meta).unwrap_or(Value::Null);
    let info = |key: &str| {
        let value = meta.pointer(&format!("/galaxy_info/{key}")).filter(|value| !value.is_null());
        value.map(python_text::str).filter(|text| !text.is_empty())
    };
    let namespace = info("namespace").or_else(|| info("author").filter(|author| is_one_word(author)));
    let directory = project.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let role = info("role_name");
    if check == NameCheck::Ignore && role.is_none() {
        return Some(RoleName { name: directory, valid: true });
    }
    let role = role.unwrap_or_else(|| {
        let name = directory.replace("ansible-", "");
        name.splitn(3, '.').last().unwrap_or_default().to_owned()
    });
    let name = match namespace {
        Some(namespace) => format!("{namespace}.{role}"),
        None => role,
    };
    let valid = check == NameCheck::Ignore || is_valid(&name);
    Some(RoleName { name, valid })
}

/// Returns namespace and name of the collection that `project` is, if its `galaxy.yml` says both.
pub fn collection(project: &Path) -> Option<(String, String)> {
    let metadata = yaml_file(&project.join("galaxy.yml"))?;
    let text = |key: &str| metadata.get(key).filter(|value| !value.is_null()).map(python_text::str);
    Some((text("namespace")?, text("name")?))
}

/// Returns the collections that the collection in `project` depends on, each with the versions that will do.
pub fn collection_dependencies(project: &Path) -> Vec<(String, String)> {
    let metadata = yaml_file(&project.join("galaxy.yml")).unwrap_or_default();
    let Some(Value::Object(dependencies)) = metadata.get("dependencies") else { return Vec::new() };
    dependencies.iter().map(|(name, versions)| (name.clone(), python_text::str(versions))).collect()
}

fn is_one_word(author: &str) -> bool {
    author.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn is_valid(name: &str) -> bool {
    let Some((namespace, role)) = name.split_once('.') else { return false };
    let fits = |text: &str, first: &str, rest: &str| {
        let mut chars = text.chars().map(|c| c.to_string());
        chars.next().is_some_and(|c| glob::matches(first, &c))
            && text.chars().count() > 1
            && chars.all(|c| glob::matches(rest, &c))
    };
    fits(namespace, "[a-z0-9]", "[a-z0-9_-]") && fits(role, "[a-z]", "[a-z0-9_]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(directory: &str, meta: &str, check: NameCheck) -> Option<RoleName> {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join(directory);
        fs_err::create_dir_all(project.join("meta")).unwrap();
        fs_err::write(project.join("meta/main.yml"), meta).unwrap();
        role_name(&project, check)
    }

    #[test]
    fn a_role_is_named_by_its_metadata_or_its_directory() {
        let name = |directory, meta| named(directory, meta, NameCheck::Refuse).unwrap();
        let info = "galaxy_info: {namespace: acme, role_name: web}";
        assert_eq!(name("x", info), RoleName { name: "acme.web".into(), valid: true });
        let author = "galaxy_info: {author: jeff}";
        assert_eq!(name("ansible-role-web", author).name, "jeff.role-web");
        assert!(!name("delegated-test", "galaxy_info: {namespace: acme}").valid);
        assert_eq!(name("acme.web", "galaxy_info: {author: Jeff Geerling}").name, "web");
        let ignored = named("any-name", "{}", NameCheck::Ignore).unwrap();
        assert_eq!(ignored, RoleName { name: "any-name".into(), valid: true });
        assert_eq!(role_name(Path::new("/nowhere"), NameCheck::Refuse), None);
    }
}
