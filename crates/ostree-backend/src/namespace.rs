//! Where a worker may write, and how read-only `/sysroot` and `/boot` become writable for it alone.

use std::path::{Path, PathBuf};

use caps::Capability;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use scomo_engine::confine::Confinement;

use crate::error::OsError;

/// A file that an initramfs makes when it boots an OSTree deployment.
const BOOTED: &str = "/run/ostree-booted";
/// What a booted device mounts read-only and an update writes.
const PROTECTED: [&str; 2] = ["/sysroot", "/boot"];

/// The confinement of a worker that resolves, fetches or stages: besides its state it may write in the sysroot.
///
/// The folders of the sysroot stay in one mount each, as libostree makes hard links from the repository to a
/// deployment. A read-only `/sysroot` or `/boot` becomes writable for the worker alone.
#[must_use]
pub fn confinement(config: &serde_json::Value) -> Confinement {
    let mut to = Confinement::from_config(config);
    let sysroot = config.pointer("/os/sysroot").and_then(serde_json::Value::as_str).unwrap_or("/");
    if sysroot == "/" {
        to.writable.extend(PROTECTED.iter().map(PathBuf::from).filter(|path| path.is_dir()));
    } else if Path::new(sysroot).is_dir() {
        to.writable.push(PathBuf::from(sysroot));
    }
    // A deployment's root folder is immutable.
    to.capabilities.push(Capability::CAP_LINUX_IMMUTABLE);
    if Path::new("/sys/fs/selinux/enforce").exists() {
        // Labels of a policy that is not loaded yet, and the label of files to be created.
        to.capabilities.push(Capability::CAP_MAC_ADMIN);
        to.writable.push(PathBuf::from("/proc/thread-self/attr"));
    }
    to
}

/// Prepares for writing in the sysroot at `path`: true when the calling thread is in a mount namespace of its own, in
/// which libostree may remount what is read-only.
pub(crate) fn prepare(path: &Path) -> Result<bool, OsError> {
    let booted = path == Path::new("/") && Path::new(BOOTED).exists();
    if !booted || !PROTECTED.iter().any(|path| is_read_only(Path::new(path))) {
        return Ok(false);
    }
    let failed = |e| OsError::Broken(format!("/sysroot is read-only and cannot be remounted privately: {e}"));
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).map_err(failed)?;
    Ok(true)
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY))
}
