//! What is written about a running component, and the lock that proves that somebody keeps it running.
//!
//! The lock is one of an open file description: it goes with the process however it ends, children do not inherit
//! it, and others can ask for it without taking it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use scomo_core::id::ReleaseId;
use scomo_core::spec::Release;
use serde::{Deserialize, Serialize};

use super::blueprint::Policy;
use super::crun::Crun;
use super::oci::ImageConfig;
use super::places::ComponentPlace;
use crate::error::{Context, Error};
use scomo_store::files::{self, Durability};

/// What is to run and how: all that the process that keeps a component running needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Tells this start from any other one; a start that was overtaken by another one gives up.
    pub(crate) token: String,
    pub(crate) release: Release,
    pub(crate) image: ImageConfig,
    pub(crate) policy: Policy,
    pub(crate) crun: Crun,
    /// Name of the container.
    pub(crate) container: String,
    /// Parent control group of all our components; `None`: somebody else limits the component.
    pub(crate) group: Option<String>,
    /// The checkout.
    pub(crate) rootfs: PathBuf,
    /// The component's scratch folder.
    pub(crate) scratch: PathBuf,
    /// The component's volumes.
    pub(crate) volumes: PathBuf,
    /// The component's log; `None`: somebody else keeps the output.
    pub(crate) log: Option<PathBuf>,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) release: ReleaseId,
    /// The boot in which this was written; nothing of another one runs.
    pub(crate) boot: String,
    pub(crate) phase: Phase,
    /// How often its process was started.
    pub(crate) starts: u32,
    /// Its main process, when it has one.
    pub(crate) pid: Option<i32>,
    /// How it ended last.
    pub(crate) last_end: Option<String>,
    /// When it failed: the package is to blame.
    #[serde(default)]
    pub(crate) by_package: bool,
}

/// Where a component is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// The first process is being made.
    Starting,
    /// It has a process.
    Running,
    /// Its process ended; it is started again soon.
    Waiting,
    /// It is being stopped.
    Stopping,
    /// Its process ended and its restart policy leaves it so.
    Ended,
    /// It could not be started; `last_end` says why.
    Failed,
}

/// The release's own stop time-out, or the default.
pub(crate) fn stop_timeout(release: &Release) -> std::time::Duration {
    /// As long as people are used to from other container engines.
    const DEFAULT_S: u64 = 10;
    /// An update must not wait for ever for what it replaces.
    const MAX_S: u64 = 600;
    let asked = release.spec.run.stop_timeout_s;
    std::time::Duration::from_secs(if asked == 0 { DEFAULT_S } else { asked.min(MAX_S) })
}

impl State {
    pub(crate) fn new(release: &ReleaseId) -> Result<Self, Error> {
        Ok(Self {
            release: release.clone(),
            boot: boot_id()?,
            phase: Phase::Starting,
            starts: 0,
            pid: None,
            last_end: None,
            by_package: false,
        })
    }

    pub(crate) fn read(place: &ComponentPlace) -> Result<Option<Self>, Error> {
        let state: Option<Self> = files::read_json(&place.state())?;
        let boot = boot_id()?;
        Ok(state.filter(|state| state.boot == boot))
    }

    pub(crate) fn write(&self, place: &ComponentPlace) -> Result<(), Error> {
        Ok(files::write_json(&place.state(), self, Durability::Volatile)?)
    }
}

impl Plan {
    pub(crate) fn read(place: &ComponentPlace) -> Result<Option<Self>, Error> {
        Ok(files::read_json(&place.plan())?)
    }

    pub(crate) fn write(&self, place: &ComponentPlace) -> Result<(), Error> {
        Ok(files::write_json(&place.plan(), self, Durability::Volatile)?)
    }
}

fn boot_id() -> Result<String, Error> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    fs::read_to_string(path).map(|id| id.trim().to_owned()).context("read", path)
}

/// A held lock.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock and writes the caller's process number into the file; `None`: somebody else has it.
    pub(crate) fn take(place: &ComponentPlace) -> Result<Option<Self>, Error> {
        let path = place.lock();
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .context("open", &path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(None),
            Err(error) => return Err(error).context("lock", &path),
        }
        // Fixed length: a reader in between sees an old number or the new one, and looks at the lock after it.
        let text = format!("{:>10}\n", std::process::id());
        file.write_all(text.as_bytes()).context("write", &path)?;
        Ok(Some(Self { file, path }))
    }

    /// Whether others can still find it. When somebody removed the folder, nobody can ever stop its holder.
    pub(crate) fn is_current(&self) -> bool {
        let own = self.file.metadata().map(|m| (m.dev(), m.ino()));
        let found = fs::metadata(&self.path).map(|m| (m.dev(), m.ino()));
        matches!((own, found), (Ok(own), Ok(found)) if own == found)
    }

    /// Whether somebody holds it.
    pub(crate) fn is_held(place: &ComponentPlace) -> Result<bool, Error> {
        let path = place.lock();
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).context("open", &path),
        };
        let mut lock = whole_file();
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).context("look at the lock", &path)?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// Who says to hold it; only to be believed when [`Lock::is_held`] is true afterwards.
    pub(crate) fn holder(place: &ComponentPlace) -> Result<Option<i32>, Error> {
        let content = files::read(&place.lock())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&content).trim().parse().ok().filter(|pid| *pid > 1))
    }
}

fn whole_file() -> libc::flock {
    #[allow(unsafe_code)]
    // SAFETY: `flock` is plain data for which all zeroes is a value: an unnamed type, the whole file, no process.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    #[allow(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
    {
        lock.l_type = libc::F_WRLCK as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
    }
    lock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_and_goes_with_its_holder() {
        let folder = tempfile::tempdir().expect("folder");
        let place = ComponentPlace::at(folder.path().to_owned());
        assert!(!Lock::is_held(&place).expect("look"));
        let lock = Lock::take(&place).expect("take").expect("free");
        assert!(Lock::is_held(&place).expect("look"));
        assert!(Lock::take(&place).expect("take again").is_none());
        let own = i32::try_from(std::process::id()).expect("pid");
        assert_eq!(Lock::holder(&place).expect("read"), Some(own));
        assert!(lock.is_current());
        fs::rename(place.lock(), folder.path().join("away")).expect("rename");
        assert!(!lock.is_current());
        fs::rename(folder.path().join("away"), place.lock()).expect("rename");
        drop(lock);
        assert!(!Lock::is_held(&place).expect("look"));
        assert!(Lock::take(&place).expect("take").is_some());
    }

    #[test]
    fn what_another_boot_wrote_does_not_count() {
        let folder = tempfile::tempdir().expect("folder");
        let place = ComponentPlace::at(folder.path().to_owned());
        let release = ReleaseId::from_sha256([7; 32]);
        let mut state = State::new(&release).expect("state");
        state.write(&place).expect("write");
        assert_eq!(State::read(&place).expect("read"), Some(state.clone()));
        state.boot = "another".to_owned();
        state.write(&place).expect("write");
        assert_eq!(State::read(&place).expect("read"), None);
    }
}
