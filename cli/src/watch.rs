//! Watching a job until it ends: a progress bar on a terminal, plain lines elsewhere.
//!
//! The job belongs to the daemon: leaving here, or a restart of the daemon, does not end it.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use scomo_dbus::{BUS_NAME, Job, path};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zbus::{Connection, MatchRule, MessageStream};

use crate::client::try_read;
use crate::exit::{self, Code, Failure, INTERRUPTED, REBOOT, UNREACHABLE};
use crate::output;

/// The job is looked at this often even when no signal came, for example because the daemon was restarted.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A daemon that restarts, perhaps because the update was its own, is waited for this long.
const DAEMON_GONE_MAX: Duration = Duration::from_secs(60);
/// Signals that may wait unread. More are of no use: each one only says "look again".
const SIGNALS_MAX: usize = 64;
/// Without a terminal a line is printed after so many percent.
const PLAIN_STEP_PERCENT: u32 = 10;

/// How watching ended.
#[derive(Debug)]
pub struct Watched {
    /// The job as it was seen last.
    pub job: Job,
    /// What the program should end with.
    pub code: Code,
}

/// Watches jobs; made before the job is started so that no signal is missed.
pub struct Watcher {
    connection: Connection,
    signals: MessageStream,
    /// Listens from the first to the last look: a Ctrl-C that comes during a look counts too.
    ctrl_c: Signal,
    quiet: bool,
}

impl Watcher {
    /// A watcher that prints progress unless it is `quiet`.
    pub async fn new(connection: &Connection, quiet: bool) -> Result<Self, Failure> {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(BUS_NAME)
            .path_namespace(path::ROOT)
            .build()?;
        let limit = std::num::NonZeroUsize::new(SIGNALS_MAX);
        let signals = MessageStream::for_match_rule(rule, connection, limit).await?;
        let ctrl_c = signal(SignalKind::interrupt())
            .map_err(|e| Failure::new(exit::FAILED, "Signal", format!("cannot listen for Ctrl-C: {e}")))?;
        Ok(Self { connection: connection.clone(), signals, ctrl_c, quiet })
    }

    /// Watches the job at `path` until it ends or waits for a reboot.
    pub async fn until_done(mut self, path: &str) -> Result<Watched, Failure> {
        let mut display = Display::new(self.quiet);
        let mut gone_since: Option<Instant> = None;
        let mut interrupted = false;
        loop {
            match try_read::<Job>(&self.connection, path).await {
                Ok(job) => {
                    let job = job?;
                    gone_since = None;
                    display.show(&job);
                    if let Some(code) = end_of(&job) {
                        return Ok(Watched { job, code });
                    }
                }
                Err(error) if exit::is_unreachable(&error) => {
                    let since = *gone_since.get_or_insert_with(|| {
                        display.say("the daemon went away; waiting for it to come back");
                        Instant::now()
                    });
                    if since.elapsed() > DAEMON_GONE_MAX {
                        return Err(Failure::new(UNREACHABLE, "Unreachable", lost(path)));
                    }
                }
                Err(zbus::Error::FDO(error)) if is_unknown_object(&error) => {
                    return Err(Failure::new(exit::NOT_FOUND, "UnknownJob", forgotten(path)));
                }
                Err(error) => return Err(error.into()),
            }
            if self.wait_for_news().await {
                if interrupted {
                    return Err(Failure::new(INTERRUPTED, "Interrupted", goes_on(path)));
                }
                interrupted = true;
                display.say(&format!("{}; press Ctrl-C again to leave", goes_on(path)));
            }
        }
    }

    /// Waits for a signal of the daemon or for some time. True: somebody pressed Ctrl-C.
    async fn wait_for_news(&mut self) -> bool {
        tokio::select! {
            // A closed connection yields nothing for ever; the next look finds that out.
            Some(_) = self.signals.next() => false,
            () = tokio::time::sleep(LOOK_EVERY) => false,
            Some(()) = self.ctrl_c.recv() => true,
        }
    }
}

