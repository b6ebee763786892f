//! Honest percent: how far a job is, from its step and the progress of its effects. 100 is reserved for the end.

use crate::command::Gate;
use crate::effect::Progress;
use crate::state::{Job, Step};

/// Percent of a job under way, 0 to 99. `progress` is that of the running effects of the present step.
#[must_use]
pub fn percent(job: &Job, progress: &[&Progress]) -> u8 {
    let done: u64 = progress.iter().map(|p| p.bytes_done.saturating_add(p.bytes_reused)).sum();
    let total: u64 = progress.iter().map(|p| p.bytes_total).sum();
    // Shares in thousandths of one step.
    let within = done.saturating_mul(1000).checked_div(total).unwrap_or(0).min(1000);
    let changes = job.changes.as_ref().map_or(1, |c| c.len().max(1));
    let releases = job.content.as_ref().map_or(1, |c| c.releases.len().max(1));
    // A job without a download spends its time on staging and switching.
    let downloads = job.primitive.downloads() || job.content.is_some();
    let (fetch_end, stage_end, switch_end) = if downloads && job.primitive.installs() {
        (70, 80, 90)
    } else if downloads {
        (97, 98, 99)
    } else {
        (5, 30, 70)
    };
    let (from, to, part, parts) = match job.step {
        Step::Resolve => (0, 2, 0, 1),
        Step::Await(Gate::Download) => (2, 2, 0, 1),
        Step::Await(Gate::Boot | Gate::Install) => (stage_end, stage_end, 0, 1),
        Step::Fetch(index) => (2, fetch_end, index, releases),
        Step::Stage(index) => (fetch_end, stage_end, index, changes),
        Step::Switch(index) => (stage_end, switch_end, index, changes),
        Step::AwaitBoot => (switch_end, switch_end, 0, 1),
        Step::Probe => (switch_end, 99, 0, 1),
        Step::Confirm(_) | Step::Revert(_) => (99, 99, 0, 1),
        Step::Collect => (0, 99, 0, 1),
    };
    let count = |n: usize| u64::try_from(n).unwrap_or(0);
    let width = u64::saturating_sub(to, from);
    let thousandths = count(part).saturating_mul(1000).saturating_add(within);
    let whole = count(parts).max(1).saturating_mul(1000);
    let share = width.saturating_mul(thousandths).checked_div(whole).unwrap_or(0);
    u8::try_from(from.saturating_add(share).min(99)).unwrap_or(99)
}
