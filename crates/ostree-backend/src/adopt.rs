//! The OS that the device came with: found booted, and made known as a release, so that the inventory shows it and an
//! update of it can be reversed. Nothing of it is changed or deleted.

use scomo_core::id::ComponentId;
use scomo_core::spec::Release;

use crate::boot::Simulated;
use crate::config::{BootMode, JobConfig};
use crate::error::OsError;
use crate::resolve::describe;
use crate::source::{DEFAULT_ID, Source, is_ref};
use crate::store::{Record, Store};
use crate::sysroot::{Os, is_ours, repo_path};

/// The release of the booted OS if it came by other means than this crate.
pub(crate) fn adopt(job: &JobConfig, store: &Store) -> Result<Option<Release>, OsError> {
    let os = Os::look(&job.os)?;
    let Some(commit) = booted(job, &os)? else { return Ok(None) };
    let records = store.all()?;
    let known = records.iter().filter(|record| record.commit == commit && record.chosen > 0);
    if let Some(record) = known.max_by_key(|record| record.chosen) {
        return Ok(record.adopted.then(|| record.release.clone()));
    }
    let origin = os.deployment_of(&commit).and_then(|deployment| deployment.origin());
    let refspec = origin.and_then(|origin| origin.string("origin", "refspec").ok());
    let branch = refspec.as_deref().map(|text| text.rsplit_once(':').map_or(text, |(_, branch)| branch));
    let id = job.os.component.clone().map_or_else(|| ComponentId::new(DEFAULT_ID), Ok);
    let id = id.map_err(|e| OsError::Broken(format!("'{DEFAULT_ID}' is no component: {e}")))?;
    let url = format!("file://{}", repo_path(&job.os).display());
    let source = Source {
        ref_name: branch.filter(|branch| is_ref(branch)).unwrap_or_default().to_owned(),
        commit: Some(commit.clone()),
        id,
        url,
    };
    let text = format!("ostree+{}?ref={}&commit={commit}", source.url, source.ref_name);
    let content = describe(&os.repo(), &source, &text, &commit, String::new())?;
    let Some(release) = content.releases.into_iter().next() else { return Ok(None) };
    let last = records.iter().map(|record| record.chosen).max().unwrap_or(0);
    let record = Record { chosen: last.saturating_add(1), adopted: true, ..Record::new(&release, &commit) };
    store.put(&record)?;
    tracing::info!(
        commit,
        version = release.spec.version,
        "the booted OS came by other means; it is known now"
    );
    Ok(Some(release))
}

/// The commit that is booted: really, or as the simulated loader would have it on a device as it was made.
fn booted(job: &JobConfig, os: &Os) -> Result<Option<String>, OsError> {
    if job.os.boot != BootMode::Simulated {
        return Ok(os.booted_commit());
    }
    let simulated = Simulated::new(job.clone());
    if let Some(commit) = simulated.loader()?.booted {
        return Ok(Some(commit));
    }
    let first = os.deployments().iter().find(|d| !is_ours(d)).map(|d| d.csum().to_string());
    if let Some(commit) = &first {
        simulated.update(|loader| {
            loader.booted = Some(commit.clone());
            loader.default.get_or_insert_with(|| commit.clone());
        })?;
    }
    Ok(first)
}
