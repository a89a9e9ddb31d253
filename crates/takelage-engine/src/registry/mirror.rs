//! Where registries and mirrors are.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{RegistryError, Settings};
use crate::Reference;

/// An address from which a repository can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The registry as the user's logins know it.
    pub(super) registry: String,
    /// `HOST[:PORT]`.
    pub(super) host: String,
    /// Whether it is spoken to without TLS.
    pub(super) plain: bool,
    pub(super) repository: String,
}

impl Endpoint {
    /// Returns the registry of an image itself.
    pub(super) fn origin(reference: &Reference) -> Self {
        let registry = match reference.registry() {
            "index.docker.io" => "docker.io",
            registry => registry,
        };
        // The hub answers under another name.
        let host = if registry == "docker.io" { "index.docker.io" } else { registry };
        Self {
            registry: registry.to_owned(),
            host: host.to_owned(),
            plain: is_loopback(host),
            repository: reference.repository().to_owned(),
        }
    }

    /// Returns where an image can be fetched from, in the order in which it is tried: the mirrors, then the registry.
    pub(super) fn all(settings: &Settings, reference: &Reference) -> Result<Vec<Self>, RegistryError> {
        let origin = Self::origin(reference);
        let mirrors = settings.mirrors.get(&origin.registry).into_iter().flatten();
        let mut all: Vec<_> =
            mirrors.map(|address| Self::mirror(address, &origin.repository)).collect::<Result<_, _>>()?;
        all.push(origin);
        Ok(all)
    }

    fn mirror(address: &str, repository: &str) -> Result<Self, RegistryError> {
        let wrong =
            |reason: &str| RegistryError::Mirror { address: address.to_owned(), reason: reason.to_owned() };
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let (host, path) =
            rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), ""));
        let url = reqwest::Url::parse(&format!("https://{host}/")).map_err(|_| wrong("it has no host"))?;
        if url.path() != "/" || !url.username().is_empty() || url.query().or(url.fragment()).is_some() {
            return Err(wrong("it is more than a host and a path"));
        }
        let plain = match scheme {
            "" => is_loopback(host),
            "https" => false,
            "http" => true,
            _ => return Err(wrong("it begins with `https://`, `http://` or a host")),
        };
        let repository = if path.is_empty() { repository.to_owned() } else { format!("{path}/{repository}") };
        // By the rules for names of images, which a mirror's path becomes a part of.
        let name = format!("{host}/{repository}");
        match name.parse::<Reference>() {
            Ok(parsed) if parsed.registry() == host && parsed.repository() == repository => {
                Ok(Self { registry: host.to_owned(), host: host.to_owned(), plain, repository })
            }
            Ok(_) => Err(wrong("its host has neither a dot nor a port")),
            Err(error) => Err(wrong(error.reason)),
        }
    }

    /// Returns the address of something in the repository.
    pub(super) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.base(), self.repository)
    }

    /// Returns the address of the registry.
    pub(super) fn base(&self) -> String {
        format!("{}://{}", if self.plain { "http" } else { "https" }, self.host)
    }
}

/// Whether a host is this machine, so that nobody can listen to what is said to it.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || name.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mirrors: &[&str], name: &str) -> Result<Vec<String>, RegistryError> {
        let mirrors = mirrors.iter().map(|&mirror| mirror.to_owned()).collect();
        let settings =
            Settings { mirrors: [("docker.io".to_owned(), mirrors)].into(), ..Settings::default() };
        let all = Endpoint::all(&settings, &name.parse().unwrap())?;
        Ok(all.iter().map(|endpoint| endpoint.url("x")).collect())
    }

    #[test]
    fn mirrors_come_first_and_only_for_their_registry() {
        let mirrors = ["https://mirror.example/some/path/", "127.0.0.1:5000", "http://cache.local"];
        assert_eq!(
            all(&mirrors, "debian").unwrap(),
            [
                "https://mirror.example/v2/some/path/library/debian/x",
                "http://127.0.0.1:5000/v2/library/debian/x",
                "http://cache.local/v2/library/debian/x",
                "https://index.docker.io/v2/library/debian/x",
            ]
        );
        assert_eq!(all(&mirrors, "quay.example/a/b").unwrap(), ["https://quay.example/v2/a/b/x"]);
        for wrong in [
            "ftp://mirror.example",
            "https://",
            "https://mirror.example/UP",
            "nodots",
            "a b.c",
            "https://me@a.b",
        ] {
            assert!(matches!(all(&[wrong], "debian"), Err(RegistryError::Mirror { .. })), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for host in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "127.0.0.1.example:80", "registry:5000", "[::2]:80"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
