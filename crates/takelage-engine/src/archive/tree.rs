//! What is in an image, file by file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{ArchiveError, ImageArchive, contents, contents::Span, image::Layer};
use crate::{
    TreeFile,
    layer::{LayerError, Listing},
};

/// The files that the lowest layers of an image show.
#[derive(Debug)]
pub struct ImageTree {
    archive: PathBuf,
    layers: Vec<Span>,
    listing: Listing,
}

impl ImageArchive {
    /// Lists what the lowest `layers` layers show. This reads their files: call it where blocking is allowed. The tree is of
    /// use as long as this value lives.
    pub fn tree(&self, layers: usize) -> Result<ImageTree, ArchiveError> {
        let layers: Vec<Span> =
            self.parts.layers.iter().take(layers).map(|layer| layer.place.clone()).collect();
        let archive = layers.first().map(|span| span.file.clone()).unwrap_or_default();
        let listing = Listing::of(&layers).map_err(|error| unreadable(&archive, error))?;
        Ok(ImageTree { archive, layers, listing })
    }

    /// Returns the lengths of the layers in bytes, unpacked.
    pub fn layer_sizes(&self) -> Vec<u64> {
        self.parts.layers.iter().map(|Layer { place, .. }| place.length).collect()
    }
}

impl ImageTree {
    /// Returns the files by their paths below the root.
    pub fn files(&self) -> &BTreeMap<PathBuf, TreeFile> {
        &self.listing.files
    }

    /// Returns the content of a regular file. `None`: there is no such file, or it has more than `most` bytes. A link is not followed.
    pub fn content(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.listing.content(&self.layers, path, most).map_err(|error| unreadable(&self.archive, error))
    }
}

fn unreadable(archive: &Path, error: LayerError) -> ArchiveError {
    match error {
        LayerError::Read(source) => contents::read(archive, source),
        error => contents::damaged(archive, "the layers", &error.to_string()),
    }
}
