//! Where the log goes: to the journal with fields of its own when standard error is the journal, otherwise to standard
//! error as lines.

use std::os::linux::fs::MetadataExt as _;

use anyhow::Context as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The program's name in the journal.
const IDENTIFIER: &str = "scomod";

/// Starts logging. `filter` as in `info,scomo_engine=debug`; the environment variable `SCOMO_LOG`, which the workers
/// read too, stands above it.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let text = std::env::var(scomo_engine::worker::LOG_ENV).unwrap_or_else(|_| filter.to_owned());
    let filter: Targets = text.parse().with_context(|| format!("'{text}' is not a log filter"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    if !is_journal() {
        registry.with(lines).init();
    } else if let Ok(journal) = tracing_journald::layer() {
        let journal = journal.with_field_prefix(None).with_syslog_identifier(IDENTIFIER.to_owned());
        registry.with(journal).init();
    } else {
        // It takes lines still, and has its own time stamps.
        registry.with(lines.without_time()).init();
    }
    Ok(())
}

/// Whether standard error is a stream to the journal, as systemd tells in `JOURNAL_STREAM`. The variable alone does not
/// say: it is inherited, and standard error may have been sent elsewhere since.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino()))
}
