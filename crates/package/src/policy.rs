//! Which signature a source needs: the longest matching prefix of the configured policies decides.

use scomo_core::id::Digest;

use crate::config::{Config, Policy, SignaturePolicy};
use crate::error::PackageError;
use crate::repository::{RawManifest, Repository};
use crate::sources::Source;

/// The policy for a source; the default one, which requires a signature by any configured key, when none matches.
pub(crate) fn policy_for(config: &Config, source: &Source) -> Result<Policy, PackageError> {
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

/// Checks `root` as the policy asks. Gives the identity of the key; empty when the policy takes unsigned packages.
pub(crate) fn verify(
    config: &Config,
    source: &Source,
    _repository: &mut dyn Repository,
    root: &RawManifest,
) -> Result<String, PackageError> {
    let policy = policy_for(config, source)?;
    match policy.signature {
        SignaturePolicy::InsecureAcceptUnsigned => Ok(String::new()),
        SignaturePolicy::Require => Err(unsigned(&root.digest, source)),
    }
}

fn unsigned(digest: &Digest, source: &Source) -> PackageError {
    PackageError::Unsigned { digest: digest.clone(), url: source.place() }
}