fn is_unknown_object(error: &zbus::fdo::Error) -> bool {
    use zbus::fdo::Error as Fdo;
    matches!(error, Fdo::UnknownObject(_) | Fdo::UnknownInterface(_) | Fdo::UnknownMethod(_))
}

fn number(path: &str) -> String {
    path::job_id(path).map_or_else(|| path.to_owned(), |id| id.to_string())
}

fn goes_on(path: &str) -> String {
    let job = number(path);
    format!("job {job} goes on; 'scomoctl wait {job}' watches it, 'scomoctl cancel {job}' cancels it")
}

fn lost(path: &str) -> String {
    format!(
        "the daemon did not come back; when it does, 'scomoctl wait {}' watches the job again",
        number(path)
    )
}

fn forgotten(path: &str) -> String {
    format!("there is no job {}; 'scomoctl history' shows how older jobs ended", number(path))
}

fn end_of(job: &Job) -> Option<Code> {
    if job.result != "running" {
        return Some(exit::of_job(job));
    }
    job.reboot_needed.then_some(REBOOT)
}

/// One line on what a job is at.
#[must_use]
pub fn phase_line(job: &Job) -> String {
    let component = if job.component.is_empty() { String::new() } else { format!(" {}", job.component) };
    let attempt = if job.attempt > 1 { format!(" (attempt {})", job.attempt) } else { String::new() };
    let retry = if job.retry_at > 0 {
        format!(", next try at {}", output::time(job.retry_at))
    } else {
        String::new()
    };
    let waiting =
        if job.waiting_for.is_empty() { String::new() } else { format!(", waits for: {}", job.waiting_for) };
    output::clean(&format!("{}{component}{attempt}{retry}{waiting}", job.phase))
}

enum Display {
    Quiet,
    Bar(ProgressBar),
    Plain { last: String, percent: u32 },
}

impl Display {
    fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Plain { last: String::new(), percent: 0 };
        }
        let bar = ProgressBar::new(100);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos:>3} %  {wide_msg}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn show(&mut self, job: &Job) {
        let phase = phase_line(job);
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                bar.set_position(u64::from(job.percent));
                bar.set_message(format!("{phase}{}", bytes(job)));
            }
            Self::Plain { last, percent } => {
                let step = job.percent.saturating_sub(*percent) >= PLAIN_STEP_PERCENT;
                if job.result == "running" && (*last != phase || step) {
                    output::note(&format!("{:>3} % {phase}{}", job.percent, bytes(job)));
                    *percent = job.percent;
                    *last = phase;
                }
            }
        }
    }

    fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Quiet | Self::Plain { .. } => output::note(text),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn bytes(job: &Job) -> String {
    let done = job.bytes_done.saturating_add(job.bytes_reused);
    let reused = if job.bytes_reused > 0 {
        format!(" ({} were there)", output::size(job.bytes_reused))
    } else {
        String::new()
    };
    match (done, job.bytes_total) {
        (0, 0) => String::new(),
        (done, 0) => format!(", {}{reused}", output::size(done)),
        (done, total) => format!(", {} of {}{reused}", output::size(done), output::size(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_says_what_and_how_often() {
        let job =
            Job { phase: "fetching".to_owned(), component: "app".to_owned(), attempt: 2, ..Job::default() };
        assert_eq!(phase_line(&job), "fetching app (attempt 2)");
    }

    #[test]
    fn a_job_ends_when_it_ended_or_waits_for_a_reboot() {
        let running = Job { result: "running".to_owned(), phase: "fetching".to_owned(), ..Job::default() };
        assert_eq!(end_of(&running), None);
        let waiting = Job { reboot_needed: true, ..running.clone() };
        assert_eq!(end_of(&waiting), Some(REBOOT));
        let done = Job { result: "done".to_owned(), result_code: 1200, ..running };
        assert_eq!(end_of(&done), Some(exit::OK));
    }

    #[test]
    fn bytes_say_what_was_there() {
        let job = Job { bytes_done: 1024, bytes_total: 4096, bytes_reused: 2048, ..Job::default() };
        assert_eq!(bytes(&job), ", 3.00 KiB of 4.00 KiB (2.00 KiB were there)");
        assert_eq!(bytes(&Job::default()), "");
    }
}
