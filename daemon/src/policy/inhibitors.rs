//! Inhibitors: programs that hold updates back as long as they hold a file descriptor.
//!
//! The descriptor is the reading end of a pipe into which nothing is ever written. When its last copy is closed, by
//! whatever end of the program, the kernel says so on the writing end, which is kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::pipe;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scomo_core::id::Millis;
use scomo_dbus::Error;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;
use tokio::sync::watch;

use super::config::Point;

/// Most inhibitors in all: each costs two descriptors of the daemon's thousand while it is made, and one afterwards.
const INHIBITORS_MAX: usize = 128;
/// Most of one user, so that one cannot shut others out.
const OF_USER_MAX: usize = 32;
/// Longest text that says who holds back, or why, in bytes: it is shown in one line.
const TEXT_BYTES_MAX: usize = 200;

/// Who holds what back, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibitor {
    /// What is held back.
    pub what: BTreeSet<Point>,
    /// Who, for people.
    pub who: String,
    /// Why, for people.
    pub why: String,
    /// User of the program.
    pub uid: u32,
    /// The program; 0: the bus does not know.
    pub pid: u32,
    /// Since when.
    pub since: Millis,
}

impl fmt::Display for Inhibitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inhibited by {} (pid {}): {}", self.who, self.pid, self.why)
    }
}

impl Inhibitor {
    /// What is held back, as on the bus.
    pub fn what_text(&self) -> String {
        let names: Vec<&str> = self.what.iter().map(|point| point.as_str()).collect();
        names.join(":")
    }
}

/// Reads `download:install:reboot` or a part of it.
///
/// # Errors
/// [`Error::InvalidArgument`] when it is anything else.
pub fn points(what: &str) -> Result<BTreeSet<Point>, Error> {
    let point = |name: &str| {
        Point::ALL.into_iter().find(|point| point.as_str() == name).ok_or_else(|| {
            Error::InvalidArgument(format!(
                "'{what}' is not what can be held back; write download, install or reboot, with colons between"
            ))
        })
    };
    what.split(':').map(point).collect()
}

/// Every inhibitor that is held.
#[derive(Debug, Clone)]
pub struct Inhibitors {
    held: Arc<Mutex<Held>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Held {
    last: u64,
    by_number: BTreeMap<u64, Inhibitor>,
}

impl Inhibitors {
    /// None yet. Whoever listens is told when one comes or goes.
    pub fn new(changed: watch::Sender<()>) -> Self {
        Self { held: Arc::default(), changed }
    }

    /// What is held now, oldest first.
    pub fn list(&self) -> Vec<Inhibitor> {
        lock(&self.held).by_number.values().cloned().collect()
    }

    /// Takes a lock. It is held until the last copy of the descriptor is closed.
    ///
    /// # Errors
    /// When a text is too long, or there are too many.
    pub fn take(&self, inhibitor: Inhibitor) -> Result<OwnedFd, Error> {
        for (text, what) in [(&inhibitor.who, "'who'"), (&inhibitor.why, "'why'")] {
            if text.is_empty() {
                return Err(Error::InvalidArgument(format!("{what} is empty; people want to know")));
            }
            if text.len() > TEXT_BYTES_MAX {
                return Err(Error::TooLong(format!("{what} has at most {TEXT_BYTES_MAX} bytes")));
            }
        }
        let failed = |error| Error::Failed(format!("cannot make a lock: {error}"));
        let (theirs, ours) = pipe().map_err(failed)?;
        let ours = Sender::from_owned_fd(ours.into()).map_err(failed)?;
        let number = self.add(inhibitor)?;
        self.changed.send_replace(());
        tokio::spawn(self.clone().until_closed(number, ours));
        Ok(theirs.into())
    }

    fn add(&self, inhibitor: Inhibitor) -> Result<u64, Error> {
        let mut held = lock(&self.held);
        let of_user = held.by_number.values().filter(|other| other.uid == inhibitor.uid).count();
        if held.by_number.len() >= INHIBITORS_MAX || of_user >= OF_USER_MAX {
            return Err(Error::LimitReached(format!(
                "there are at most {OF_USER_MAX} inhibitors of one user and {INHIBITORS_MAX} in all; \
                 'scomoctl inhibitors' shows who holds them"
            )));
        }
        held.last = held.last.saturating_add(1);
        let number = held.last;
        held.by_number.insert(number, inhibitor);
        Ok(number)
    }

    async fn until_closed(self, number: u64, ours: Sender) {
        if let Err(error) = ours.ready(Interest::ERROR).await {
            tracing::warn!("cannot wait for the end of an inhibitor, which is released: {error}");
        }
        lock(&self.held).by_number.remove(&number);
        self.changed.send_replace(());
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inhibitor(uid: u32) -> Inhibitor {
        Inhibitor {
            what: [Point::Install].into(),
            who: "backup".to_owned(),
            why: "nightly".to_owned(),
            uid,
            pid: 1,
            since: Millis(0),
        }
    }

    fn run(body: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body);
    }

    #[test]
    fn what_is_held_back_is_read() {
        assert_eq!(points("install:download").unwrap(), [Point::Download, Point::Install].into());
        for text in ["", "install:", "sleep", "install download"] {
            assert!(matches!(points(text), Err(Error::InvalidArgument(_))), "{text}");
        }
    }

    #[test]
    fn it_is_held_until_the_last_copy_is_closed() {
        run(async {
            let inhibitors = Inhibitors::new(watch::Sender::new(()));
            let mut changed = inhibitors.changed.subscribe();
            let fd = inhibitors.take(inhibitor(0)).unwrap();
            let copy = fd.try_clone().unwrap();
            drop(fd);
            // The task that waits has its turn, and nothing is closed.
            tokio::task::yield_now().await;
            assert_eq!(inhibitors.list(), [inhibitor(0)]);
            changed.mark_unchanged();
            drop(copy);
            changed.changed().await.unwrap();
            assert_eq!(inhibitors.list(), []);
        });
    }

    #[test]
    fn there_are_limits() {
        run(async {
            let inhibitors = Inhibitors::new(watch::Sender::new(()));
            let full = |result: Result<OwnedFd, Error>| matches!(result, Err(Error::LimitReached(_)));
            let mut held: Vec<OwnedFd> = Vec::new();
            for user in 0..4 {
                held.extend((0..OF_USER_MAX).map(|_| inhibitors.take(inhibitor(user)).unwrap()));
                if user == 0 {
                    assert!(full(inhibitors.take(inhibitor(user))), "of one user");
                }
            }
            assert!(full(inhibitors.take(inhibitor(9))), "in all");
            let long = Inhibitor { why: "x".repeat(TEXT_BYTES_MAX + 1), ..inhibitor(9) };
            assert!(matches!(inhibitors.take(long), Err(Error::TooLong(_))));
            let silent = Inhibitor { why: String::new(), ..inhibitor(9) };
            assert!(matches!(inhibitors.take(silent), Err(Error::InvalidArgument(_))));
        });
    }
}
