//! Public and private keys: ECDSA P-256 with SHA-256 (DER signatures) and ed25519, in the PEM files of OpenSSL.
//!
//! These are the two kinds that cosign makes and that small devices verify quickly. RSA is left out on purpose.

use std::fmt;
use std::io::Read;
use std::path::Path;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use p256::ecdsa::signature::Verifier as _;

use crate::config::{Config, KeyConfig, Policy};
use crate::error::PackageError;

/// Largest PEM file in bytes; a key has a few hundred.
pub const KEY_BYTES_MAX: u64 = 16 * 1024;

/// A trusted public key.
#[derive(Clone)]
pub(crate) struct TrustedKey {
    pub identity: String,
    key: PublicKey,
}

#[derive(Clone)]
enum PublicKey {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl TrustedKey {
    /// Parses one PEM public key (`BEGIN PUBLIC KEY`).
    pub(crate) fn parse(identity: &str, pem: &str) -> Result<Self, PackageError> {
        let refuse =
            |reason: &str| PackageError::Key { name: identity.to_owned(), reason: reason.to_owned() };
        if pem.contains("PRIVATE KEY") {
            return Err(refuse(
                "this is a private key; put the public one here and move this one off the device",
            ));
        }
        // The algorithm is in the DER, so the first parser that takes it decides.
        let key = if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem.trim_start()) {
            PublicKey::P256(key)
        } else if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem.trim_start()) {
            PublicKey::Ed25519(key)
        } else {
            return Err(refuse(
                "expected a PEM public key (BEGIN PUBLIC KEY) of kind ECDSA P-256 or ed25519, for example from \
                 'openssl pkey -in key.pem -pubout' or cosign.pub",
            ));
        };
        Ok(Self { identity: identity.to_owned(), key })
    }

    /// Whether `signature` (DER for P-256, 64 bytes for ed25519) is this key's over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            PublicKey::P256(key) => p256::ecdsa::DerSignature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // Strict: refuses keys of small order and signatures that verify for more than one message.
            PublicKey::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedKey").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The keys that count under a policy. A key that cannot be read is an error and not a key less: otherwise a typing
/// mistake would show up as an untrusted package.
pub(crate) fn trusted(config: &Config, policy: &Policy) -> Result<Vec<TrustedKey>, PackageError> {
    if policy.keys.is_empty() {
        return config.keys.iter().map(|(identity, key)| load(identity, key)).collect();
    }
    let find = |identity: &String| match config.keys.get(identity) {
        Some(key) => load(identity, key),
        None => {
            let reason = "a policy names it, but it does not stand under [package.keys]".to_owned();
            Err(PackageError::Key { name: identity.clone(), reason })
        }
    };
    policy.keys.iter().map(find).collect()
}

fn load(identity: &str, key: &KeyConfig) -> Result<TrustedKey, PackageError> {
    match (&key.file, &key.pem) {
        // Not `Read`: a missing key is a broken device, not a missing package.
        (Some(path), None) => match read_pem(path) {
            Ok(pem) => TrustedKey::parse(identity, &pem),
            Err(PackageError::Read { path, source }) => {
                let reason = format!("{}: {source}", path.display());
                Err(PackageError::Key { name: identity.to_owned(), reason })
            }
            Err(error) => Err(error),
        },
        (None, Some(pem)) => TrustedKey::parse(identity, pem),
        _ => {
            let reason = "give exactly one of 'file' and 'pem'".to_owned();
            Err(PackageError::Key { name: identity.to_owned(), reason })
        }
    }
}

/// Reads a PEM file.
pub(crate) fn read_pem(path: &Path) -> Result<String, PackageError> {
    let read = |source| PackageError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(read)?;
    file.take(KEY_BYTES_MAX + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > KEY_BYTES_MAX {
        return Err(PackageError::TooLarge { what: path.display().to_string(), limit: KEY_BYTES_MAX });
    }
    Ok(text)
}
