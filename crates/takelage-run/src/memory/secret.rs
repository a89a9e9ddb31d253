//! The random key of a store, and all that is derived from it.
//!
//! A key of a request is made of the state before it and of the request itself, neither of which is in the store. The record
//! is sealed with it, so whoever reads the store but does not know the request reads nothing. Its name is derived from it
//! too, by a function that cannot be turned around.

use std::{io, os::unix::fs::PermissionsExt as _, path::Path};

use fs_err as fs;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
    rand::{SecureRandom as _, SystemRandom},
};

/// Length of the key on disk, in bytes.
const KEY: usize = 32;

/// The state of a container, as its history has made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State([u8; 32]);

/// A request in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// What only this store knows.
#[derive(Clone)]
pub(crate) struct Secret {
    sign: hmac::Key,
    salt: std::sync::Arc<hkdf::Salt>,
    random: SystemRandom,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads the key at `path`, or makes one that only the user can read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        for _ in 0..2 {
            match fs::read(path) {
                Ok(key) if key.len() == KEY => return Ok(Self::of(&key)),
                // Whatever was written with it is lost with it.
                Ok(_) => fs::remove_file(path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let mut key = [0; KEY];
            fill(&SystemRandom::new(), &mut key)?;
            let directory = path.parent().unwrap_or(Path::new("."));
            let file = tempfile::NamedTempFile::new_in(directory)?;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
            io::Write::write_all(&mut file.as_file(), &key)?;
            file.as_file().sync_all()?;
            // Another process may have been faster; then its key is the store's.
            if let Err(error) = file.persist_noclobber(path)
                && error.error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(error.error);
            }
        }
        Ok(Self::of(&fs::read(path)?))
    }

    fn of(key: &[u8]) -> Self {
        Self {
            sign: hmac::Key::new(hmac::HMAC_SHA256, key),
            salt: std::sync::Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, key)),
            random: SystemRandom::new(),
        }
    }

    /// Digests `parts`, each with its length in front, for one purpose.
    fn digest<'a>(&self, purpose: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.sign);
        let mut add = |part: &[u8]| {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        };
        add(purpose.as_bytes());
        parts.into_iter().for_each(add);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    /// Returns the state that a container starts in.
    pub(super) fn start<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> State {
        State(self.digest("start", parts))
    }

    /// Returns the key of a request, whose parts are given, in a state.
    pub(super) fn key<'a>(&self, state: State, parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
        let request = self.digest("parts", parts);
        Key(self.digest("request", [state.0.as_slice(), &request]))
    }

    /// Returns the state after a request that was recorded under `id`.
    pub(super) fn after(&self, key: Key, id: &[u8]) -> State {
        State(self.digest("state", [key.0.as_slice(), id]))
    }

    /// Returns the name under which a request is recorded.
    pub(super) fn name(&self, key: Key) -> String {
        hex::encode(self.digest("name", [key.0.as_slice()]))
    }

    /// Returns the name under which a snapshot of a state is known.
    pub(super) fn snapshot_name(&self, state: State) -> String {
        hex::encode(&self.digest("snapshot", [state.0.as_slice()])[..16])
    }

    /// Returns by what the store itself is known.
    pub(super) fn store_name(&self) -> String {
        hex::encode(&self.digest("store", [])[..8])
    }

    /// Returns a short digest of what may be a secret, to be compared with another one.
    pub(super) fn trace(&self, value: &[u8]) -> String {
        hex::encode(&self.digest("trace", [value])[..8])
    }

    /// Draws the id of a record.
    pub(super) fn draw(&self) -> io::Result<[u8; 16]> {
        let mut id = [0; 16];
        fill(&self.random, &mut id)?;
        Ok(id)
    }

    /// Seals what is known of a request.
    pub(super) fn seal(&self, key: Key, mut plain: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        fill(&self.random, &mut nonce)?;
        self.cipher(key)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut plain)
            .map_err(|_| io::Error::other("it is too long to be sealed"))?;
        plain.splice(..0, nonce);
        Ok(plain)
    }

    /// Opens what was sealed. `None`: it is damaged, or not of this request.
    pub(super) fn unseal(&self, key: Key, sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = *sealed.first_chunk::<NONCE_LEN>()?;
        let mut rest = sealed;
        rest.drain(..NONCE_LEN);
        let length = self
            .cipher(key)
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut rest)
            .ok()?
            .len();
        rest.truncate(length);
        Some(rest)
    }

    fn cipher(&self, key: Key) -> LessSafeKey {
        let pseudorandom = self.salt.extract(&key.0);
        let material = pseudorandom.expand(&[b"record"], &CHACHA20_POLY1305);
        LessSafeKey::new(UnboundKey::from(material.expect("the length is the cipher's own")))
    }
}

fn fill(random: &SystemRandom, bytes: &mut [u8]) -> io::Result<()> {
    random.fill(bytes).map_err(|_| io::Error::other("the system gives no random numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> (tempfile::TempDir, Secret) {
        let directory = tempfile::tempdir().unwrap();
        let secret = Secret::open(&directory.path().join("key")).unwrap();
        (directory, secret)
    }

    #[test]
    fn only_the_request_opens_its_record() {
        let (_directory, secret) = secret();
        let state = secret.start([b"image".as_slice()]);
        let [key, other] = [b"a", b"b"].map(|request| secret.key(state, [request.as_slice()]));
        let sealed = secret.seal(key, b"what it came to".to_vec()).unwrap();
        assert_eq!(secret.unseal(key, sealed.clone()).unwrap(), b"what it came to");
        assert_eq!(secret.unseal(other, sealed.clone()), None);
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert_eq!(secret.unseal(key, damaged), None, "byte {index}");
        }
        for length in 0..sealed.len() {
            assert_eq!(secret.unseal(key, sealed[..length].to_vec()), None, "{length} bytes");
        }
    }

    #[test]
    fn a_store_keeps_its_key_and_keeps_it_private() {
        let (directory, first) = secret();
        let path = directory.path().join("key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Secret::open(&path).unwrap();
        assert_eq!(first.store_name(), second.store_name());
        fs::write(&path, b"short").unwrap();
        assert_ne!(Secret::open(&path).unwrap().store_name(), first.store_name());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let (_directory, secret) = secret();
        let state = secret.start([]);
        let key = |parts: [&'static [u8]; 2]| secret.key(state, parts);
        assert_ne!(key([b"ab", b"c"]), key([b"a", b"bc"]));
        assert_ne!(secret.after(key([b"a", b"b"]), &[1]), secret.after(key([b"a", b"b"]), &[2]));
    }
}
