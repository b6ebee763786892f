//! The supervisor of our own, seen from those who start and stop it.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use scomo_engine::backend::StepCx;

use super::host::{Started, failed};
use super::places::ComponentPlace;
use super::state::{Lock, Plan};
use super::supervisor::{DETACH, Word};
use crate::error::{Context, Error};

/// Longest first word of a supervisor.
const WORD_BYTES_MAX: usize = 64 * 1024;
/// How often it is asked whether the step was cancelled, in milliseconds.
const CANCEL_CHECK_MS: u8 = 100;

/// Starts a supervisor and waits for its word.
pub(crate) fn start(
    worker: &Path,
    place: &ComponentPlace,
    plan: &Plan,
    deadline: Instant,
    cx: &StepCx,
) -> Result<Started, Error> {
    let what = "starting the supervisor";
    let (reader, writer) = io::pipe().map_err(|e| failed(what, e))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut detached = Command::new(worker)
        .arg(DETACH)
        .arg(place.folder())
        .arg(&plan.token)
        .env_clear()
        .env("PATH", path)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| failed(what, e))?;
    let status = detached.wait().map_err(|e| failed(what, e))?;
    if !status.success() {
        return Err(Error::tool(what, format!("{} ended with {status}", worker.display())));
    }
    match hear(reader, deadline, cx)? {
        Word::Started => Ok(Started::Yes),
        Word::Busy => Ok(Started::Busy),
        Word::Failed { message, by_package } => Ok(Started::No { message, by_package }),
    }
}

fn hear(mut reader: io::PipeReader, deadline: Instant, cx: &StepCx) -> Result<Word, Error> {
    let what = "waiting for the supervisor";
    rustix::io::ioctl_fionbio(&reader, true).map_err(|e| failed(what, e))?;
    let mut said = Vec::new();
    let mut buffer = [0_u8; 1024];
    loop {
        if let Some((line, _)) = String::from_utf8_lossy(&said).split_once('\n') {
            return serde_json::from_str(line).map_err(|e| failed(what, io::Error::other(e)));
        }
        if cx.cancelled() {
            return Err(Error::Cancelled);
        }
        if Instant::now() >= deadline || said.len() > WORD_BYTES_MAX {
            return Err(Error::tool(what, "it does not say whether the component started"));
        }
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, CANCEL_CHECK_MS);
        match reader.read(&mut buffer) {
            Ok(0) => return Err(Error::tool(what, "it ended without a word; its log says why")),
            Ok(length) => said.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(failed(what, e)),
        }
    }
}

/// A process that holds a component's lock, by a handle that cannot become another process.
#[derive(Debug)]
pub(crate) struct Holder(OwnedFd);

impl Holder {
    /// `None`: nobody, or it has not written its number yet.
    pub(crate) fn find(place: &ComponentPlace) -> Result<Option<Self>, Error> {
        let Some(pid) = Lock::holder(place)?.and_then(Pid::from_raw) else { return Ok(None) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => {
                return Err(io::Error::from(error)).context("find the supervisor of", place.folder());
            }
        };
        // Only if the lock is still held with the same number is that process the holder.
        let same = Lock::is_held(place)? && Lock::holder(place)?.and_then(Pid::from_raw) == Some(pid);
        Ok(same.then_some(Self(handle)))
    }

    /// Waits until it is gone.
    pub(crate) fn await_end(&self, name: &str) -> Result<(), Error> {
        super::crun::await_end(&self.0, name)
    }

    /// Sends it a signal; it may be gone.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(failed("stopping the supervisor", error)),
        }
    }
}
