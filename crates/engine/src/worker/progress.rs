//! Progress lines at a limited rate, written by a thread of their own so that a slow reader never slows a step.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use scomo_core::effect::Progress;

use super::Line;

/// Shortest time between two progress lines: five a second are as many as a person can follow.
pub(super) const INTERVAL: Duration = Duration::from_millis(200);
/// The thread only serialises one small value.
const STACK_BYTES: usize = 128 * 1024;

#[derive(Debug, Default)]
struct Slot {
    latest: Option<Progress>,
    closed: bool,
}

/// Where a step puts its progress; only the latest value is kept.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    slot: Mutex<Slot>,
    changed: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces whatever was not written yet.
    pub(super) fn put(&self, progress: Progress) {
        let mut slot = self.lock();
        if !slot.closed {
            slot.latest = Some(progress);
            self.changed.notify_one();
        }
    }
}

/// The writing thread.
#[derive(Debug)]
pub(super) struct Reporter {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<File>,
}

impl Reporter {
    /// Starts writing to `out`.
    pub(super) fn start(out: File) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let seen = Arc::clone(&mailbox);
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || write_all(&seen, out))?;
        Ok(Self { mailbox, thread })
    }

    /// Where progress goes.
    pub(super) fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }

    /// Writes what is left and gives the output back, so that the outcome follows the last progress.
    pub(super) fn finish(self) -> io::Result<File> {
        self.mailbox.lock().closed = true;
        self.mailbox.changed.notify_one();
        self.thread.join().map_err(|_| io::Error::other("the progress thread ended early"))
    }
}

fn write_all(mailbox: &Mailbox, mut out: File) -> File {
    let mut next = Instant::now();
    loop {
        let mut slot = mailbox.lock();
        while slot.latest.is_none() && !slot.closed {
            slot = mailbox.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        while !slot.closed {
            let wait = next.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            slot = mailbox.changed.wait_timeout(slot, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (latest, closed) = (slot.latest.take(), slot.closed);
        drop(slot);
        if let Some(progress) = latest {
            // Progress may be dropped: a reader that is gone shows itself when the outcome is written.
            let _ = write_line(&mut out, &Line::Progress(progress));
            next = Instant::now() + INTERVAL;
        }
        if closed {
            return out;
        }
    }
}

/// Writes one line with one system call, so that a kill leaves a whole line or a visibly broken one.
pub(super) fn write_line(out: &mut File, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    out.write_all(&text)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    fn read_back(out: File) -> Vec<Line> {
        use std::io::Seek;
        let mut out = out;
        out.rewind().expect("rewind");
        BufReader::new(out).lines().map(|l| serde_json::from_str(&l.expect("line")).expect("parse")).collect()
    }

    #[test]
    fn a_flood_becomes_few_lines_and_the_last_one_is_written() {
        let reporter = Reporter::start(tempfile::tempfile().expect("file")).expect("start");
        let mailbox = reporter.mailbox();
        let begun = Instant::now();
        for n in 0..100_000 {
            mailbox.put(Progress { bytes_done: n, ..Progress::default() });
        }
        let lines = read_back(reporter.finish().expect("finish"));
        let most = begun.elapsed().as_millis() / INTERVAL.as_millis() + 2;
        assert!(lines.len() as u128 <= most, "{} lines, at most {most} allowed", lines.len());
        let Some(Line::Progress(last)) = lines.last() else { panic!("no progress: {lines:?}") };
        assert_eq!(last.bytes_done, 99_999);
    }

    #[test]
    fn silence_writes_nothing() {
        let reporter = Reporter::start(tempfile::tempfile().expect("file")).expect("start");
        assert_eq!(read_back(reporter.finish().expect("finish")), []);
    }
}
