//! What takelage asks of an engine.

use std::{collections::BTreeMap, future::Future, path::Path};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    ArchiveFormat, Chunk, ContainerId, ContainerRecord, ContainerSpec, ContainerState, EngineError,
    ExecOutput, ExecSpec, ImageArchive, ImageConfig, ImageId, ImageRecord, Interaction, Reference,
    SnapshotId, SnapshotRecord,
};

/// How far a transfer is: bytes done, and bytes in all where known. Dropping reports is fine.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// What an engine can do beyond what all can. What it cannot, it refuses with a sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Capabilities {
    /// Containers can have addresses of their own: private and named networks, and published ports.
    pub private_networks: bool,
    /// A committed layer takes the newest time that it is given; otherwise files keep the times that they have.
    pub newest_time: bool,
    /// Containers have control groups: limits of memory and processes hold, devices can be handed in, and systemd boots.
    pub control_groups: bool,
    /// Files may belong to any user and group; otherwise to those only that are set aside for whoever uses the engine.
    pub all_ids: bool,
    /// What an image declares as its volumes is of each container alone, and in no commit or snapshot of one; otherwise the
    /// declaration is for other engines.
    pub image_volumes: bool,
}

/// Images and containers. Cheap to clone; clones share one connection pool.
///
/// Every error names the operation and the object (see [`EngineError`]). Dropping a future cancels what it
/// waits for, but may leave what was already created; callers remove it by its labels.
pub trait Engine: Clone + Send + Sync + 'static {
    /// The engine's containers.
    type Container: Container;

    /// Says what this engine can do beyond what all can.
    fn capabilities(&self) -> Capabilities;

    /// Says which engine this is, with its version, such as `docker 20.10.24`. Fails if none answers.
    fn describe(&self) -> impl Future<Output = Result<String, EngineError>> + Send;

    /// Looks an image up in the engine's own store, by name or id. `None`: it is not there.
    fn image(&self, name: &str) -> impl Future<Output = Result<Option<ImageRecord>, EngineError>> + Send;

    /// Fetches an image from its registry with the user's existing logins.
    fn pull(
        &self,
        reference: &Reference,
        progress: Progress<'_>,
    ) -> impl Future<Output = Result<ImageRecord, EngineError>> + Send;

    /// Sends an image to its registry with the user's existing logins.
    fn push(
        &self,
        reference: &Reference,
        progress: Progress<'_>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Adds an image from an archive. Names that the archive came with are not applied, only the one that it was
    /// [given](ImageArchive::named).
    ///
    /// The result's id is the digest of the archive's configuration, byte for byte.
    fn load(&self, archive: ImageArchive) -> impl Future<Output = Result<ImageRecord, EngineError>> + Send;

    /// Writes images with these names, or ids, to the file `path`, which is there when it is whole.
    ///
    /// Another file is replaced, and its permissions kept; anything else at `path` is an error. Dropped before its end, it
    /// leaves nothing behind.
    fn save(
        &self,
        names: &[String],
        format: ArchiveFormat,
        path: &Path,
        progress: Progress<'_>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Gives an image one more name, taking it away from the image that had it.
    fn tag(&self, image: &ImageId, name: &Reference) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Removes a name, or an image with all its names. Removing what is not there succeeds.
    fn remove_image(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Lists the images whose configuration carries all these labels, named or not.
    fn images(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Vec<ImageId>, EngineError>> + Send;

    /// Creates and starts a container.
    ///
    /// If anything fails after its creation, the container is removed before the error is returned. With
    /// [`Startup::Systemd`](crate::Startup) it returns when systemd is up, or says what keeps it from coming up.
    fn create(
        &self,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<Self::Container, EngineError>> + Send;

    /// Creates and starts a container whose files are those of a snapshot; everything else is as the specification says.
    ///
    /// Its image is the one that the [record](SnapshotRecord::image) of the snapshot names. No process of the container
    /// that the snapshot was taken of runs in it. The snapshot stays as it is.
    fn restore(
        &self,
        spec: &ContainerSpec,
        snapshot: &SnapshotId,
    ) -> impl Future<Output = Result<Self::Container, EngineError>> + Send;

    /// Lists the snapshots that carry all these labels.
    fn snapshots(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Vec<SnapshotRecord>, EngineError>> + Send;

    /// Removes a snapshot; one that is gone is fine. Later snapshots stay whole. An engine may refuse while a container
    /// that was restored from it is there.
    fn remove_snapshot(&self, snapshot: &SnapshotId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Lists containers that carry all these labels, running or not.
    fn containers(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Vec<ContainerRecord>, EngineError>> + Send;

    /// Takes hold of an existing container. It is not checked whether it exists.
    fn container(&self, record: &ContainerRecord) -> Self::Container;
}

/// One container. Cheap to clone; clones are the same container.
pub trait Container: Clone + Send + Sync + 'static {
    /// Returns the engine's id of the container.
    fn id(&self) -> &ContainerId;

    /// Returns its name.
    fn name(&self) -> &str;

    /// Says whether it runs, and how it ended if not. `None`: it is gone.
    fn state(&self) -> impl Future<Output = Result<Option<ContainerState>, EngineError>> + Send;

    /// Returns the last `lines` lines that its own command wrote, both streams in order.
    fn logs(&self, lines: usize) -> impl Future<Output = Result<String, EngineError>> + Send;

    /// Brings about what all commands need, so that the first one does not wait for it. What fails here fails there again,
    /// and is told there.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Runs a command and hands its output to `chunks` in the order in which it was written, as it comes.
    ///
    /// Returns the exit status when the command has ended and all its output was handed over. Backpressure:
    /// a full channel slows the command down. A closed channel discards the rest.
    fn exec(
        &self,
        spec: ExecSpec,
        chunks: mpsc::Sender<Chunk>,
    ) -> impl Future<Output = Result<i64, EngineError>> + Send;

    /// Runs a command on a terminal of its own until it ends; returns its exit status.
    fn interact(
        &self,
        spec: ExecSpec,
        interaction: Interaction,
    ) -> impl Future<Output = Result<i64, EngineError>> + Send {
        let _ = (spec, interaction);
        let reason = "this engine has no terminals".to_owned();
        std::future::ready(Err(EngineError::Unsupported { name: self.name().to_owned(), reason }))
    }

    /// Runs a command that reads what comes from `input`, for as long as that is open, with the contract of
    /// [`exec`](Self::exec) otherwise. `spec.stdin` is not used. An engine that cannot do that
    /// ([`EngineError::Unsupported`]) has taken nothing of `input`.
    fn converse(
        &self,
        spec: ExecSpec,
        input: &mut mpsc::Receiver<Bytes>,
        chunks: mpsc::Sender<Chunk>,
    ) -> impl Future<Output = Result<i64, EngineError>> + Send {
        let _ = (spec, input, chunks);
        let reason = "this engine cannot talk with a command".to_owned();
        std::future::ready(Err(EngineError::Unsupported { name: self.name().to_owned(), reason }))
    }

    /// Runs a command and collects its output in memory.
    fn run(&self, spec: ExecSpec) -> impl Future<Output = Result<ExecOutput, EngineError>> + Send {
        async move {
            let (sender, mut chunks) = mpsc::channel(64);
            let collect = async {
                let mut output = ExecOutput::default();
                while let Some(chunk) = chunks.recv().await {
                    output.append(&chunk);
                }
                output
            };
            let (status, mut output) = tokio::join!(self.exec(spec, sender), collect);
            output.status = status?;
            Ok(output)
        }
    }

    /// Unpacks a tar archive below the directory `at`, which must exist. Owners, modes, times and links are those of the archive.
    fn put(&self, at: &str, tar: Bytes) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Packs the file or directory `path` as tar; entry names begin with the last component of `path`.
    ///
    /// A missing path is [`EngineError::NoSuchPath`]. A symbolic link is packed as such.
    fn get(&self, path: &str) -> impl Future<Output = Result<Bytes, EngineError>> + Send;

    /// Packs the whole root file system as tar into the file `to`, without mounts. The file is there when it is whole.
    fn export(&self, to: &Path) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Makes an image of the container's file system with exactly the metadata of `config`.
    ///
    /// The image's layers are those of the container's image and one more, however many snapshots a restored container comes
    /// from: what one of them had and is gone now is nowhere in it. Nothing of the container's own command, labels, environment or
    /// host name reaches the image. It gets `name` in the same instant, so that a caller that dies leaves no image that nobody
    /// knows; what an engine needs meanwhile carries the container's labels.
    ///
    /// The files of the new layer get times no later than `newest`, in seconds since 1970 (`SOURCE_DATE_EPOCH`), where the
    /// engine [can](Capabilities::newest_time). Then equal files make an equal layer, whenever they were made.
    fn commit(
        &self,
        config: &ImageConfig,
        name: Option<&Reference>,
        newest: Option<i64>,
    ) -> impl Future<Output = Result<ImageRecord, EngineError>> + Send;

    /// Takes a snapshot of the container's file system, without what is mounted in it.
    ///
    /// A container that runs stands still meanwhile and goes on: the snapshot is what a loss of power in that moment would leave, with files half written by
    /// whoever was writing. Of processes it has nothing. The snapshot outlives the container.
    fn snapshot(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<SnapshotId, EngineError>> + Send;

    /// Starts it again after a stop.
    fn start(&self) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Ends its command with the stop signal, or by force after `grace`. A stopped container is fine.
    fn stop(&self, grace: std::time::Duration) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Ends and removes it with its anonymous volumes. A container that is gone is fine.
    fn remove(self) -> impl Future<Output = Result<(), EngineError>> + Send;
}
