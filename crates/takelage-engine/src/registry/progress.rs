//! Adding up how far several transfers are.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::Progress;

/// Counts the bytes of several blobs. It never goes back, also if a blob begins anew.
pub(super) struct Meter<'a> {
    progress: Progress<'a>,
    total: u64,
    blobs: Vec<Arc<AtomicU64>>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(progress: Progress<'a>, sizes: &[u64]) -> Self {
        let blobs = sizes.iter().map(|_| Arc::default()).collect();
        Self { progress, total: sizes.iter().sum(), blobs }
    }

    /// So many bytes of a blob have come or gone.
    pub(super) fn set(&self, blob: usize, bytes: u64) {
        self.blobs[blob].fetch_max(bytes, Ordering::Relaxed);
        self.report();
    }

    /// Returns a blob's counter, for whoever cannot borrow this.
    pub(super) fn counter(&self, blob: usize) -> Arc<AtomicU64> {
        self.blobs[blob].clone()
    }

    pub(super) fn report(&self) {
        let done = self.blobs.iter().map(|blob| blob.load(Ordering::Relaxed)).sum();
        (self.progress)(done, Some(self.total));
    }
}
