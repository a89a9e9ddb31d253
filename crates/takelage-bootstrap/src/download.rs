//! Files from a mirror, by way of a cache that concurrent processes may share.
//!
//! ```text
//! CACHE/sha256/HEX        a file whose digest is known beforehand, under that digest
//! CACHE/release/HEX       an `InRelease`, under the digest of its address; its mtime says when it was asked for
//! CACHE/….partial-RANDOM  being written; renamed when complete
//! ```
//!
//! What the cache has is digested on each use as if it had just arrived.

use std::{
    io::{self, Read, Write},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use takelage_model::Digest;
use tempfile::NamedTempFile;

use crate::{BootstrapError, Progress, Settings};

/// The first pause before a repeated attempt; it doubles with each.
const PAUSE: Duration = Duration::from_millis(300);
const ATTEMPTS: u32 = 5;

/// Downloads files and remembers them.
pub(crate) struct Downloads<'a> {
    agent: ureq::Agent,
    settings: &'a Settings<'a>,
    what: &'static str,
    done: AtomicU64,
    total: Option<u64>,
}

/// What is known of a file before it arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl<'a> Downloads<'a> {
    /// Prepares for downloads that are reported as `what`, of `total` bytes together.
    pub(crate) fn new(
        settings: &'a Settings<'a>,
        what: &'static str,
        total: Option<u64>,
    ) -> Result<Self, BootstrapError> {
        let proxy = settings
            .proxy
            .as_deref()
            .map(|proxy| ureq::Proxy::new(proxy).map_err(|_| BootstrapError::Proxy { proxy: proxy.into() }))
            .transpose()?;
        let agent = ureq::Agent::config_builder()
            .proxy(proxy)
            .user_agent(concat!("takelage/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        Ok(Self { agent, settings, what, done: AtomicU64::new(0), total })
    }

    /// Returns the content of a file whose digest is known.
    pub(crate) fn fetch(&self, url: &str, expected: Expected) -> Result<Vec<u8>, BootstrapError> {
        let path = self.settings.cache.join("sha256").join(expected.digest.hex());
        if let Some(content) = read_cached(&path, expected)? {
            self.advance(expected.size);
            return Ok(content);
        }
        let content = self.download(url, expected.size)?;
        if content.len() as u64 != expected.size || Digest::of(&content) != expected.digest {
            return Err(BootstrapError::Mismatch { url: url.into() });
        }
        write_cached(&path, &content)?;
        Ok(content)
    }

    /// Returns the content of a file that changes, and when it was asked for: from the cache while it is
    /// younger than the settings say.
    pub(crate) fn fetch_changing(&self, url: &str, limit: u64) -> Result<Vec<u8>, BootstrapError> {
        let path = self.settings.cache.join("release").join(Digest::of(url).hex());
        if let Ok(metadata) = fs_err::metadata(&path) {
            let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            if metadata.len() <= limit
                && (self.settings.offline || age.is_some_and(|age| age < self.settings.max_age))
            {
                return Ok(fs_err::read(&path)?);
            }
        }
        self.download(url, limit)
    }

    /// Remembers a changing file once it has proved good.
    pub(crate) fn keep_changing(&self, url: &str, content: &[u8]) -> Result<(), BootstrapError> {
        let path = self.settings.cache.join("release").join(Digest::of(url).hex());
        match fs_err::read(&path) {
            // Untouched, so that its age goes on counting from when it was asked for.
            Ok(known) if known == content && self.settings.offline => Ok(()),
            _ => write_cached(&path, content),
        }
    }

    fn download(&self, url: &str, limit: u64) -> Result<Vec<u8>, BootstrapError> {
        if self.settings.offline {
            return Err(BootstrapError::Offline { url: url.into() });
        }
        let mut content = Vec::new();
        for attempt in 0.. {
            match self.attempt(url, limit, &mut content) {
                Ok(()) => break,
                Err(error) if attempt + 1 < ATTEMPTS && is_passing(&error) => {
                    tracing::debug!(
                        url,
                        attempt,
                        error = &error as &dyn std::error::Error,
                        "download is repeated"
                    );
                    self.pause(PAUSE * 2_u32.pow(attempt))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(content)
    }

    /// Continues after what `content` already has.
    fn attempt(&self, url: &str, limit: u64, content: &mut Vec<u8>) -> Result<(), BootstrapError> {
        let failed =
            |source: ureq::Error| BootstrapError::Unreachable { url: url.into(), source: Box::new(source) };
        self.check_cancelled()?;
        let mut request = self.agent.get(url);
        if !content.is_empty() {
            request = request.header("range", format!("bytes={}-", content.len()));
        }
        let response = request.call().map_err(failed)?;
        match response.status().as_u16() {
            206 if !content.is_empty() => {}
            200 => {
                self.done.fetch_sub(content.len() as u64, Ordering::Relaxed);
                content.clear();
            }
            status => return Err(BootstrapError::Status { url: url.into(), status }),
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.check_cancelled()?;
            let count = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error.into())),
            };
            content.extend_from_slice(&buffer[..count]);
            if content.len() as u64 > limit {
                return Err(BootstrapError::TooLarge { url: url.into(), limit });
            }
            self.advance(count as u64);
        }
    }

    fn pause(&self, duration: Duration) -> Result<(), BootstrapError> {
        let step = Duration::from_millis(50);
        for _ in 0..duration.as_millis() / step.as_millis() {
            self.check_cancelled()?;
            thread::sleep(step);
        }
        Ok(())
    }

    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.settings.progress)(Progress { what: self.what, done, total: self.total });
    }

    /// Fails once the caller has given up.
    pub(crate) fn check_cancelled(&self) -> Result<(), BootstrapError> {
        if self.settings.cancelled.load(Ordering::Relaxed) { Err(BootstrapError::Cancelled) } else { Ok(()) }
    }
}

