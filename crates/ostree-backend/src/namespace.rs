//! Where a worker may write, and how read-only `/sysroot` and `/boot` become writable for it alone.

use std::path::{Path, PathBuf};

use caps::Capability;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use scomo_core::effect::Effect;
use scomo_engine::confine::Confinement;
use scomo_engine::worker::{Job, Request};

use crate::error::OsError;

/// A file that an initramfs makes when it boots an OSTree deployment.
const BOOTED: &str = "/run/ostree-booted";
/// Exists where SELinux is on.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// What a booted device mounts read-only and an update writes.
const PROTECTED: [&str; 2] = ["/sysroot", "/boot"];

/// The confinement of a worker that resolves, fetches or stages. Resolving writes its own state only, fetching the
/// sysroot as well, staging also what libostree touches in `/var`.
///
/// The folders of the sysroot stay in one mount each, as libostree makes hard links from the repository to a
/// deployment. A read-only `/sysroot` or `/boot` becomes writable for the worker alone.
#[must_use]
pub fn confinement(job: &Job) -> Option<Confinement> {
    let mut to = Confinement::from_config(&job.config);
    let staging = match &job.request {
        Request::Effect(Effect::Stage { .. }) => true,
        Request::Effect(Effect::Fetch { .. }) => false,
        _ => return Some(to),
    };
    if staging && Path::new(SELINUX).exists() {
        // Deploying then sets labels through /proc and rebuilds the policy in a sandbox of its own. What is deployed
        // was verified by the fetch.
        return None;
    }
    let sysroot = job.config.pointer("/os/sysroot").and_then(serde_json::Value::as_str).unwrap_or("/");
    if sysroot == "/" {
        to.writable.extend(PROTECTED.iter().map(PathBuf::from).filter(|path| path.is_dir()));
    } else if Path::new(sysroot).is_dir() {
        to.writable.push(PathBuf::from(sysroot));
    }
    if staging {
        // A deployment's root folder is immutable.
        to.capabilities.push(Capability::CAP_LINUX_IMMUTABLE);
        if sysroot == "/" {
            // It deletes `/var/.updated`, so that services that follow an update run.
            to.writable.push(PathBuf::from("/var"));
        }
    } else if Path::new(SELINUX).exists() {
        // Labels that the policy of the running system does not know.
        to.capabilities.push(Capability::CAP_MAC_ADMIN);
    }
    Some(to)
}

/// Makes `/sysroot` and `/boot` writable for the calling thread when the sysroot at `path` is the one that is booted
/// and mounts them read-only. True: the thread is in a mount namespace of its own, in which libostree may do the rest.
pub(crate) fn prepare(path: &Path) -> Result<bool, OsError> {
    let booted = path == Path::new("/") && Path::new(BOOTED).exists();
    if !booted || !PROTECTED.iter().any(|path| is_read_only(Path::new(path))) {
        return Ok(false);
    }
    let failed = |e| OsError::Broken(format!("/sysroot is read-only and cannot be remounted privately: {e}"));
    let remount = |path: &str, flags| mount(None::<&str>, path, None::<&str>, flags, None::<&str>);
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    remount("/", MsFlags::MS_REC | MsFlags::MS_PRIVATE).map_err(failed)?;
    for path in PROTECTED.iter().filter(|path| is_read_only(Path::new(path))) {
        // Only this mount, not the file system below it, which others may hold read-only. Where the file system itself
        // is read-only this changes nothing, and libostree remounts it.
        let mounted = remount(path, MsFlags::MS_REMOUNT | MsFlags::MS_BIND);
        if let Err(error) = mounted {
            tracing::debug!("{path} stays read-only for now: {error}");
        }
    }
    Ok(true)
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY))
}
