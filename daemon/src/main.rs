//! The scomo update daemon: configuration, the engine, the door.
//!
//! It holds the state and the bus and nothing heavy: every effect runs in a worker process of its own, which is an
//! executable in the workers' folder. It links no backend.

mod args;
mod bus;
mod config;
mod events;
mod factory;
mod link;
mod log;
mod memory;
mod policy;
mod refusal;
#[cfg(test)]
mod sample;
mod view;

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use nix::sys::stat::{Mode, umask};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Wanted;
use crate::config::{Overrides, Settings};
use crate::link::Link;

/// Threads for what blocks: one delivery, and a few clients that read the output of components.
const BLOCKING_THREADS_MAX: usize = 4;
/// Their stacks; nothing that runs on them recurses.
const STACK_BYTES: usize = 256 * 1024;

fn main() -> ExitCode {
    let wanted = match args::parse(std::env::args_os().skip(1)) {
        Ok(wanted) => wanted,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "scomod: {error}; see 'scomod --help'");
            return ExitCode::from(2);
        }
    };
    let overrides = match wanted {
        Wanted::Run(overrides) => overrides,
        Wanted::Help => return say(args::HELP),
        Wanted::Version => return say(concat!("scomod ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    match run(&overrides) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not through the log, whose filter may be what is wrong.
            let _ = writeln!(std::io::stderr(), "scomod: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn run(overrides: &Overrides) -> anyhow::Result<()> {
    let settings = Settings::load(overrides)?;
    log::init(&settings.daemon.log)?;
    memory::stay_small();
    // File sets are below it, for every process.
    make_folder(&settings.daemon.state_dir, 0o711)?;
    // Containers of other users look for their files below it.
    make_folder(&settings.daemon.runtime_dir, 0o711)?;
    // What the daemon and its workers write from here on is for root alone; they open up what is not.
    umask(Mode::from_bits_truncate(0o077));
    let link = Link::start(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(serve(&settings, link))
}

async fn serve(settings: &Settings, link: Link) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
    let mut service = bus::Service::start(settings, link.clone()).await?;
    factory::install(&link, &settings.daemon.factory).await;
    drop(link);
    tell_systemd(NotifyState::Ready);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), bus = settings.daemon.bus, "ready");
    let result = tokio::select! {
        result = service.run() => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    tracing::info!("ending; what runs on the device goes on running");
    tell_systemd(NotifyState::Stopping);
    service.stop().await;
    result
}

fn tell_systemd(state: NotifyState<'_>) {
    // Without systemd there is nobody to tell, and that is not an error.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("cannot tell systemd: {error}");
    }
}

fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("cannot make the folder {}", path.display()))
}
