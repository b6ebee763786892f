//! The file system as a confined process sees it.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Devices that stay usable; everything else under `/dev`, above all disks, cannot be opened.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// What a signature check or the like may keep in memory.
const SCRATCH_OPTIONS: &str = "size=16m,nr_inodes=4096,mode=0700";

/// Enters a mount namespace where all is read-only and without devices but `writable` and [`DEVICES`].
pub(super) fn restrict(writable: &[PathBuf]) -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("no mount namespace: {e}"))?;
    remount("/", MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    let devices = DEVICES.iter().map(Path::new).filter(|path| path.exists());
    for path in writable.iter().map(PathBuf::as_path).chain(devices.clone()) {
        mount(Some(path), path, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .map_err(|e| format!("cannot bind {}: {e}", path.display()))?;
    }
    let all = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
    set_attributes(Path::new("/"), all, 0)?;
    for path in writable {
        set_attributes(path, 0, libc::MOUNT_ATTR_RDONLY)?;
    }
    for path in devices {
        set_attributes(path, 0, libc::MOUNT_ATTR_NODEV)?;
    }
    // The old working folder may be on a mount that is not reachable any more.
    std::env::set_current_dir("/").map_err(|e| format!("cannot change to /: {e}"))
}

fn remount(path: &str, flags: MsFlags) -> Result<(), String> {
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
        .map_err(|e| format!("cannot change {path}: {e}"))
}

/// Mounts an empty file system in memory on `dir` and makes it `TMPDIR`.
pub(super) fn scratch(dir: &Path) -> Result<(), String> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), dir, Some("tmpfs"), flags, Some(SCRATCH_OPTIONS))
        .map_err(|e| format!("cannot mount {}: {e}", dir.display()))?;
    #[allow(unsafe_code)]
    // SAFETY: `enter` has checked that the process has one thread, so nobody reads the environment meanwhile.
    unsafe {
        std::env::set_var("TMPDIR", dir);
    }
    Ok(())
}

fn set_attributes(path: &Path, set: u64, clear: u64) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("cannot change the mount {}: {e}", path.display());
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|e| failed(&e))?;
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    #[allow(unsafe_code)]
    // SAFETY: `name` ends with a zero byte, `attributes` is a whole structure of the size that is passed, and both
    // outlive the call, which only reads them.
    let status = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if status == 0 { Ok(()) } else { Err(failed(&io::Error::last_os_error())) }
}
