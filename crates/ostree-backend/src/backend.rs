//! The backend itself: each step in terms of the repository, the deployments and the boot control.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ostree::gio;
use scomo_core::effect::{Inventory, Progress, Target};
use scomo_core::id::{ComponentId, PackageId, ReleaseId};
use scomo_core::spec::{Content, Release};
use scomo_engine::backend::{Backend, BackendError, StepCx};
use scomo_engine::boot::BootControl;
use scomo_engine::host::HostCommand;

use crate::adopt::adopt;
use crate::boot;
use crate::config::JobConfig;
use crate::error::OsError;
use crate::namespace;
use crate::pull::{Options, Remote, cancellable, missing_bytes, size_of};
use crate::resolve;
use crate::source::Pinned;
use crate::store::{Record, Store, hex, not_fetched, sync_dir};
use crate::sweep;
use crate::sysroot::{NEVER, Os, check_room, is_ours, repo_path};

/// Prefix of the branches that keep fetched commits in the repository.
const REFS: &str = "scomo";

/// The backend for OS components.
#[derive(Debug)]
pub struct OstreeBackend {
    job: JobConfig,
    store: Store,
}

impl OstreeBackend {
    /// A backend on the sysroot of a configuration. Nothing is opened before a step needs it.
    #[must_use]
    pub fn new(job: JobConfig) -> Self {
        let store = Store::new(&job.dir());
        Self { job, store }
    }

    fn boot(&self) -> Result<Box<dyn BootControl>, OsError> {
        boot::control(&self.job)
    }

    /// A folder that holds nothing between two steps.
    fn scratch(&self) -> PathBuf {
        self.job.dir().join("tmp")
    }

    fn record(&self, id: &ReleaseId) -> Result<Record, OsError> {
        self.store.get(id)?.ok_or_else(|| not_fetched(id))
    }

    /// The commit that is booted, if it is one of a release.
    fn booted_commit(&self) -> Result<Option<String>, BackendError> {
        let Some(id) = self.boot()?.booted()? else { return Ok(None) };
        Ok(self.store.get(&id)?.map(|record| record.commit))
    }

    /// Pulls the commit and gives the bytes that were moved and the bytes that it has.
    fn pull(&self, pinned: &Pinned, cx: &StepCx) -> Result<(u64, u64), OsError> {
        let config = &self.job.os;
        let path = repo_path(config);
        let reserve = self.job.package.reserve_bytes;
        check_room(&path, 0, reserve)?;
        let settings = config.remote(&pinned.url);
        // The checksum was pinned by a verified resolve: no signature is needed here, every object is hashed.
        let remote = Remote::open(&path, &pinned.url, settings, None, &self.scratch().join("remotes"))?;
        let options = Options { commit: Some(&pinned.commit), ..Options::default() };
        // The commit object alone first: up to version 2023.6 libostree asks for every object by itself beside the
        // static delta when the delta brings the commit object (fixed upstream in "Don't scan commit objects we fetch
        // via deltas").
        remote.pull(&Options { commit_only: true, ..options }, cx)?;
        check_room(&path, missing_bytes(remote.repo(), &pinned.commit)?, reserve)?;
        remote.pull(&options, cx)?;
        if let Some(size) = size_of(remote.repo(), &pinned.commit)? {
            return Ok((remote.moved(), size));
        }
        // A delta that does not hold all that its commit needs.
        remote.pull(&Options { no_deltas: true, ..options }, cx)?;
        let size = size_of(remote.repo(), &pinned.commit)?.ok_or_else(|| {
            OsError::Broken(format!("{} is not whole after it was pulled; fetch it again", pinned.commit))
        })?;
        Ok((remote.moved(), size))
    }

    fn try_fetch(&self, release: &Release, cx: &StepCx) -> Result<u64, OsError> {
        let pinned = Pinned::of(release)?;
        let known = self.store.get(&release.id)?;
        if cx.cancelled() {
            return Err(OsError::Cancelled);
        }
        namespace::prepare(&self.job.os.sysroot)?;
        let os = Os::look(&self.job.os)?;
        let repo = os.repo();
        let message = format!("looking for {}", pinned.commit);
        cx.progress(Progress { message, ..Progress::default() });
        let mut progress = Progress::default();
        let size = match size_of(&repo, &pinned.commit)? {
            Some(size) => {
                (progress.bytes_reused, progress.bytes_total) = (size, size);
                size
            }
            None => {
                let (moved, size) = self.pull(&pinned, cx)?;
                (progress.bytes_done, progress.bytes_total) = (moved, moved);
                size
            }
        };
        self.keep(&repo, &release.id, &pinned.commit)?;
        match known {
            Some(record) if record.commit == pinned.commit => {}
            _ => self.store.put(&Record::new(release, &pinned.commit))?,
        }
        cx.progress(progress);
        Ok(size)
    }

