//! From a source to a verified commit, described as a package of one component.
//!
//! Only the commit object and its signatures are fetched, into a repository that is deleted afterwards.

use std::path::Path;

use ostree::gio;
use ostree::glib;
use scomo_core::id::{Digest, ReleaseId};
use scomo_core::spec::{
    ComponentKind, ComponentSpec, Content, FilesSpec, Metadata, PackageInfo, Payload, Release, RunSpec,
};
use scomo_engine::backend::StepCx;

use crate::config::Config;
use crate::error::OsError;
use crate::pull::{Options, REMOTE, Remote, fresh};
use crate::source::Source;
use crate::verify::Policy;

/// Longest version and description that are taken over from a commit, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Finds and verifies the commit that `text` means. `dir` is a folder for the time of the call.
pub(crate) fn resolve(config: &Config, text: &str, dir: &Path, cx: &StepCx) -> Result<Content, OsError> {
    let source = Source::parse(text)?;
    if cx.cancelled() {
        return Err(OsError::Cancelled);
    }
    let settings = config.remote(&source.url);
    let policy = Policy::new(&source.url, settings)?;
    let scratch = Scratch::new(&dir.join("resolve"))?;
    let remote = Remote::open(&scratch.repo, &source.url, settings, policy.keyring(), &dir.join("remotes"))?;
    let options = Options {
        branch: Some(&source.ref_name),
        commit: source.commit.as_deref(),
        commit_only: true,
        no_deltas: true,
    };
    remote.pull(&options, cx)?;
    let branch = format!("{REMOTE}:{}", source.ref_name);
    let commit = remote
        .repo()
        .require_rev(&branch)
        .map_err(OsError::libostree(format!("find the branch {}", source.ref_name)))?
        .to_string();
    let signed_by = policy.check(remote.repo(), &commit)?;
    let content = describe(remote.repo(), &source, text, &commit, signed_by)?;
    tracing::info!(source = text, commit, signed_by = %content.signed_by, "OS commit resolved");
    Ok(content)
}

pub(crate) fn describe(
    repo: &ostree::Repo,
    source: &Source,
    text: &str,
    commit: &str,
    signed_by: String,
) -> Result<Content, OsError> {
    let (object, _) =
        repo.load_commit(commit).map_err(OsError::libostree(format!("read the commit {commit}")))?;
    let metadata = glib::VariantDict::new(object.try_child_value(0).as_ref());
    let version = metadata.lookup::<String>("version").ok().flatten().unwrap_or_default();
    let subject = object.try_child_get::<String>(3).ok().flatten().unwrap_or_default();
    let (version, description) = (plain(&version), plain(&subject));
    let spec = ComponentSpec {
        id: source.id.clone(),
        name: String::new(),
        version: version.clone(),
        kind: ComponentKind::Os,
        payload: Payload::Ostree {
            url: source.url.clone(),
            ref_name: source.ref_name.clone(),
            commit: commit.to_owned(),
        },
        requires: Vec::new(),
        description: description.clone(),
        env_type: String::new(),
        metadata: Metadata::default(),
        run: RunSpec::default(),
        files: FilesSpec::default(),
        health: None,
    };
    let broken = |what: &str| OsError::Broken(format!("cannot describe the commit {commit}: {what}"));
    let id = ReleaseId::of(&spec).map_err(|e| broken(&e.to_string()))?;
    let digest = Digest::new(format!("sha256:{commit}")).map_err(|e| broken(&e.to_string()))?;
    let info = PackageInfo { id: source.id.to_string(), version, description, ..PackageInfo::default() };
    let release = Release { id, spec, source: text.to_owned(), size: 0 };
    Ok(Content { digest, signed_by, info, releases: vec![release] })
}

/// Text from a commit, without control characters and cut to a length that fits everywhere.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if plain.len().saturating_add(c.len_utf8()) > TEXT_BYTES_MAX {
            break;
        }
        plain.push(c);
    }
    plain.trim().to_owned()
}

/// An empty repository that goes away.
struct Scratch {
    repo: std::path::PathBuf,
}

impl Scratch {
    fn new(dir: &Path) -> Result<Self, OsError> {
        fresh(dir)?;
        ostree::Repo::new_for_path(dir)
            .create(ostree::RepoMode::Archive, gio::Cancellable::NONE)
            .map_err(OsError::libostree(format!("make a repository in {}", dir.display())))?;
        // A keyring of its own, even an empty one, keeps libostree from trusting those of the system as well.
        let own = dir.join(format!("{REMOTE}.trustedkeys.gpg"));
        std::fs::write(&own, []).map_err(OsError::file("write", &own))?;
        Ok(Self { repo: dir.to_owned() })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a killed worker leaves is emptied by the next one.
        let _ = std::fs::remove_dir_all(&self.repo);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_commit_are_plain_and_short() {
        assert_eq!(plain(" a\n\u{7}b "), "a  b");
        let long = plain(&"ä".repeat(1000));
        assert_eq!(long, "ä".repeat(TEXT_BYTES_MAX / 2));
    }
}
