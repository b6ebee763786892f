//! The time, and waiting for a time of the wall clock: also when the clock is set, or the device sleeps, meanwhile.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use scomo_core::id::Millis;
use tokio::io::unix::AsyncFd;
#[cfg(test)]
use tokio::sync::watch;

/// Where the kernel gives no timer, the clock is looked at this often while something waits.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A clock.
#[derive(Debug, Clone)]
pub enum Clock {
    /// That of the device.
    System,
    /// One that a test sets.
    #[cfg(test)]
    Set(watch::Sender<Millis>),
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Millis {
        match self {
            Self::System => crate::link::now(),
            #[cfg(test)]
            Self::Set(time) => *time.borrow(),
        }
    }

    /// Waits until the time has come, for ever without one. It also returns when the clock was set: whoever waits looks
    /// again then.
    pub async fn until(&self, at: Option<Millis>) {
        let Some(at) = at else { return std::future::pending().await };
        match self {
            Self::System => {
                if let Err(error) = wait(at).await {
                    tracing::warn!("cannot wait for a time of the clock: {error}; looking at it instead");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
            #[cfg(test)]
            Self::Set(time) => {
                let mut time = time.subscribe();
                if *time.borrow_and_update() < at {
                    let _: Result<(), _> = time.changed().await;
                }
            }
        }
    }
}

async fn wait(at: Millis) -> std::io::Result<()> {
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
    // A timer set to the time 0 would never ring.
    let time = TimeSpec::from_duration(Duration::from_millis(at.0.max(1)));
    let how = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    timer.set(Expiration::OneShot(time), how)?;
    // It becomes readable when the time has come, and when the clock was set.
    register(timer.into())?.readable().await?.retain_ready();
    Ok(())
}

#[allow(unsafe_code)]
fn register(timer: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it owns the descriptor, which nobody else has, so it stays open and the same until it is dropped.
    Ok(unsafe { AsyncFd::register(timer) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn run(body: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(PATIENCE, body).await.expect("in time") });
    }

    #[test]
    fn a_time_is_waited_for_and_one_that_has_passed_is_not() {
        run(async {
            let clock = Clock::System;
            clock.until(Some(Millis(0))).await;
            let at = clock.now().plus(30);
            // It may end early: another test sets the clock.
            while clock.now() < at {
                clock.until(Some(at)).await;
            }
        });
    }

    #[test]
    fn setting_the_clock_ends_the_waiting() {
        use nix::time::{ClockId, clock_gettime, clock_settime};
        // It is set to what it is: that counts as setting it.
        let set = || clock_settime(ClockId::CLOCK_REALTIME, clock_gettime(ClockId::CLOCK_REALTIME)?);
        if set().is_err() {
            eprintln!("SKIPPED: needs root: setting_the_clock_ends_the_waiting");
            return;
        }
        run(async {
            let clock = Clock::System;
            let mut waiting = std::pin::pin!(clock.until(Some(clock.now().plus(3_600_000))));
            let early = tokio::time::timeout(Duration::ZERO, waiting.as_mut()).await;
            assert!(early.is_err(), "an hour has not passed");
            set().unwrap();
            waiting.await;
        });
    }
}