    /// Makes a branch that keeps the commit when the repository is pruned; durable when it returns.
    fn keep(&self, repo: &ostree::Repo, id: &ReleaseId, commit: &str) -> Result<(), OsError> {
        let name = format!("{REFS}/{}", hex(id));
        let found = repo.resolve_rev(&name, true).map_err(OsError::libostree("read a branch"))?;
        if found.as_deref() == Some(commit) {
            return Ok(());
        }
        repo.set_ref_immediate(None, &name, Some(commit), NEVER)
            .map_err(OsError::libostree("write a branch"))?;
        let heads = repo_path(&self.job.os).join("refs/heads");
        sync_dir(&heads.join(&name))?;
        sync_dir(&heads.join(REFS))?;
        sync_dir(&heads)
    }

    fn try_stage(&self, release: &Release, booted: Option<&str>, cx: &StepCx) -> Result<(), OsError> {
        let record = self.record(&release.id)?;
        let pinned = Pinned::of(release)?;
        if cx.cancelled() {
            return Err(OsError::Cancelled);
        }
        let os = Os::change(&self.job.os, cx)?;
        if size_of(&os.repo(), &record.commit)?.is_none() {
            return Err(not_fetched(&release.id));
        }
        if os.deployment_of(&record.commit).is_some() {
            return Ok(());
        }
        let current = os.current(booted);
        let result = cancellable(cx, |c: &gio::Cancellable| {
            os.deploy(&record.commit, &pinned.ref_name, current.as_ref(), c)
        });
        if result.is_err() && cx.cancelled() { Err(OsError::Cancelled) } else { result }
    }

    fn activate(&self, release: &Release) -> Result<bool, BackendError> {
        let mut boot = self.boot()?;
        let record = self.record(&release.id)?;
        if Os::look(&self.job.os)?.deployment_of(&record.commit).is_none() {
            let what = format!("the release {} is not deployed; stage it first", release.id);
            return Err(OsError::NotFound(what).into());
        }
        // Before the switch: when the same commit is booted already, this is the switch.
        self.store.choose(&release.id)?;
        boot.set_try_next(&release.id)?;
        Ok(boot.booted()?.as_ref() != Some(&release.id))
    }

    /// Makes no release of the component boot. What is booted cannot be stopped, only be left behind by a reboot into
    /// something that is not of this component.
    fn deactivate(&self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<bool, BackendError> {
        let mut boot = self.boot()?;
        if let Target::Inactive(release) = target {
            let record = self.record(&release.id)?;
            if Os::look(&self.job.os)?.deployment_of(&record.commit).is_none() {
                let what = format!("the release {} is not deployed; stage it first", release.id);
                return Err(OsError::NotFound(what).into());
            }
        }
        // What the device came with is not taken away; it is what remains when all else is.
        let of_component = |r: &Record| r.release.spec.id == *id && !r.adopted;
        let records: Vec<Record> = self.store.all()?.into_iter().filter(of_component).collect();
        let commits: BTreeSet<&str> = records.iter().map(|r| r.commit.as_str()).collect();
        let booted = self.booted_commit()?;
        let is_booted = booted.as_deref().is_some_and(|commit| commits.contains(commit));
        let all = Os::look(&self.job.os)?.deployments();
        let ours_boots = all.first().is_some_and(|d| commits.contains(d.csum().as_str()));
        if is_booted || ours_boots {
            let other =
                all.iter().map(|d| d.csum().to_string()).find(|csum| !commits.contains(csum.as_str()));
            let other = other.ok_or_else(|| {
                OsError::Unsupported(format!(
                    "'{id}' is the only OS of this device, it would have nothing to boot; activate another OS first"
                ))
            })?;
            let fallback = self.store.release_of(&other)?;
            for record in &records {
                boot.mark_bad(&record.release.id, fallback.as_ref())?;
            }
            Os::change(&self.job.os, cx)?.make_default(&other)?;
        }
        if *target == Target::Absent {
            let stays = |csum: &str| booted.as_deref() == Some(csum);
            Os::change(&self.job.os, cx)?.undeploy(|csum| commits.contains(csum) && !stays(csum))?;
        }
        Ok(is_booted)
    }

    fn try_collect(&self, keep: &[Release], cx: &StepCx) -> Result<(), BackendError> {
        let mut boot = self.boot()?;
        let booted = boot.booted()?;
        let records = self.store.all()?;
        let kept = |id: &ReleaseId| booted.as_ref() == Some(id) || keep.iter().any(|r| r.id == *id);
        let commits: BTreeSet<&str> =
            records.iter().filter(|r| kept(&r.release.id)).map(|r| r.commit.as_str()).collect();
        for record in records.iter().filter(|r| !kept(&r.release.id) && !commits.contains(r.commit.as_str()))
        {
            boot.mark_bad(&record.release.id, booted.as_ref())?;
        }
        let os = Os::change(&self.job.os, cx)?;
        os.undeploy(|csum| !commits.contains(csum))?;
        // A deployment that had to stay, as the last one, keeps its release.
        let left: BTreeSet<String> =
            os.deployments().iter().filter(|d| is_ours(d)).map(|d| d.csum().to_string()).collect();
        let kept: BTreeSet<&str> = records
            .iter()
            .filter(|r| {
                kept(&r.release.id) || (left.contains(&r.commit) && !commits.contains(r.commit.as_str()))
            })
            .map(|r| hex(&r.release.id))
            .collect();
        let repo = os.repo();
        let refs = repo.list_refs(Some(REFS), NEVER).map_err(OsError::libostree("list the branches"))?;
        for name in refs.keys() {
            let name = name.strip_prefix(REFS).map_or(name.as_str(), |name| name.trim_start_matches('/'));
            if !kept.contains(name) {
                let name = format!("{REFS}/{name}");
                repo.set_ref_immediate(None, &name, None, NEVER)
                    .map_err(OsError::libostree("delete a branch"))?;
            }
        }
        for record in records.iter().filter(|r| !kept.contains(hex(&r.release.id))) {
            self.store.delete(&record.release.id)?;
        }
        self.store.sweep()?;
        remove_dir(&self.scratch())?;
        sweep::unfinished_pulls(&repo_path(&self.job.os), &repo)?;
        os.clean_up()?;
        Ok(())
    }
}

fn remove_dir(dir: &Path) -> Result<(), OsError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(OsError::file("delete", dir)(e)),
        _ => Ok(()),
    }
}

