//! Making key pairs, for those who do not make them with OpenSSL.

use std::io::Read;
use std::path::Path;

use ed25519_dalek::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes};
use p256::pkcs8::LineEnding;

use super::write::failed;
use crate::error::PackageError;

/// The kind of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA with the curve P-256: what cosign makes.
    #[default]
    P256,
    /// Ed25519: shorter and simpler.
    Ed25519,
}

/// A new key pair.
#[derive(Clone)]
pub struct KeyPair {
    /// PKCS #8 in PEM, not encrypted. Keep it off every device.
    pub private_pem: String,
    /// PEM, for the configuration of devices.
    pub public_pem: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("public_pem", &self.public_pem).finish_non_exhaustive()
    }
}

/// Makes a key pair from the kernel's random numbers.
pub fn keygen(kind: KeyKind) -> Result<KeyPair, PackageError> {
    let refuse =
        |e: &dyn std::fmt::Display| PackageError::Key { name: "new".to_owned(), reason: e.to_string() };
    match kind {
        KeyKind::P256 => {
            // Not every number is a key, but all but one in 2^32 are.
            let key = loop {
                if let Ok(key) = p256::SecretKey::from_slice(&random()?) {
                    break key;
                }
            };
            let private = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| refuse(&e))?;
            let public = key.public_key().to_public_key_pem(LineEnding::LF).map_err(|e| refuse(&e))?;
            Ok(KeyPair { private_pem: private.to_string(), public_pem: public })
        }
        KeyKind::Ed25519 => {
            let key = ed25519_dalek::SigningKey::from_bytes(&random()?);
            // Without the public half: OpenSSL does not read the newer form that holds it.
            let private = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
            let private = private.to_pkcs8_pem(LineEnding::LF).map_err(|e| refuse(&e))?;
            let public = key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|e| refuse(&e))?;
            Ok(KeyPair { private_pem: private.to_string(), public_pem: public })
        }
    }
}

fn random() -> Result<[u8; 32], PackageError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut bytes)).map_err(failed(path))?;
    Ok(bytes)
}
