//! Waiting for a condition, with a deadline. Nothing here waits for a fixed time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at. Small, because most conditions come true within milliseconds.
const POLL: Duration = Duration::from_millis(5);
/// Deadline of everything that takes milliseconds on an idle machine: long, because test machines are not idle.
pub const SOON: Duration = Duration::from_secs(60);

/// Looks at the condition until it gives something; fails with `what` when `within` has passed.
pub fn until<T>(what: &str, within: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain: {what}", within.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// As [`until`], for a condition that is true or not.
pub fn until_true(what: &str, within: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    until(what, within, || Ok(condition()?.then_some(())))
}
