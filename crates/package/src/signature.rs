//! Signatures in cosign's key-based format.
//!
//! A signature of the manifest `sha256:<hex>` is an image manifest with the tag `sha256-<hex>.sig` in the same
//! repository, or with that name in a layout. Each of its layers is a small JSON payload that names the digest, and
//! carries the signature over the payload's bytes as an annotation. One good signature is enough; who adds a hundred
//! bad ones beside it gains nothing.

use scomo_core::id::Digest;
use serde::{Deserialize, Serialize};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::PackageError;
use crate::json;
use crate::keys::TrustedKey;
use crate::oci::{self, Descriptor};
use crate::repository::{Repository, read_small};

/// Media type of a signed payload.
pub const MEDIA_SIGNED: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation that holds the signature in base64.
pub const ANNOTATION_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Most signatures that are looked at for one package.
pub const SIGNATURES_MAX: usize = 64;
/// Largest signed payload in bytes; cosign's has about 250.
pub const PAYLOAD_BYTES_MAX: u64 = 16 * 1024;
const PAYLOAD_TYPE: &str = "cosign container image signature";

/// What is signed: the digest of a manifest and the name it was signed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: SignedImage,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SignedImage {
    docker_manifest_digest: Digest,
}

/// The tag or ref under which the signatures of `digest` are kept.
#[must_use]
pub fn tag_of(digest: &Digest) -> String {
    format!("{}.sig", digest.as_str().replacen(':', "-", 1))
}

/// The bytes to sign for `digest`; `reference` is the repository's name, empty for none.
#[must_use]
pub fn payload(digest: &Digest, reference: &str) -> Vec<u8> {
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: reference.to_owned() },
            image: SignedImage { docker_manifest_digest: digest.clone() },
            kind: PAYLOAD_TYPE.to_owned(),
        },
        optional: None,
    };
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// What came of looking for a signature.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A trusted key signed it: its identity.
    Good(String),
    /// There is no signature.
    None,
    /// There are some, but none counts: why, for people.
    Bad(String),
}

/// Looks for one good signature of `digest` by one of `keys`.
pub(crate) fn check(
    repository: &mut dyn Repository,
    digest: &Digest,
    keys: &[TrustedKey],
    reference: Option<&str>,
) -> Result<Verdict, PackageError> {
    let Some(raw) = repository.named(&tag_of(digest))? else {
        return Ok(Verdict::None);
    };
    let manifest = match oci::parse_image_manifest(&raw.bytes) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Verdict::Bad(error.to_string())),
    };
    if manifest.layers.is_empty() {
        return Ok(Verdict::None);
    }
    let mut reason = String::new();
    for layer in manifest.layers.iter().take(SIGNATURES_MAX) {
        match check_one(repository, layer, digest, keys, reference) {
            Ok(Ok(identity)) => return Ok(Verdict::Good(identity)),
            Ok(Err(why)) => reason = why,
            // The network may come back; a verdict would be final.
            Err(error) if error.kind().is_transient() => return Err(error),
            Err(error) => reason = error.to_string(),
        }
    }
    Ok(Verdict::Bad(format!("{} looked at; the last: {reason}", manifest.layers.len().min(SIGNATURES_MAX))))
}

/// One signature: the identity of its key, or why it does not count.
fn check_one(
    repository: &mut dyn Repository,
    layer: &Descriptor,
    digest: &Digest,
    keys: &[TrustedKey],
    reference: Option<&str>,
) -> Result<Result<String, String>, PackageError> {
    if layer.media_type != MEDIA_SIGNED {
        return Ok(Err(format!("'{}' is not a signed payload", oci::shorten(&layer.media_type))));
    }
    if layer.size > PAYLOAD_BYTES_MAX {
        return Ok(Err(format!("the signed payload has more than {PAYLOAD_BYTES_MAX} bytes")));
    }
    let Some(Ok(signature)) = layer.annotations.get(ANNOTATION_SIGNATURE).map(|s| BASE64.decode(s.trim()))
    else {
        return Ok(Err(format!("the annotation {ANNOTATION_SIGNATURE} is missing or not base64")));
    };
    let bytes = read_small(repository, layer, "the signed payload")?;
    // Nothing of the payload is parsed before a trusted key stands behind its bytes.
    let Some(key) = keys.iter().find(|key| key.verifies(&bytes, &signature)) else {
        return Ok(Err("it is not by a trusted key, or the payload was changed".to_owned()));
    };
    Ok(check_payload(&bytes, digest, reference).map(|()| key.identity.clone()))
}

fn check_payload(bytes: &[u8], digest: &Digest, reference: Option<&str>) -> Result<(), String> {
    let payload: Payload = json::parse(bytes, "the signed payload").map_err(|e| e.to_string())?;
    if payload.critical.kind != PAYLOAD_TYPE {
        return Err(format!("the payload's type is '{}'", oci::shorten(&payload.critical.kind)));
    }
    let signed = &payload.critical.image.docker_manifest_digest;
    if signed != digest {
        return Err(format!("it signs {signed}, another package"));
    }
    let named = &payload.critical.identity.docker_reference;
    match reference {
        Some(reference) if named != reference => {
            Err(format!("it was made for '{}', the policy wants '{reference}'", oci::shorten(named)))
        }
        _ => Ok(()),
    }
}
