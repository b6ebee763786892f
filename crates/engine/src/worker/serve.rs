//! The worker's side: read one job, carry it out on a backend, answer, end.

use std::fs::{self, File};
use std::io::{self, BufRead, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use scomo_core::effect::Effect;
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::spec::ComponentKind;
use tracing::{debug, info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::progress::{Reporter, write_line};
use super::{Answer, JOB_BYTES_MAX, Job, LOG_BYTES_MAX, LOG_ENV, Line, PARENT_ENV, Request};
use crate::backend::{Backend, BackendError, StepCx, chain, execute};
use crate::confine::{self, Confinement};

/// How long a worker waits for a dying one of its kind. A killed process that is inside a `syncfs` of a slow disk
/// ends only after it.
const LOCK_WAIT: Duration = Duration::from_secs(120);
/// How often the lock is tried while waiting.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// What a worker executable is.
#[derive(Debug, Clone, Copy)]
pub struct Worker {
    /// Which backend it hosts; names its lock file.
    pub kind: ComponentKind,
    /// How it is confined while it carries out a job that [`Request::is_untrusted`]; `None`: not at all, for a step
    /// that needs too much of the system.
    pub confine: fn(&Job) -> Option<Confinement>,
}

impl Worker {
    /// A worker that may write in `state_dir` and `runtime_dir` only while it reads untrusted data.
    #[must_use]
    pub fn new(kind: ComponentKind) -> Self {
        Self { kind, confine: |job| Some(Confinement::from_config(&job.config)) }
    }
}

impl Request {
    /// Whether carrying it out reads data that nobody has verified yet: such a request is confined.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Effect(Effect::Resolve { .. } | Effect::Fetch { .. } | Effect::Stage { .. }))
    }

    /// Whether it may start software that needs privileges of its own, as a container's set-user-id programs do.
    #[must_use]
    pub fn starts_software(&self) -> bool {
        matches!(self, Self::Effect(Effect::Switch { .. } | Effect::Probe { .. }))
    }

    /// Whether it must not run beside another request of its kind. Watching and reading logs change nothing.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        !matches!(self, Self::Effect(Effect::Probe { .. }) | Self::Logs { .. })
    }
}

/// The `main` of a worker that is confined to `state_dir` and `runtime_dir`; see [`serve_with`].
pub fn serve<B, F>(kind: ComponentKind, make: F) -> ExitCode
where
    B: Backend,
    F: FnOnce(serde_json::Value) -> Result<B, Failure>,
{
    serve_with(&Worker::new(kind), make)
}

/// The `main` of a worker: reads one [`Job`] from standard input, makes the backend from its configuration, carries
/// the request out and writes the [`Line`]s. Must be called before any thread is started.
///
/// Standard output belongs to the protocol: whatever else the process or its children print there goes to standard
/// error. Standard input becomes `/dev/null`.
pub fn serve_with<B, F>(worker: &Worker, make: F) -> ExitCode
where
    B: Backend,
    F: FnOnce(serde_json::Value) -> Result<B, Failure>,
{
    init_log();
    let out = match die_with_parent().and_then(|()| take_stdout()) {
        Ok(out) => out,
        Err(error) => {
            tracing::error!("the worker cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match attend(worker, make, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn!("the outcome could not be written, whoever asked is gone: {error}");
            ExitCode::FAILURE
        }
    }
}

fn attend<B, F>(worker: &Worker, make: F, mut out: File) -> io::Result<()>
where
    B: Backend,
    F: FnOnce(serde_json::Value) -> Result<B, Failure>,
{
    let prepared = read_job().and_then(|job| {
        let lock = prepare(worker, &job)?;
        Ok((job, lock))
    });
    let (job, _lock) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return write_line(&mut out, &Line::Outcome(Err(failure))),
    };
    let reporter = Reporter::start(out)?;
    let mailbox = reporter.mailbox();
    let cx = StepCx::new(move |progress| mailbox.put(progress), Arc::default());
    let outcome = make(job.config)
        .and_then(|mut backend| carry_out(&mut backend, job.request, &cx).map_err(|e| failure_of(&e)));
    write_line(&mut reporter.finish()?, &Line::Outcome(outcome))
}

fn carry_out(backend: &mut dyn Backend, request: Request, cx: &StepCx) -> Result<Answer, BackendError> {
    match request {
        Request::Effect(effect) => execute(backend, &effect, cx).map(Answer::Effect),
        Request::Observe => backend.observe().map(Answer::Inventory),
        Request::Logs { component, lines } => {
            backend.logs(&component, lines).map(|text| Answer::Logs(newest(text)))
        }
    }
}

fn failure_of(error: &BackendError) -> Failure {
    info!("failed ({}): {}", error.kind.as_str(), chain(error));
    error.to_failure()
}

