//! Signatures of commits: GPG through libostree, ed25519 here.
//!
//! An ed25519 signature is over the bytes of the commit object and stands in its detached metadata, as `ostree sign`
//! writes it. It is checked here because libostree is often built without that, Debian's among them.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use ostree::glib;
use sha2::{Digest, Sha256};

use crate::config::RemoteConfig;
use crate::error::OsError;
use crate::pull::REMOTE;
use crate::sysroot::NEVER;

/// Key of the ed25519 signatures in a commit's detached metadata.
const SIGNATURES: &str = "ostree.sign.ed25519";
/// Most signatures that are looked at: each costs a check against each key.
const SIGNATURES_MAX: usize = 32;
/// Most trusted keys of one repository.
const KEYS_MAX: usize = 64;
/// Largest file of keys or keyring in bytes.
const KEY_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What is asked of the commits of one repository.
#[derive(Debug)]
pub(crate) struct Policy<'a> {
    url: &'a str,
    remote: &'a RemoteConfig,
    keys: Vec<VerifyingKey>,
}

impl<'a> Policy<'a> {
    /// Reads and checks the settings; nothing is trusted by leaving something out.
    pub(crate) fn new(url: &'a str, remote: Option<&'a RemoteConfig>) -> Result<Self, OsError> {
        let remote = remote.ok_or_else(|| OsError::NoPolicy(url.to_owned()))?;
        let wrong = |why: String| OsError::Policy { url: url.to_owned(), why };
        if remote.insecure_accept_unsigned && (remote.gpg_verify || remote.sign_verify) {
            return Err(wrong(
                "insecure_accept_unsigned and a kind of verification exclude each other".to_owned(),
            ));
        }
        if !(remote.insecure_accept_unsigned || remote.gpg_verify || remote.sign_verify) {
            return Err(OsError::NoPolicy(url.to_owned()));
        }
        if remote.gpg_verify {
            check_keyring(remote.gpg_keyring.as_deref()).map_err(wrong)?;
        }
        let keys = if remote.sign_verify { read_keys(remote).map_err(wrong)? } else { Vec::new() };
        Ok(Self { url, remote, keys })
    }

    /// The keyring for libostree to check GPG signatures with, if it is to check them.
    pub(crate) fn keyring(&self) -> Option<&Path> {
        self.remote.gpg_keyring.as_deref().filter(|_| self.remote.gpg_verify)
    }

    /// Checks the signatures of a commit in `repo` and gives the identity of who signed it; empty: nobody had to.
    pub(crate) fn check(&self, repo: &ostree::Repo, commit: &str) -> Result<String, OsError> {
        let untrusted = |why: &str| OsError::Untrusted {
            commit: commit.to_owned(),
            url: self.url.to_owned(),
            why: why.to_owned(),
        };
        let object = repo
            .load_variant(ostree::ObjectType::Commit, commit)
            .map_err(OsError::libostree(format!("read the commit {commit}")))?;
        let hash = scomo_core::id::Digest::from_sha256(Sha256::digest(object.data()).into());
        if hash.as_str().strip_prefix("sha256:") != Some(commit) {
            return Err(untrusted("its bytes have another checksum"));
        }
        let mut signers = Vec::new();
        if self.remote.gpg_verify {
            signers.push(gpg(repo, commit).map_err(|e| untrusted(e.message()))?);
        }
        if self.remote.sign_verify {
            let found = signatures(repo, commit)?;
            let good = |key: &&VerifyingKey| {
                found.iter().any(|signature| key.verify_strict(object.data(), signature).is_ok())
            };
            let why = if found.is_empty() {
                "it has no ed25519 signature"
            } else {
                "its ed25519 signatures are by others"
            };
            let key = self.keys.iter().find(good).ok_or_else(|| untrusted(why))?;
            signers.push(format!("ed25519:{}", STANDARD.encode(key.as_bytes())));
        }
        Ok(signers.join(" "))
    }
}

fn check_keyring(path: Option<&Path>) -> Result<(), String> {
    let path = path.ok_or("gpg_verify needs gpg_keyring, a file with the trusted public keys")?;
    // libostree takes a list of files here.
    if path.to_str().is_none_or(|path| path.contains([';', ','])) {
        return Err(format!("the name of the keyring {} must not hold ';' or ','", path.display()));
    }
    if read_limited(path)?.is_empty() {
        return Err(format!("the keyring {} is empty", path.display()));
    }
    Ok(())
}

fn gpg(repo: &ostree::Repo, commit: &str) -> Result<String, glib::Error> {
    let result = repo.verify_commit_for_remote(commit, REMOTE, NEVER)?;
    result.require_valid_signature()?;
    for index in 0..result.count_all() {
        let signature = result.all(index);
        let valid = signature.try_child_get::<bool>(0).ok().flatten() == Some(true);
        if valid && let Ok(Some(fingerprint)) = signature.try_child_get::<String>(5) {
            return Ok(format!("gpg:{fingerprint}"));
        }
    }
    Ok("gpg".to_owned())
}

fn signatures(repo: &ostree::Repo, commit: &str) -> Result<Vec<Signature>, OsError> {
    let metadata = repo
        .read_commit_detached_metadata(commit, NEVER)
        .map_err(OsError::libostree(format!("read the signatures of {commit}")))?;
    let list = metadata.and_then(|metadata| {
        let dict = glib::VariantDict::new(Some(&metadata));
        dict.lookup_value(SIGNATURES, glib::VariantTy::new("aay").ok())
    });
    let list = list.iter().flat_map(glib::Variant::iter).take(SIGNATURES_MAX);
    Ok(list.filter_map(|bytes| Signature::from_slice(bytes.fixed_array::<u8>().ok()?).ok()).collect())
}

fn read_keys(remote: &RemoteConfig) -> Result<Vec<VerifyingKey>, String> {
    let mut texts = remote.ed25519_keys.clone();
    for path in &remote.ed25519_key_files {
        let text = String::from_utf8(read_limited(path)?)
            .map_err(|_| format!("the key file {} is not text", path.display()))?;
        texts.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    if texts.is_empty() {
        return Err("sign_verify needs a key in ed25519_keys or ed25519_key_files".to_owned());
    }
    if texts.len() > KEYS_MAX {
        return Err(format!("there are more than {KEYS_MAX} keys"));
    }
    let parse = |text: &String| {
        let bytes = STANDARD.decode(text.trim()).ok()?;
        VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()
    };
    let wrong = |text: &String| {
        let text: String = text.chars().take(64).collect();
        format!("'{text}' is not an ed25519 public key: 32 bytes in base64 are needed")
    };
    texts.iter().map(|text| parse(text).ok_or_else(|| wrong(text))).collect()
}

fn read_limited(path: &Path) -> Result<Vec<u8>, String> {
    let size = fs::metadata(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?.len();
    if size > KEY_FILE_BYTES_MAX {
        return Err(format!("{} has more than {KEY_FILE_BYTES_MAX} bytes", path.display()));
    }
    fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
}
