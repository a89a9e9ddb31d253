//! The keys that are trusted to sign Debian's archive, and the check of a signature.
//!
//! A signature counts when it was made by a trusted key, while that key was valid, whether or not the key has
//! expired since: releases that get no more updates stay usable, and an attacker without the key cannot
//! make a signature with an earlier date. Against replay of old releases there is `Valid-Until`.
//! A revoked key counts never.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
    time::Duration,
};

use pgp::{
    composed::{CleartextSignedMessage, Deserializable, SignedPublicKey},
    packet::Signature,
    types::{KeyDetails, Timestamp},
};

use crate::BootstrapError;

/// Debian's keys, as `keys/README.md` describes them.
const DEBIAN: [&[u8]; 9] = [
    include_bytes!("../keys/debian-archive-bullseye-automatic.gpg"),
    include_bytes!("../keys/debian-archive-bullseye-security-automatic.gpg"),
    include_bytes!("../keys/debian-archive-bullseye-stable.gpg"),
    include_bytes!("../keys/debian-archive-bookworm-automatic.gpg"),
    include_bytes!("../keys/debian-archive-bookworm-security-automatic.gpg"),
    include_bytes!("../keys/debian-archive-bookworm-stable.gpg"),
    include_bytes!("../keys/debian-archive-trixie-automatic.gpg"),
    include_bytes!("../keys/debian-archive-trixie-security-automatic.gpg"),
    include_bytes!("../keys/debian-archive-trixie-stable.gpg"),
];

/// No keyring of an archive is larger.
const KEYRING_LIMIT: u64 = 4 << 20;

/// Public keys that are trusted.
#[derive(Debug, Default)]
pub(crate) struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// Trusts Debian's keys and those in `more`, files or directories; what is not there is passed over.
    pub(crate) fn new(more: &[PathBuf]) -> Result<Self, BootstrapError> {
        let mut keyring = Self::default();
        for bytes in DEBIAN {
            keyring.add(bytes, Path::new("built in"))?;
        }
        for path in more {
            keyring.add_path(path)?;
        }
        Ok(keyring)
    }

    fn add_path(&mut self, path: &Path) -> Result<(), BootstrapError> {
        let Ok(metadata) = fs_err::metadata(path) else { return Ok(()) };
        if metadata.is_dir() {
            let mut files = Vec::new();
            for entry in fs_err::read_dir(path)? {
                let file = entry?.path();
                // The keys that Debian no longer trusts lie in the same directory.
                let removed =
                    file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("-removed-keys"));
                let key = file.extension().is_some_and(|e| ["gpg", "pgp", "asc"].iter().any(|k| e == *k));
                if key && !removed {
                    files.push(file);
                }
            }
            files.sort();
            for file in files {
                // One odd file among the host's keyrings, such as GnuPG's own keybox, must not keep the others from use.
                if let Err(error) = self.add_file(&file) {
                    tracing::debug!(path = %file.display(), %error, "keyring passed over");
                }
            }
            Ok(())
        } else {
            self.add_file(path)
        }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), BootstrapError> {
        if fs_err::metadata(path)?.len() > KEYRING_LIMIT {
            return Err(BootstrapError::Keyring { path: path.into(), reason: "it is too large".into() });
        }
        self.add(&fs_err::read(path)?, path)
    }

    fn add(&mut self, bytes: &[u8], path: &Path) -> Result<(), BootstrapError> {
        let refuse = |error: pgp::errors::Error| BootstrapError::Keyring {
            path: path.into(),
            reason: error.to_string(),
        };
        let (keys, _) = SignedPublicKey::from_reader_many(Cursor::new(bytes)).map_err(refuse)?;
        for key in keys {
            let key = key.map_err(refuse)?;
            if !self.0.iter().any(|known| known.fingerprint() == key.fingerprint()) {
                self.0.push(key);
            }
        }
        Ok(())
    }

    /// Checks a clear-signed text and returns what was signed, with `\n` at the ends of lines.
    ///
    /// One valid signature is enough: a release is signed by the keys of two suites and of the release managers,
    /// of which one keyring rarely has all.
    pub(crate) fn verify(&self, signed: &str) -> Result<String, String> {
        let (message, _) = CleartextSignedMessage::from_string(signed).map_err(|error| error.to_string())?;
        let text = message.signed_text();
        let mut reasons = Vec::new();
        for signature in message.signatures() {
            match self.check(signature, text.as_bytes()) {
                Ok(()) => return Ok(text.replace("\r\n", "\n")),
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push("it is not signed".into());
        }
        Err(reasons.join("; "))
    }

    fn check(&self, signature: &Signature, text: &[u8]) -> Result<(), String> {
        let made = signature.created().ok_or("a signature without a date")?;
        let ids: Vec<_> = signature
            .issuer_fingerprint()
            .iter()
            .map(ToString::to_string)
            .chain(signature.issuer_key_id().iter().map(ToString::to_string))
            .collect();
        let mut reason = format!("key {} is not trusted", ids.first().map_or("unknown", String::as_str));
        for key in &self.0 {
            let primary_valid = || valid_primary(key, made);
            if signature.verify(&key.primary_key, text).is_ok() {
                return primary_valid();
            }
            for subkey in &key.public_subkeys {
                if signature.verify(&subkey.key, text).is_err() {
                    continue;
                }
                reason =
                    format!("key {} is not bound to its primary key for signing", subkey.key.fingerprint());
                if subkey.verify_bindings(&key.primary_key).is_err() {
                    continue;
                }
                let Some(binding) =
                    subkey.signatures.iter().filter(|s| s.key_flags().sign()).max_by_key(|s| s.created())
                else {
                    continue;
                };
                if subkey
                    .signatures
                    .iter()
                    .any(|s| s.typ() == Some(pgp::packet::SignatureType::SubkeyRevocation))
                {
                    return Err(format!("key {} was revoked", subkey.key.fingerprint()));
                }
                primary_valid()?;
                return valid_at(made, subkey.key.created_at(), binding.key_expiration_time())
                    .then_some(())
                    .ok_or_else(|| format!("key {} was not valid at the time", subkey.key.fingerprint()));
            }
        }
        Err(reason)
    }
}

/// Whether the primary key is its own, is not revoked, and was valid when a signature was made.
fn valid_primary(key: &SignedPublicKey, made: Timestamp) -> Result<(), String> {
    let name = key.fingerprint();
    if !key.details.revocation_signatures.is_empty() {
        return Err(format!("key {name} was revoked"));
    }
    let newest = key
        .details
        .users
        .iter()
        .flat_map(|user| user.signatures.iter().map(move |signature| (user, signature)))
        .filter(|(user, signature)| {
            signature.verify_certification(&key.primary_key, pgp::types::Tag::UserId, &user.id).is_ok()
        })
        .max_by_key(|(_, signature)| signature.created())
        .ok_or_else(|| format!("key {name} has no valid user id"))?;
    valid_at(made, key.primary_key.created_at(), newest.1.key_expiration_time())
        .then_some(())
        .ok_or_else(|| format!("key {name} was not valid at the time"))
}

fn valid_at(made: Timestamp, from: Timestamp, lifetime: Option<pgp::types::Duration>) -> bool {
    let lifetime =
        lifetime.map(|lifetime| Duration::from_secs(lifetime.as_secs().into())).filter(|l| !l.is_zero());
    let (made, from) = (std::time::SystemTime::from(made), std::time::SystemTime::from(from));
    made >= from && lifetime.is_none_or(|lifetime| made < from + lifetime)
}