impl Backend for OstreeBackend {
    fn resolve(&mut self, _package: &PackageId, source: &str, cx: &StepCx) -> Result<Content, BackendError> {
        let result = resolve::resolve(&self.job.os, source, &self.scratch(), cx);
        remove_dir(&self.scratch())?;
        Ok(result?)
    }

    fn fetch(&mut self, release: &Release, cx: &StepCx) -> Result<u64, BackendError> {
        let result = self.try_fetch(release, cx);
        remove_dir(&self.scratch())?;
        Ok(result?)
    }

    fn stage(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        let booted = self.booted_commit()?;
        Ok(self.try_stage(release, booted.as_deref(), cx)?)
    }

    fn switch(&mut self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<bool, BackendError> {
        match target {
            Target::Active(release) => self.activate(release),
            Target::Inactive(_) | Target::Absent => self.deactivate(id, target, cx),
        }
    }

    fn probe(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        let booted = self.boot()?.booted()?;
        if booted.as_ref() != Some(&release.id) {
            let other =
                booted.map_or_else(|| "an OS that is not managed here".to_owned(), |id| id.to_string());
            let what = format!("{} {} is not booted, {other} is", release.spec.id, release.spec.version);
            return Err(OsError::NotBooted(what).into());
        }
        match &release.spec.health {
            Some(check) => {
                // The command comes with the package, so whoever signed the OS chose it.
                let command = HostCommand { argv: &check.command, env: &[] };
                let why = |why| OsError::Unhealthy(format!("the OS is not healthy: its check {why}"));
                Ok(command.watch(check, cx).map_err(OsError::from)?.map_err(why)?)
            }
            None => Ok(()),
        }
    }

    fn confirm(&mut self, release: &Release, _cx: &StepCx) -> Result<(), BackendError> {
        self.boot()?.mark_good(&release.id)
    }

    fn collect(&mut self, keep: &[Release], cx: &StepCx) -> Result<(), BackendError> {
        self.try_collect(keep, cx)
    }

    fn observe(&mut self) -> Result<Inventory, BackendError> {
        let foreign = adopt(&self.job, &self.store)?.into_iter().collect();
        let running = self.boot()?.booted()?.into_iter().collect();
        Ok(Inventory { running, foreign, persistent: true })
    }

    fn logs(&mut self, id: &ComponentId, _lines: usize) -> Result<String, BackendError> {
        let what = format!("'{id}' is an OS, its log is that of the device: use 'journalctl -b'");
        Err(OsError::Unsupported(what).into())
    }
}
