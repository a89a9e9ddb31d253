//! `prune`: what the embedded engine's store and the memory of requests take, and how much of it nobody needs.

use serde_json::json;
use takelage_engine::{
    Engine as _,
    embedded::{Freed, ImageUsage, Usage, VolumeUsage},
};
use takelage_model::Exit;
use takelage_run::Store;

use super::{engine, looking, runtime};
use crate::{cli::PruneArguments, failure::Failure, output, settings::Settings};

/// What is remembered of requests to containers.
#[derive(Debug)]
struct Memory {
    requests: u64,
    bytes: u64,
    /// Snapshots that a Docker engine keeps; those of the embedded one are among its own.
    snapshots: usize,
}

/// Shows what the store takes and removes what no name, container or running takelage needs, and what is remembered.
///
/// It is about the embedded engine whichever engine a project uses: what a Docker daemon keeps is its own, but for the
/// snapshots of what is remembered.
pub(crate) fn prune(settings: &Settings, arguments: &PruneArguments) -> Result<Exit, Failure> {
    let store = Store::open(settings.cache()?)?;
    let (usage, freed, memory) = runtime()?.block_on(async {
        let memory = memory(settings, &store, arguments.dry_run).await?;
        let engine = engine::open_embedded(settings, &std::env::temp_dir()).await?;
        let usage = engine.usage().await?;
        let freed = if arguments.dry_run { usage.unneeded } else { engine.prune().await? };
        Ok::<_, Failure>((usage, freed, memory))
    })?;
    output::data(&if arguments.json {
        format!("{:#}\n", report(&usage, freed, &memory, arguments.dry_run))
    } else {
        text(&usage, freed, &memory, arguments.dry_run)
    })?;
    Ok(Exit::Done)
}

/// Returns what is remembered, and forgets it unless it is only to be shown.
async fn memory(settings: &Settings, store: &Store, dry_run: bool) -> Result<Memory, Failure> {
    let (requests, bytes) = store.memory_usage()?;
    let mut snapshots = 0;
    if let Some(docker) = engine::docker_if_any(settings, &std::env::temp_dir()).await {
        for snapshot in docker.snapshots(&store.snapshot_labels()?).await? {
            // A container that runs has begun as it: the snapshot stays as long.
            if dry_run || docker.remove_snapshot(&snapshot.id).await.is_ok() {
                snapshots += 1;
            }
        }
    }
    if !dry_run {
        store.forget_requests()?;
    }
    Ok(Memory { requests, bytes, snapshots })
}

fn report(usage: &Usage, freed: Freed, memory: &Memory, dry_run: bool) -> serde_json::Value {
    let image = |image: &ImageUsage| json!({"id": image.id, "names": image.names, "size": image.size, "containers": image.containers});
    let volume = |volume: &VolumeUsage| json!({"name": volume.name, "size": volume.size, "containers": volume.containers, "labels": volume.labels});
    json!({
        "images": usage.images.iter().map(image).collect::<Vec<_>>(),
        "packed": usage.blobs,
        "unpacked": usage.layers,
        "snapshots": {"count": usage.snapshots, "bytes": usage.snapshot_bytes},
        "volumes": usage.volumes.iter().map(volume).collect::<Vec<_>>(),
        "memory": {"requests": memory.requests, "bytes": memory.bytes, "docker_snapshots": memory.snapshots},
        "dry_run": dry_run,
        "freed": {
            "images": freed.images, "packed_layers": freed.blobs, "unpacked_layers": freed.layers,
            "snapshots": freed.snapshots, "volumes": freed.volumes, "leftovers": freed.leftovers, "bytes": freed.bytes,
        },
    })
}

fn text(usage: &Usage, freed: Freed, memory: &Memory, dry_run: bool) -> String {
    let rows = usage.images.iter().map(|image| {
        let or_dash = |words: &[String]| if words.is_empty() { "-".to_owned() } else { words.join(", ") };
        let containers = image.containers.len().to_string();
        vec![image.id.0.short(), looking::size(image.size), containers, or_dash(&image.names)]
    });
    let volumes = usage.volumes.iter().map(|volume| {
        vec![volume.name.clone(), looking::size(volume.size), volume.containers.len().to_string()]
    });
    let volumes = match usage.volumes.len() {
        0 => String::new(),
        _ => format!("{}\n", looking::table(&["VOLUME", "SIZE", "CONTAINERS"], volumes)),
    };
    let verb = if dry_run { "would free" } else { "freed" };
    format!(
        "{}\n{volumes}images take {} packed and {} unpacked, {} snapshots take {}\n{verb} {}: {} images without a name, \
         {} packed and {} unpacked layers, {} snapshots, {} volumes, {} leftovers\n{} {} remembered requests, {}, and {} \
         snapshots of a Docker engine\n",
        looking::table(&["IMAGE", "SIZE", "CONTAINERS", "NAMES"], rows),
        looking::size(usage.blobs),
        looking::size(usage.layers),
        usage.snapshots,
        looking::size(usage.snapshot_bytes),
        looking::size(freed.bytes),
        freed.images,
        freed.blobs,
        freed.layers,
        freed.snapshots,
        freed.volumes,
        freed.leftovers,
        if dry_run { "would forget" } else { "forgot" },
        memory.requests,
        looking::size(memory.bytes),
        memory.snapshots,
    )
}