/// Whether another attempt may succeed.
fn is_passing(error: &BootstrapError) -> bool {
    match error {
        BootstrapError::Unreachable { source, .. } => !matches!(
            **source,
            ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl | ureq::Error::TooManyRedirects
        ),
        BootstrapError::Status { status, .. } => *status >= 500 || *status == 429 || *status == 408,
        _ => false,
    }
}

/// Reads a file if it is there and right. A wrong one, cut short by a full disk perhaps, counts as missing.
fn read_cached(path: &Path, expected: Expected) -> Result<Option<Vec<u8>>, BootstrapError> {
    let content = match fs_err::File::open(path) {
        Ok(file) if file.metadata()?.len() == expected.size => {
            let mut content = Vec::with_capacity(usize::try_from(expected.size).unwrap_or_default());
            file.take(expected.size + 1).read_to_end(&mut content)?;
            content
        }
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok((Digest::from_bytes(Sha256::digest(&content).into()) == expected.digest).then_some(content))
}

fn write_cached(path: &Path, content: &[u8]) -> Result<(), BootstrapError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut file = NamedTempFile::with_prefix_in(".partial-", directory)?;
    file.write_all(content)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Runs `work` on every item with several threads, and hands the results to `collect` in the items' order.
///
/// At most `ahead` items are begun before the results of earlier ones are collected, which bounds the memory they take.
/// The first error of either side ends everything.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    ahead: usize,
    work: impl Fn(&T) -> Result<R, BootstrapError> + Sync,
    mut collect: impl FnMut(&T, R) -> Result<(), BootstrapError>,
) -> Result<(), BootstrapError> {
    struct State<R> {
        next: usize,
        collected: usize,
        stop: bool,
        results: Vec<Option<Result<R, BootstrapError>>>,
    }
    let state = Mutex::new(State { next: 0, collected: 0, stop: false, results: Vec::new() });
    let changed = std::sync::Condvar::new();
    let lock = || state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    lock().results.resize_with(items.len(), || None);
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = {
                        let mut state = lock();
                        while !state.stop && state.next < items.len() && state.next >= state.collected + ahead
                        {
                            state = changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                        }
                        if state.stop || state.next >= items.len() {
                            return;
                        }
                        state.next += 1;
                        state.next - 1
                    };
                    let result = work(&items[index]);
                    lock().results[index] = Some(result);
                    changed.notify_all();
                }
            });
        }
        let outcome = (|| {
            for (index, item) in items.iter().enumerate() {
                let result = {
                    let mut state = lock();
                    loop {
                        if let Some(result) = state.results[index].take() {
                            state.collected = index + 1;
                            break result;
                        }
                        state = changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                    }
                };
                changed.notify_all();
                collect(item, result?)?;
            }
            Ok(())
        })();
        lock().stop = true;
        changed.notify_all();
        outcome
    })
}
