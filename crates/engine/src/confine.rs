//! Confinement of a worker that reads data which nobody has verified yet.
//!
//! A layer, an archive or a manifest from a server is parsed by root, because only root can give files their owners.
//! So the process first gives up what parsing does not need: it sees the file system read-only but for its own
//! folders, opens no devices, keeps only the capabilities that unpacking needs, and loses the system calls that an
//! intruder would want next. It keeps the network, and it can read what root can read.
//!
//! Each layer is taken as far as the kernel and the privileges at hand allow. [`Report::missing`] says what could not
//! be had; the caller logs it. This is a second line: the first is that parsers are written for hostile input.

use std::fs;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

mod mounts;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod syscalls;
#[cfg(test)]
mod tests;

/// Open files: libostree keeps some hundred open; a leak ends long before the system's table is full.
const FILES_MAX: u64 = 1024;

/// What unpacking an image needs: owners, modes, set-id bits, file capabilities and (whiteout) nodes.
const UNPACKING: [Capability; 6] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_MKNOD,
    Capability::CAP_SETFCAP,
];

/// What a confined process keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Folders that stay writable, with all below them. They are created when they are missing.
    /// Each one (that is not inside another) is a mount of its own: no rename or hard link from one to another.
    pub writable: Vec<PathBuf>,
    /// A folder for an empty private `TMPDIR` in memory; `None`: no temporary files. It is created when missing.
    pub scratch: Option<PathBuf>,
    /// Capabilities kept beside those that unpacking needs.
    pub capabilities: Vec<Capability>,
}

impl Confinement {
    /// May write in `writable` only.
    #[must_use]
    pub fn new(writable: Vec<PathBuf>) -> Self {
        Self { writable, scratch: None, capabilities: Vec::new() }
    }

    /// May write in the `state_dir` and the `runtime_dir` of a job's configuration.
    #[must_use]
    pub fn from_config(config: &serde_json::Value) -> Self {
        let folder = |name: &str| config.get(name).and_then(serde_json::Value::as_str).map(PathBuf::from);
        let (state, runtime) = (folder("state_dir"), folder("runtime_dir"));
        let scratch = runtime.as_ref().map(|dir| dir.join("worker-tmp"));
        Self { scratch, ..Self::new(state.into_iter().chain(runtime).collect()) }
    }
}

/// Why a process could not be confined at all.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A folder that must stay writable cannot be had.
    #[error("cannot use the folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The process has several threads: what one of them gives up the others keep.
    #[error("a process must be confined before it starts a thread, this one has {0}")]
    Threads(usize),
}

/// How far a confinement came.
#[derive(Debug, Default)]
pub struct Report {
    missing: Vec<String>,
}

impl Report {
    /// What could not be had and why, one sentence each; empty when the confinement is complete.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    fn note(&mut self, what: &str, result: Result<(), String>) {
        if let Err(why) = result {
            self.missing.push(format!("{what}: {why}"));
        }
    }
}

/// Confines the calling process for the rest of its life. It must have a single thread.
pub fn enter(to: &Confinement) -> Result<Report, ConfineError> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(ConfineError::Threads(threads));
    }
    let mut writable = to.writable.iter().map(|path| usable(path)).collect::<Result<Vec<_>, _>>()?;
    writable = outermost(writable);
    let scratch = to.scratch.as_deref().map(usable).transpose()?;

    let mut report = Report::default();
    report.note("the file system stays writable", mounts::restrict(&writable));
    if let Some(dir) = &scratch {
        report.note("no private temporary folder", mounts::scratch(dir));
    }
    report.note("limits", limits());
    report.note("capabilities", drop_capabilities(&to.capabilities));
    report.note("new privileges", prctl::set_no_new_privs().map_err(|e| e.to_string()));
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
    report.note("system calls", syscalls::deny());
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
    report.note("system calls", Err("no filter for this processor".to_owned()));
    Ok(report)
}

fn usable(path: &Path) -> Result<PathBuf, ConfineError> {
    fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|source| ConfineError::Folder { path: path.to_owned(), source })
}

/// Drops every path that is inside another one: a mount in a mount would only forbid hard links between them.
fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths.dedup();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

fn limits() -> Result<(), String> {
    // A core file would hold credentials and untrusted data.
    for (resource, most) in [(Resource::RLIMIT_CORE, 0), (Resource::RLIMIT_NOFILE, FILES_MAX)] {
        let (_, hard) = nix::sys::resource::getrlimit(resource).map_err(|e| format!("{resource:?}: {e}"))?;
        let most = most.min(hard);
        setrlimit(resource, most, most).map_err(|e| format!("{resource:?}: {e}"))?;
    }
    Ok(())
}

fn drop_capabilities(more: &[Capability]) -> Result<(), String> {
    let text = |e: caps::errors::CapsError| e.to_string();
    let keep: CapsHashSet = UNPACKING.iter().chain(more).copied().collect();
    let has = caps::read(None, CapSet::Effective).map_err(text)?;
    if has.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding).map_err(text)?.difference(&keep) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(text)?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(text)?;
    caps::clear(None, CapSet::Inheritable).map_err(text)?;
    let keep: CapsHashSet = has.intersection(&keep).copied().collect();
    caps::set(None, CapSet::Effective, &keep).map_err(text)?;
    caps::set(None, CapSet::Permitted, &keep).map_err(text)
}
