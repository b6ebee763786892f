//! Automation: the only entry for testing and measuring. `cargo xtask help` lists what there is.

use std::process::ExitCode;

use clap::Parser;

mod bench;
mod demo;
mod docs;
mod powercut;
mod systemd;
mod test;
mod tidy;

/// Automation of the scomo repository.
#[derive(Debug, Parser)]
#[command(name = "xtask", disable_help_subcommand = false)]
enum Task {
    /// Run every test and count what was skipped for want of root
    Test(test::Options),
    /// Show the main job for real on a scratch device (as root)
    Demo,
    /// Measure time, memory, disk and writes beside podman (as root)
    Bench(bench::Options),
    /// Cut the power at every disk write of an install and an update (as root)
    Powercut(powercut::Options),
    /// Try the product under a real systemd in a virtual machine, with a power cut (as root)
    Systemd,
    /// Write generated documents and code anew
    Docs,
    /// Check the rules for the repository itself; `cargo test` does it too
    Tidy,
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Docs => docs::run(),
        Task::Demo => demo::run(),
        Task::Powercut(options) => powercut::run(&options),
        Task::Systemd => systemd::run(),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
