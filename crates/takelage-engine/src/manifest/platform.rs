//! Choosing the image for this kind of machine.

use super::{Descriptor, ManifestError};

/// Returns this machine's processor in Go's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Returns the variants of a processor that a machine of it can surely run, the best first.
fn variants(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "amd64" => &["", "v1"],
        "arm64" => &["v8", ""],
        "arm" => &["v7", "v6", "v5", ""],
        _ => &[""],
    }
}

/// Chooses the image for linux and this machine's processor, the best variant of it.
///
/// An index of one image without a platform means that image. Of equal ones the first is taken, as Docker does it.
pub(crate) fn choose(manifests: &[Descriptor]) -> Result<&Descriptor, ManifestError> {
    choose_for(architecture(), manifests)
}

fn choose_for<'a>(
    architecture: &'static str,
    manifests: &'a [Descriptor],
) -> Result<&'a Descriptor, ManifestError> {
    if let [only] = manifests
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let rank = |descriptor: &Descriptor| {
        let platform = descriptor.platform.as_ref()?;
        let fits = platform.os == "linux" && platform.architecture == architecture;
        let variant = platform.variant.as_deref().unwrap_or_default();
        variants(architecture).iter().position(|it| *it == variant).filter(|_| fits)
    };
    let fitting = manifests.iter().filter_map(|it| rank(it).map(|rank| (rank, it)));
    let best = fitting.min_by_key(|(rank, _)| *rank).map(|(_, descriptor)| descriptor);
    best.ok_or_else(|| {
        let all = manifests.iter().filter_map(|it| it.platform.as_ref()).map(|it| {
            let variant = it.variant.as_ref().map(|it| format!("/{it}")).unwrap_or_default();
            format!("`{}/{}{variant}`", it.os, it.architecture)
        });
        let all: Vec<_> = all.take(20).collect();
        let available = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        ManifestError::Platform { wanted: architecture, available }
    })
}

#[cfg(test)]
mod tests {
    use takelage_model::Digest;

    use super::*;
    use crate::manifest::Platform;

    fn index(platforms: &[&str]) -> Vec<Descriptor> {
        let entry = |text: &&str| {
            let mut words = text.split('/').map(str::to_owned);
            let (os, architecture, variant) = (words.next(), words.next(), words.next());
            let platform =
                os.zip(architecture).map(|(os, architecture)| Platform { os, architecture, variant });
            Descriptor { platform, ..Descriptor::new("", Digest::of(text), 1) }
        };
        platforms.iter().map(entry).collect()
    }

    fn chosen(architecture: &'static str, platforms: &[&str]) -> Result<Digest, String> {
        let index = index(platforms);
        choose_for(architecture, &index).map(|it| it.digest).map_err(|error| error.to_string())
    }

    #[test]
    fn the_best_variant_of_the_processor_is_taken() {
        let all = ["linux/arm/v5", "linux/arm/v7", "linux/arm64/v8", "linux/amd64", "unknown/unknown"];
        assert_eq!(chosen("amd64", &all), Ok(Digest::of("linux/amd64")));
        assert_eq!(chosen("arm64", &all), Ok(Digest::of("linux/arm64/v8")));
        assert_eq!(chosen("arm", &all), Ok(Digest::of("linux/arm/v7")));
        assert_eq!(chosen("arm64", &["windows/arm64", "linux/arm64"]), Ok(Digest::of("linux/arm64")));
    }

    #[test]
    fn what_does_not_run_here_is_refused_with_what_there_is() {
        let error = chosen("amd64", &["linux/amd64/v3", "linux/s390x", "windows/amd64"]).unwrap_err();
        assert_eq!(
            error,
            "it has no image for `linux/amd64`, only `linux/amd64/v3`, `linux/s390x`, `windows/amd64`"
        );
        assert!(chosen("amd64", &[]).unwrap_err().ends_with("only nothing"));
        assert!(chosen("amd64", &["nowhere", "nowhere else"]).is_err());
        assert_eq!(chosen("amd64", &["nowhere"]), Ok(Digest::of("nowhere")));
    }
}
