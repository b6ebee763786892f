//! The OCI runtime, crun or runc: every call of it, and what its answers mean.
//!
//! It is never executed directly but through a small program of ours (`scomo-worker-container exec-runtime …`) that
//! puts signals, namespaces and the end of the parent in order first; see [`exec`].

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getppid;
use rustix::process::{PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::cgroup::{Manager, hide_hybrid};
use scomo_store::files;

use crate::error::Error;

/// How long a short call may take: it only talks to the kernel, but the machine may be slow.
const CALL_WAIT: Duration = Duration::from_secs(60);
/// How often the end of a short call is looked for.
const CALL_CHECK: Duration = Duration::from_millis(5);
/// Most that is read of what a call says.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Where programs are looked for when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// First argument of our program when it is to become the OCI runtime.
pub(crate) const EXEC_RUNTIME: &str = "exec-runtime";
const IN_NAMESPACE: &str = "--in-namespace";

/// The OCI runtime of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crun {
    /// The executable.
    pub(crate) program: PathBuf,
    /// Our own executable.
    pub(crate) worker: PathBuf,
    /// Its state.
    pub(crate) state: PathBuf,
}

/// The mount namespace in which a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// The caller has made one.
    Callers,
    /// One of its own.
    Own,
}

/// Finds an executable by path or name.
pub(crate) fn find(program: &Path) -> Result<PathBuf, Error> {
    let executable =
        |path: &Path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let candidates: Vec<PathBuf> = if program.components().count() > 1 {
        vec![program.to_owned()]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(PATH));
        std::env::split_paths(&path).map(|folder| folder.join(program)).collect()
    };
    let found = candidates.into_iter().find(|path| executable(path));
    found.ok_or_else(|| Error::NoRuntime(program.to_owned()))
}

impl Crun {
    /// A call with its global options.
    pub(crate) fn command(&self, namespace: Namespace, options: &[&str]) -> Command {
        let mut command = Command::new(&self.worker);
        command.arg(EXEC_RUNTIME).arg(std::process::id().to_string());
        if namespace == Namespace::Own {
            command.arg(IN_NAMESPACE);
        }
        command.arg(&self.program).arg("--root").arg(&self.state).args(options).stdin(Stdio::null());
        command
    }

    /// The call that runs a container in the foreground.
    pub(crate) fn run(
        &self,
        container: &str,
        manager: &Manager,
        log: &Path,
        bundle: &Path,
        pid: &Path,
    ) -> Command {
        let manager = match manager {
            Manager::Cgroupfs(_) => "cgroupfs",
            Manager::Disabled => "disabled",
        };
        let mut command = self.command(Namespace::Callers, &[]);
        if self.is_crun() {
            command.arg(format!("--cgroup-manager={manager}"));
        }
        command.arg("--log-format=json").arg("--log").arg(log).arg("run");
        command.arg("--bundle").arg(bundle).arg("--pid-file").arg(pid).arg(container);
        command
    }

    /// Sends a signal to the main process of a container.
    pub(crate) fn kill(&self, container: &str, signal: i32) -> Result<(), Error> {
        let mut command = self.command(Namespace::Callers, &["kill", container, &signal.to_string()]);
        let (status, answer) = call(&mut command)?;
        if status.success() { Ok(()) } else { Err(Error::tool("sending a signal", answer)) }
    }

    /// Ends a container with all its processes and forgets it. It need not be there. Waits until its main process,
    /// and with it its PID namespace, is gone: the OCI runtime only sends the signal.
    pub(crate) fn delete(&self, container: &str, namespace: Namespace) -> Result<(), Error> {
        let state = self.state.join(container);
        if !state.exists() {
            return Ok(());
        }
        let main = self.main_process(container, namespace)?;
        let mut command = self.command(namespace, &["delete", "--force", container]);
        let (status, answer) = call(&mut command)?;
        if state.exists() {
            // A container that was killed while it was being made has no state that the runtime understands; its
            // process ends by itself.
            tracing::warn!("what is left of container {container} is removed ({status}: {answer})");
            files::remove_tree(&state)?;
        }
        main.map_or(Ok(()), |main| await_end(&main, container))
    }

    /// A handle on the main process of a container that has one.
    fn main_process(&self, container: &str, namespace: Namespace) -> Result<Option<OwnedFd>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            pid: i32,
            status: String,
        }
        let what = "asking the container runtime";
        let output = self
            .command(namespace, &["state", container])
            .stderr(Stdio::null())
            .output()
            .map_err(|e| Error::tool(what, e.to_string()))?;
        let Ok(answer) = serde_json::from_slice::<Answer>(&output.stdout) else { return Ok(None) };
        let pid = rustix::process::Pid::from_raw(answer.pid).filter(|_| answer.status != "stopped");
        let Some(pid) = pid else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Some(handle)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(Error::tool(what, error.to_string())),
        }
    }

    fn is_crun(&self) -> bool {
        self.program.file_name().is_some_and(|name| name.to_string_lossy().contains("crun"))
    }
}

/// Waits until a process that was told to end is gone.
pub(crate) fn await_end(process: &OwnedFd, container: &str) -> Result<(), Error> {
    let deadline = Instant::now() + CALL_WAIT;
    loop {
        // Readable when it has ended.
        let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        let patience = deadline.saturating_duration_since(Instant::now());
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, patience) {
            Ok(0) => return Err(Error::Stuck(container.to_owned())),
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(Error::tool("waiting for the end of a container", error.to_string())),
        }
    }
}

