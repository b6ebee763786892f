//! Which signature a source needs: the longest matching prefix of the configured policies decides.

use scomo_core::id::Digest;

use crate::config::{Config, Policy, SignaturePolicy};
use crate::error::PackageError;
use crate::keys;
use crate::repository::{RawManifest, Repository};
use crate::signature::{self, Verdict};
use crate::sources::{Source, check_prefix};

/// The policy for a source; the default one, which requires a signature by any configured key, when none matches.
pub(crate) fn policy_for(config: &Config, source: &Source) -> Result<Policy, PackageError> {
    for policy in &config.policies {
        if let Err(reason) = check_prefix(&policy.source) {
            let reason = format!("the policy for '{}' can never match: {reason}", policy.source);
            return Err(PackageError::Config(reason));
        }
    }
    let matching = || config.policies.iter().filter(|p| source.is_below(&p.source));
    let Some(longest) = matching().max_by_key(|p| p.source.len()) else {
        return Ok(Policy::default());
    };
    if matching().filter(|p| p.source == longest.source).count() > 1 {
        let reason = format!("two entries of 'policies' have the source '{}'; keep one", longest.source);
        return Err(PackageError::Config(reason));
    }
    Ok(longest.clone())
}

/// What a source names, after the policy's check: made only by [`verify`], so nothing else can be read as a package.
#[derive(Debug)]
pub(crate) struct Verified {
    root: RawManifest,
    signed_by: String,
}

impl Verified {
    /// The manifest or index.
    pub(crate) fn root(&self) -> &RawManifest {
        &self.root
    }

    /// Identity of the key; empty when the policy takes unsigned packages.
    pub(crate) fn signed_by(&self) -> &str {
        &self.signed_by
    }
}

/// Checks `root` as the policy asks.
pub(crate) fn verify(
    config: &Config,
    source: &Source,
    repository: &mut dyn Repository,
    root: RawManifest,
) -> Result<Verified, PackageError> {
    let policy = policy_for(config, source)?;
    let signed_by = match policy.signature {
        SignaturePolicy::InsecureAcceptUnsigned => String::new(),
        SignaturePolicy::Require => signer(config, source, &policy, repository, &root.digest)?,
    };
    Ok(Verified { root, signed_by })
}

fn signer(
    config: &Config,
    source: &Source,
    policy: &Policy,
    repository: &mut dyn Repository,
    digest: &Digest,
) -> Result<String, PackageError> {
    let keys = keys::trusted(config, policy)?;
    let untrusted = |reason| PackageError::Untrusted { digest: digest.clone(), url: source.place(), reason };
    match signature::check(repository, digest, &keys, policy.reference.as_deref())? {
        Verdict::Good(identity) => Ok(identity),
        Verdict::None => Err(PackageError::Unsigned { digest: digest.clone(), url: source.place() }),
        Verdict::Bad(_) if keys.is_empty() => {
            Err(untrusted("it is signed, but no key is configured; add one under [package.keys]".to_owned()))
        }
        Verdict::Bad(reason) => {
            let names: Vec<&str> = keys.iter().map(|k| k.identity.as_str()).collect();
            Err(untrusted(format!("{reason}; trusted keys: {}", names.join(", "))))
        }
    }
}