/// The end of `text`, at most [`LOG_BYTES_MAX`] bytes of it.
fn newest(text: String) -> String {
    let too_many = text.len().saturating_sub(LOG_BYTES_MAX);
    let cut = (too_many..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len());
    text.get(cut..).map(str::to_owned).unwrap_or_default()
}

/// Locks, then gives up every right that the request does not need. The order matters: the lock file is opened
/// before the file system becomes read-only.
fn prepare(worker: &Worker, job: &Job) -> Result<Option<File>, Failure> {
    let lock = if job.request.is_exclusive() { Some(lock(worker.kind, &job.config)?) } else { None };
    let confinement = if job.request.is_untrusted() { (worker.confine)(job) } else { None };
    if let Some(to) = confinement {
        let report = confine::enter(&to).map_err(|e| Failure::new(FailureKind::Broken, chain(&e)))?;
        for missing in report.missing() {
            warn!("running less confined: {missing}");
        }
        debug!("confined: {report:?}");
    } else if !job.request.starts_software() {
        prctl::set_no_new_privs()
            .map_err(|e| Failure::new(FailureKind::Broken, format!("cannot give up new privileges: {e}")))?;
    }
    Ok(lock)
}

/// The file whose lock keeps two workers of one kind apart.
fn lock_path(state_dir: &Path, kind: ComponentKind) -> PathBuf {
    state_dir.join(format!("worker-{}.lock", kind.as_str()))
}

fn lock(kind: ComponentKind, config: &serde_json::Value) -> Result<File, Failure> {
    let broken = |what: String| Failure::new(FailureKind::Broken, what);
    let state_dir = config
        .get("state_dir")
        .and_then(serde_json::Value::as_str)
        .filter(|dir| Path::new(dir).is_absolute())
        .ok_or_else(|| broken("the worker's configuration names no absolute state_dir".to_owned()))?;
    fs::create_dir_all(state_dir).map_err(|e| broken(format!("cannot create {state_dir}: {e}")))?;
    let path = lock_path(Path::new(state_dir), kind);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| broken(format!("cannot open {}: {e}", path.display())))?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(e)) => {
                return Err(broken(format!("cannot lock {}: {e}", path.display())));
            }
            Err(fs::TryLockError::WouldBlock) if Instant::now() >= deadline => {
                let what = format!("another worker still holds {}", path.display());
                return Err(Failure::new(FailureKind::Interrupted, what));
            }
            Err(fs::TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
        }
    }
}

fn read_job() -> Result<Job, Failure> {
    let invalid = |what: String| Failure::new(FailureKind::Invalid, what);
    let mut line = Vec::new();
    let limit = u64::try_from(JOB_BYTES_MAX).unwrap_or(u64::MAX);
    io::stdin()
        .lock()
        .take(limit.saturating_add(1))
        .read_until(b'\n', &mut line)
        .map_err(|e| invalid(format!("the job cannot be read: {e}")))?;
    if line.len() > JOB_BYTES_MAX {
        return Err(invalid(format!("the job has more than {JOB_BYTES_MAX} bytes")));
    }
    close_stdin().map_err(|e| invalid(format!("standard input cannot be closed: {e}")))?;
    serde_json::from_slice(&line).map_err(|e| invalid(format!("the job is not understood: {e}")))
}

/// Children must not hold the engine's pipe.
fn close_stdin() -> io::Result<()> {
    let null = File::open("/dev/null")?;
    Ok(nix::unistd::dup2_stdin(null)?)
}

/// Keeps the protocol's output to itself and out of every child; prints of libraries go to standard error.
fn take_stdout() -> io::Result<File> {
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(File::from(out))
}

/// A worker must not outlive the daemon that asked: nobody would take its outcome.
fn die_with_parent() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have ended before the line above took effect; then somebody else is the parent by now.
    let parent = nix::unistd::getppid().as_raw();
    match std::env::var(PARENT_ENV) {
        Ok(expected) if expected != parent.to_string() => {
            Err(io::Error::other(format!("the process that started it ({expected}) is gone")))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn init_log() {
    let filter = std::env::var(LOG_ENV).ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).without_time();
    // Fails only when the executable has installed its own, which is as good.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_of_a_long_log_is_sent() {
        let text = format!("{}end", "ä".repeat(LOG_BYTES_MAX));
        let cut = newest(text);
        assert!(cut.len() <= LOG_BYTES_MAX && cut.len() > LOG_BYTES_MAX - 2, "{}", cut.len());
        assert!(cut.ends_with("äend"));
        assert_eq!(newest("short".to_owned()), "short");
    }

    #[test]
    fn a_state_dir_must_be_absolute() {
        for config in [serde_json::json!({}), serde_json::json!({"state_dir": "here"})] {
            let failure = lock(ComponentKind::Os, &config).expect_err("must be refused");
            assert_eq!(failure.kind, FailureKind::Broken);
        }
    }
}