/// Runs a short call to its end; gives its status and what it said last.
pub(crate) fn call(command: &mut Command) -> Result<(ExitStatus, String), Error> {
    call_within(command, CALL_WAIT)
}

/// [`call`] with another patience.
pub(crate) fn call_within(command: &mut Command, patience: Duration) -> Result<(ExitStatus, String), Error> {
    let failed = |e: io::Error| Error::tool("calling the container runtime", e.to_string());
    let (reader, writer) = io::pipe().map_err(failed)?;
    let mut child =
        command.stdout(writer.try_clone().map_err(failed)?).stderr(writer).spawn().map_err(failed)?;
    // The command still holds its ends of the pipe.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let deadline = Instant::now() + patience;
    // What it says fits into the pipe: a flood would make it wait, and then it is killed.
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                child.kill().and_then(|()| child.wait()).map_err(failed)?;
                let what = format!("no end after {} s", patience.as_secs());
                return Err(Error::tool("calling the container runtime", what));
            }
            None => std::thread::sleep(CALL_CHECK),
        }
    };
    rustix::io::ioctl_fionbio(&reader, true).map_err(|e| failed(e.into()))?;
    let mut answer = Vec::new();
    // Ends with "would block" when somebody else still holds the pipe: what came is enough.
    let _ = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    Ok((status, last_line(&answer)))
}

/// The last line that is not empty, printable and short.
pub(crate) fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    super::blueprint::shorten(line)
}

/// The errors in a log of the OCI runtime, in its own words; `None`: there are none.
pub(crate) fn errors(log: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Entry {
        level: String,
        msg: String,
    }
    let content = files::read(log).ok().flatten()?;
    let text = String::from_utf8_lossy(&content);
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
    let errors: Vec<String> = entries.filter(|e| e.level == "error").map(|e| e.msg).collect();
    (!errors.is_empty()).then(|| super::blueprint::shorten(&errors.join("; ")))
}

/// What crun says on the container's own output when the kernel refuses to execute the program: by then its log is out
/// of reach. A program that prints the same and ends before it was seen running is taken for one that did not start.
pub(crate) fn exec_error(last_line: &str) -> Option<String> {
    let (_, rest) = last_line.split_once("\"msg\":\"").unwrap_or(("", last_line));
    let message = rest.split_once("\",\"").map_or(rest, |(message, _)| message);
    message.starts_with("exec container process").then(|| message.to_owned())
}

/// Becomes the OCI runtime; returns only when that fails. `args` are those after [`EXEC_RUNTIME`].
///
/// Signals that the caller blocks must not stay blocked for what it starts, a runtime must not go on when the
/// process that watches it was killed, and crun must not see a hybrid host's second hierarchy.
pub(crate) fn exec(args: impl Iterator<Item = OsString>) -> io::Error {
    let mut args = args.peekable();
    let parent = args.next();
    let in_namespace = args.next_if(|arg| arg == IN_NAMESPACE).is_some();
    let Some(program) = args.next() else {
        return io::Error::from(io::ErrorKind::InvalidInput);
    };
    let prepare = || -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // It may have ended before the line above took effect; then somebody else is the parent by now.
        if parent.is_none_or(|parent| parent != *getppid().to_string()) {
            return Err(io::Error::other("the process that started it is gone"));
        }
        SigSet::empty().thread_set_mask()?;
        if in_namespace {
            enter_namespace()?;
        }
        Ok(())
    };
    match prepare() {
        Ok(()) => Command::new(program).args(args).exec(),
        Err(error) => error,
    }
}

/// Gives the calling process a mount namespace of its own, in which nothing that it mounts is seen by others.
pub(crate) fn enter_namespace() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Not private: what the host unmounts must go here too, or it stays busy.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)?;
    hide_hybrid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_program_is_recognised() {
        let line = r#"{"msg":"exec container process `/x`: Exec format error","level":"error","time":"t"}"#;
        let message = "exec container process `/x`: Exec format error";
        assert_eq!(exec_error(line).as_deref(), Some(message));
        assert_eq!(exec_error(message).as_deref(), Some(message));
        assert_eq!(exec_error("hello"), None);
        assert_eq!(exec_error(r#"{"msg":"hello"}"#), None);
    }

    #[test]
    fn only_executables_are_found() {
        assert!(find(Path::new("sh")).is_ok());
        assert!(find(Path::new("/bin/sh")).is_ok());
        for program in ["no-such-program", "/etc/passwd", "/etc", "/bin/no-such-program"] {
            assert!(matches!(find(Path::new(program)), Err(Error::NoRuntime(_))), "{program}");
        }
    }

    #[test]
    fn errors_are_taken_from_a_log() {
        let folder = tempfile::tempdir().expect("folder");
        let log = folder.path().join("log");
        assert_eq!(errors(&log), None);
        fs::write(
            &log,
            "{\"level\":\"warning\",\"msg\":\"a\"}\nnoise\n{\"level\":\"error\",\"msg\":\"b\"}\n",
        )
        .expect("log");
        assert_eq!(errors(&log).as_deref(), Some("b"));
    }

    #[test]
    fn a_call_that_hangs_is_ended() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let error = call_within(&mut command, Duration::from_millis(50)).expect_err("too long");
        assert!(error.to_string().contains("no end"), "{error}");
        let (status, answer) =
            call(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"])).expect("a call");
        assert_eq!((status.code(), answer.as_str()), (Some(3), "two"));
    }
}
