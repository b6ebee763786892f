//! Pulling commits into a repository, with progress and cancellation.
//!
//! The settings of the remote live in a folder of their own for the time of a pull: nothing is written to the
//! configuration of the device's repository.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use ostree::gio;
use ostree::glib;
use ostree::prelude::*;
use scomo_core::effect::Progress;
use scomo_engine::backend::StepCx;

use crate::config::RemoteConfig;
use crate::error::OsError;

/// Name of the remote during a pull.
pub(crate) const REMOTE: &str = "scomo";
/// How often a pull looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(20);
/// How often libostree reports progress, in milliseconds.
const PROGRESS_MS: u32 = 100;
/// How often libostree repeats a request that failed for a moment. The engine tries the whole pull again, later.
const RETRIES: u32 = 2;

/// A repository that is opened with one remote, [`REMOTE`].
#[derive(Debug)]
pub(crate) struct Remote {
    url: String,
    repo: ostree::Repo,
    /// Holds the remote's settings; the repository reads them when it is opened and when its settings change.
    dir: PathBuf,
    /// Bytes that came over the network in the pulls so far.
    moved: Cell<u64>,
}

impl Remote {
    /// Opens the repository at `path` with a remote at `url`. With a keyring, what is pulled needs a GPG signature.
    /// `dir` is emptied and used for the remote's settings.
    pub(crate) fn open(
        path: &Path,
        url: &str,
        settings: Option<&RemoteConfig>,
        keyring: Option<&Path>,
        dir: &Path,
    ) -> Result<Self, OsError> {
        fresh(dir)?;
        let file = dir.join("scomo.conf");
        fs::write(&file, remote_file(url, settings, keyring)?.as_bytes())
            .map_err(OsError::file("write", &file))?;
        let repo: ostree::Repo = glib::Object::builder()
            .property("path", gio::File::for_path(path))
            .property("remotes-config-dir", dir.to_string_lossy().as_ref())
            .build();
        repo.open(gio::Cancellable::NONE)
            .map_err(OsError::libostree(format!("open the repository {}", path.display())))?;
        // What is said to be on the device must be: a repository whose owner turned this off does not count.
        repo.set_disable_fsync(false);
        Ok(Self { url: url.to_owned(), repo, dir: dir.to_owned(), moved: Cell::new(0) })
    }

    /// The repository.
    pub(crate) fn repo(&self) -> &ostree::Repo {
        &self.repo
    }

    /// Bytes that came over the network.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.get()
    }

    /// Pulls.
    pub(crate) fn pull(&self, options: &Options<'_>, cx: &StepCx) -> Result<(), OsError> {
        let dict = glib::VariantDict::new(None);
        let what = options.commit.or(options.branch).unwrap_or_default();
        // A pull by checksum alone makes no branch in the repository.
        dict.insert_value("refs", &[options.branch.unwrap_or(what)].to_variant());
        if let (Some(commit), Some(_)) = (options.commit, options.branch) {
            dict.insert_value("override-commit-ids", &[commit].to_variant());
        }
        if options.no_deltas {
            dict.insert_value("disable-static-deltas", &true.to_variant());
        }
        let mut flags = ostree::RepoPullFlags::UNTRUSTED;
        if options.commit_only {
            flags |= ostree::RepoPullFlags::COMMIT_ONLY;
        }
        // Both sides of the language border know it as a C int.
        dict.insert_value("flags", &flags.bits().cast_signed().to_variant());
        dict.insert_value("depth", &0_i32.to_variant());
        dict.insert_value("n-network-retries", &RETRIES.to_variant());
        dict.insert_value("update-frequency", &PROGRESS_MS.to_variant());
        let agent = concat!("scomo/", env!("CARGO_PKG_VERSION"));
        dict.insert_value("append-user-agent", &agent.to_variant());
        // A main loop of its own: that of the process may be run by another thread.
        let pulled = glib::MainContext::new().with_thread_default(|| self.pull_here(&dict.end(), cx));
        match pulled.map_err(|e| OsError::Broken(format!("no main loop for a pull: {e}")))? {
            Ok(()) => Ok(()),
            Err(_) if cx.cancelled() => Err(OsError::Cancelled),
            Err(source) => Err(OsError::Pull { what: what.to_owned(), url: self.url.clone(), source }),
        }
    }

    fn pull_here(&self, options: &glib::Variant, cx: &StepCx) -> Result<(), glib::Error> {
        let progress = ostree::AsyncProgress::new();
        let (reporter, before) = (cx.clone(), self.moved.get());
        let most = Mutex::new(before);
        progress.connect_changed(move |progress| report(progress, &reporter, before, &most));
        let result = cancellable(cx, |cancellable| {
            self.repo.pull_with_options(REMOTE, options, Some(&progress), Some(cancellable))
        });
        // It must not be dropped while a report is waiting in the main loop.
        progress.finish();
        self.moved.set(before.saturating_add(progress.uint64("bytes-transferred")));
        result
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // What a killed worker leaves is emptied by the next one.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What to pull: a branch, a commit, or the commit that must be on the branch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    pub(crate) branch: Option<&'a str>,
    pub(crate) commit: Option<&'a str>,
    pub(crate) commit_only: bool,
    pub(crate) no_deltas: bool,
}

/// An empty folder.
pub(crate) fn fresh(dir: &Path) -> Result<(), OsError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(OsError::file("delete", dir)(e)),
        _ => {}
    }
    fs::create_dir_all(dir).map_err(OsError::file("create", dir))
}

