//! What each command does: one function per command, all of them over D-Bus.

mod agent;
mod change;
mod look;
#[cfg(feature = "package")]
pub mod package;
mod policy;
mod tree;

use crate::args::{Cli, Command, DeviceCommand};
use crate::client::Bus;
use crate::exit::{self, Code, Failure};
use crate::output::{self, Format};

/// What every command needs.
#[derive(Debug)]
pub struct Context {
    /// Where the daemon is.
    pub bus: Bus,
    /// How results are printed.
    pub format: Format,
}

/// Carries out a command. Returns what the program ends with.
pub fn run(cli: Cli) -> Result<Code, Failure> {
    let format = if cli.json { Format::Json } else { Format::Text };
    match cli.command {
        #[cfg(feature = "package")]
        Command::Package { access, command } => package::run(format, &access, command),
        Command::ExitCodes => {
            output::foreign(&exit::table())?;
            Ok(exit::OK)
        }
        Command::Completions { shell } => crate::pages::completions(shell),
        Command::Man { folder } => crate::pages::manual(&folder),
        Command::Device(command) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let failed = |error| Failure::new(exit::FAILED, "Runtime", format!("cannot start: {error}"));
            runtime.map_err(failed)?.block_on(ask(&Context { bus: Bus(cli.bus), format }, command))
        }
    }
}

/// Carries out a command that asks the daemon.
async fn ask(cx: &Context, command: DeviceCommand) -> Result<Code, Failure> {
    match command {
        DeviceCommand::Install(args) => change::install(cx, args).await,
        DeviceCommand::Download(args) => change::download(cx, args).await,
        DeviceCommand::Deliver(args) => change::deliver(cx, args).await,
        DeviceCommand::Activate(args) => change::activate(cx, args).await,
        DeviceCommand::Deactivate(args) => change::deactivate(cx, args).await,
        DeviceCommand::Remove(args) => change::remove(cx, args).await,
        DeviceCommand::Rollback(args) => change::rollback(cx, args).await,
        DeviceCommand::Gc(args) => change::collect_garbage(cx, args).await,
        DeviceCommand::ConfirmBoot => change::confirm_boot(cx).await,
        DeviceCommand::Cancel { job, waiting } => change::cancel(cx, job, &waiting).await,
        DeviceCommand::Wait { job } => change::wait(cx, job).await,
        DeviceCommand::Status => look::status(cx).await,
        DeviceCommand::List => look::list(cx).await,
        DeviceCommand::Show { id } => look::show(cx, &id).await,
        DeviceCommand::Jobs { all } => look::jobs(cx, all).await,
        DeviceCommand::History { limit } => look::history(cx, limit).await,
        DeviceCommand::Tree(command) => tree::run(cx, command).await,
        DeviceCommand::Policy(command) => policy::run(cx, command).await,
        DeviceCommand::Logs { id, lines } => look::logs(cx, &id, lines).await,
    }
}
