//! What the daemon tells of images and containers, in the contract's terms.

use std::{collections::BTreeMap, time::Duration};

use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, HealthConfig, ImageHistoryResponseItem, ImageInspect,
};
use takelage_model::Digest;

use crate::{
    ContainerId, ContainerRecord, Healthcheck, History, ImageConfig, ImageId, ImageRecord, image::environment,
};

/// Go's zero time, which stands for none.
const ZERO: &str = "0001-01-01T00:00:00Z";

/// Puts an image's description together. `None`: the daemon left out what every image has.
pub(super) fn image(inspect: ImageInspect, history: Vec<ImageHistoryResponseItem>) -> Option<ImageRecord> {
    let id: Digest = inspect.id?.parse().ok()?;
    let execution = inspect.config.unwrap_or_default();
    let layers: Vec<Digest> = inspect
        .root_fs
        .and_then(|it| it.layers)
        .unwrap_or_default()
        .iter()
        .map(|digest| digest.parse())
        .collect::<Result<_, _>>()
        .ok()?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let config = ImageConfig {
        architecture: inspect.architecture.unwrap_or_default(),
        variant: filled(inspect.variant),
        os: inspect.os.unwrap_or_default(),
        created: filled(inspect.created).filter(|created| created != ZERO),
        author: filled(inspect.author),
        history: self::history(history, layers.len()),
        layers,
        entrypoint: execution.entrypoint,
        cmd: execution.cmd,
        user: execution.user.unwrap_or_default(),
        workdir: execution.working_dir.unwrap_or_default(),
        env: environment(execution.env.unwrap_or_default()),
        labels: execution.labels.unwrap_or_default().into_iter().collect(),
        expose: execution.exposed_ports.unwrap_or_default().into_iter().collect(),
        volumes: execution.volumes.unwrap_or_default().into_iter().collect(),
        stop_signal: filled(execution.stop_signal),
        healthcheck: execution.healthcheck.and_then(healthcheck),
        shell: execution.shell,
        onbuild: execution.on_build.unwrap_or_default(),
    };
    let named = |names: Option<Vec<String>>| -> Vec<String> {
        let names = names.unwrap_or_default().into_iter();
        names.filter(|name| !name.starts_with("<none>")).map(familiar).collect()
    };
    Some(ImageRecord {
        id: ImageId(id),
        tags: named(inspect.repo_tags),
        digests: named(inspect.repo_digests),
        size: inspect.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        config,
    })
}

/// Restores the history, lowest first, from the daemon's list.
///
/// The list does not say which entries stand for no layer. Those with a size stand for one; where layers are left
/// over (they can be empty), so do the newest of the others that do not read like an instruction about metadata.
fn history(items: Vec<ImageHistoryResponseItem>, layers: usize) -> Vec<History> {
    const METADATA: [&str; 15] = [
        "ARG",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
        "/bin/sh -c #(nop) ",
    ];
    let metadata =
        |item: &ImageHistoryResponseItem| METADATA.iter().any(|word| item.created_by.starts_with(word));
    let mut missing = layers.saturating_sub(items.iter().filter(|item| item.size > 0).count());
    let mut layered: Vec<_> = items.iter().map(|item| item.size > 0).collect();
    for plain in [true, false] {
        for (item, layered) in items.iter().zip(&mut layered) {
            if missing > 0 && !*layered && metadata(item) != plain {
                *layered = true;
                missing -= 1;
            }
        }
    }
    let text = |text: String| (!text.is_empty()).then_some(text);
    let entry = |(item, layered): (ImageHistoryResponseItem, bool)| History {
        created: jiff::Timestamp::from_second(item.created)
            .ok()
            .map(|time| time.to_string())
            .filter(|it| it != ZERO),
        author: None,
        created_by: text(item.created_by),
        comment: text(item.comment),
        empty_layer: !layered,
    };
    items.into_iter().zip(layered).rev().map(entry).collect()
}

/// Returns a name as Docker writes it: Podman writes Docker's own registry before it.
fn familiar(name: String) -> String {
    let Some(name) = name.strip_prefix("docker.io/") else { return name };
    name.strip_prefix("library/").unwrap_or(name).to_owned()
}

fn healthcheck(check: HealthConfig) -> Option<Healthcheck> {
    let test = check.test.filter(|test| !test.is_empty())?;
    let duration = |nanos: Option<i64>| {
        nanos.and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0).map(Duration::from_nanos)
    };
    Some(Healthcheck {
        test,
        interval: duration(check.interval),
        timeout: duration(check.timeout),
        start_period: duration(check.start_period),
        retries: check.retries.and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0),
    })
}

/// Describes a container of the daemon's list.
pub(super) fn container(summary: ContainerSummary) -> Option<ContainerRecord> {
    let name = summary.names.unwrap_or_default().into_iter().next()?;
    Some(ContainerRecord {
        id: ContainerId(summary.id?),
        name: name.trim_start_matches('/').to_owned(),
        image: summary.image.unwrap_or_default(),
        running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
        labels: summary.labels.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(created_by: &str, size: i64) -> ImageHistoryResponseItem {
        ImageHistoryResponseItem { created_by: created_by.to_owned(), size, ..Default::default() }
    }

    #[test]
    fn names_are_docker_s_own() {
        for (podman, docker) in [
            ("docker.io/library/debian:bookworm", "debian:bookworm"),
            ("docker.io/takelage/takelbase:1", "takelage/takelbase:1"),
            ("localhost/takelbase:1", "localhost/takelbase:1"),
            ("debian:bookworm", "debian:bookworm"),
        ] {
            assert_eq!(familiar(podman.to_owned()), docker);
        }
    }

    #[test]
    fn history_tells_layers_from_metadata() {
        // Newest first, as the daemon lists them.
        let items = vec![
            item("provision", 0),
            item("CMD [\"sh\"]", 0),
            item("/bin/sh -c #(nop)  ENV A=1", 0),
            item("", 9),
        ];
        let empty =
            |layers| history(items.clone(), layers).iter().map(|it| it.empty_layer).collect::<Vec<_>>();
        assert_eq!(empty(1), [false, true, true, true]);
        assert_eq!(empty(2), [false, true, true, false]);
        assert_eq!(empty(4), [false; 4]);
        assert_eq!(empty(0), [false, true, true, true]);
    }
}