fn remote_file(
    url: &str,
    settings: Option<&RemoteConfig>,
    keyring: Option<&Path>,
) -> Result<glib::GString, OsError> {
    let file = glib::KeyFile::new();
    let group = format!("remote \"{REMOTE}\"");
    file.set_string(&group, "url", url);
    file.set_boolean(&group, "gpg-verify", keyring.is_some());
    if let Some(keyring) = keyring {
        file.set_string(&group, "gpgkeypath", &keyring.to_string_lossy());
    }
    file.set_boolean(&group, "gpg-verify-summary", false);
    // ed25519 signatures are checked by this crate: libostree may be built without them.
    file.set_boolean(&group, "sign-verify", false);
    file.set_boolean(&group, "sign-verify-summary", false);
    let tls = settings
        .map(|s| [("ca", &s.tls_ca), ("client-cert", &s.tls_client_cert), ("client-key", &s.tls_client_key)]);
    for (name, path) in tls.into_iter().flatten() {
        let Some(path) = path else { continue };
        let why = || format!("the file {} cannot be read", path.display());
        let policy = |why| OsError::Policy { url: url.to_owned(), why };
        fs::File::open(path).map_err(|_| policy(why()))?;
        let text = path.to_str().ok_or_else(|| policy(why()))?;
        file.set_string(&group, &format!("tls-{name}-path"), text);
    }
    Ok(file.to_data())
}

/// Runs `body`, and cancels it when the step is cancelled.
pub(crate) fn cancellable<T>(cx: &StepCx, body: impl FnOnce(&gio::Cancellable) -> T) -> T {
    let cancellable = gio::Cancellable::new();
    if cx.cancelled() {
        cancellable.cancel();
    }
    let (done, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let flag = &cancellable;
        let watch = move || {
            while wait.recv_timeout(CANCEL_CHECK) == Err(RecvTimeoutError::Timeout) {
                if cx.cancelled() {
                    flag.cancel();
                    return;
                }
            }
        };
        if let Err(error) = thread::Builder::new().spawn_scoped(scope, watch) {
            tracing::warn!("this step cannot be cancelled: {error}");
        }
        let result = body(&cancellable);
        drop(done);
        result
    })
}

fn report(progress: &ostree::AsyncProgress, cx: &StepCx, before: u64, most: &Mutex<u64>) {
    let mut most = most.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *most = progress.uint64("bytes-transferred").saturating_add(before).max(*most);
    let parts = progress.uint64("total-delta-part-size");
    let (fetched, requested) = (progress.uint("fetched"), progress.uint("requested"));
    let message = match progress.uint("total-delta-parts") {
        0 => format!("{fetched} of {requested} objects"),
        parts => format!("{} of {parts} parts of a delta", progress.uint("fetched-delta-parts")),
    };
    // How many bytes loose objects have is not known before they are there.
    let bytes_total = if parts == 0 { 0 } else { parts.max(*most) };
    cx.progress(Progress { bytes_done: *most, bytes_total, bytes_reused: 0, message });
}

/// The bytes of the objects of a commit that are not there, as far as the commit lists their sizes
/// (`ostree commit --generate-sizes`); zero when it does not. Then libostree alone looks at the free space: before it
/// fetches the parts of a static delta, and with every object otherwise.
pub(crate) fn missing_bytes(repo: &ostree::Repo, commit: &str) -> Result<u64, OsError> {
    let failed = |what: &str| OsError::libostree(format!("{what} {commit}"));
    let (variant, _) = repo.load_commit(commit).map_err(failed("read the commit"))?;
    let sizes = match ostree::commit_get_object_sizes(&variant) {
        Ok(sizes) => sizes,
        Err(e) if e.matches(gio::IOErrorEnum::NotFound) => return Ok(0),
        Err(e) => return Err(failed("read the sizes of the objects of")(e)),
    };
    let mut sum = 0_u64;
    for size in sizes {
        let there = repo.has_object(size.objtype(), &size.checksum(), gio::Cancellable::NONE);
        if !there.map_err(failed("look for an object of"))? {
            sum = sum.saturating_add(size.unpacked());
        }
    }
    Ok(sum)
}

/// The bytes of all objects of a commit if it is whole. A commit of which something is missing is marked, so that the
/// next pull looks for the missing part.
pub(crate) fn size_of(repo: &ostree::Repo, commit: &str) -> Result<Option<u64>, OsError> {
    let failed = |what: &str| OsError::libostree(format!("{what} {commit}"));
    let never = gio::Cancellable::NONE;
    if !repo.has_object(ostree::ObjectType::Commit, commit, never).map_err(failed("look for"))? {
        return Ok(None);
    }
    let (_, state) = repo.load_commit(commit).map_err(failed("read the commit"))?;
    if state.contains(ostree::RepoCommitState::PARTIAL) {
        return Ok(None);
    }
    let sizes = || -> Result<u64, glib::Error> {
        let mut sum = 0_u64;
        for object in repo.traverse_commit(commit, 0, never)? {
            sum = sum.saturating_add(repo.query_object_storage_size(
                object.object_type(),
                object.checksum(),
                never,
            )?);
        }
        Ok(sum)
    };
    match sizes() {
        Ok(size) => Ok(Some(size)),
        Err(e) if e.matches(gio::IOErrorEnum::NotFound) => {
            tracing::warn!("something of the commit {commit} is missing and is fetched again: {e}");
            repo.mark_commit_partial(commit, true).map_err(failed("mark the commit"))?;
            Ok(None)
        }
        Err(e) => Err(failed("measure the commit")(e)),
    }
}
