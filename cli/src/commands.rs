//! What each command does: one function per command, all of them over D-Bus.

mod change;
mod look;

use crate::args::{Cli, Command};
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
pub async fn run(cli: Cli) -> Result<Code, Failure> {
    let format = if cli.json { Format::Json } else { Format::Text };
    let cx = Context { bus: Bus(cli.bus), format };
    match cli.command {
        Command::Install(args) => change::install(&cx, args).await,
        Command::Download(args) => change::download(&cx, args).await,
        Command::Deliver(args) => change::deliver(&cx, args).await,
        Command::Activate(args) => change::activate(&cx, args).await,
        Command::Deactivate(args) => change::deactivate(&cx, args).await,
        Command::Remove(args) => change::remove(&cx, args).await,
        Command::Rollback(args) => change::rollback(&cx, args).await,
        Command::Gc(args) => change::collect_garbage(&cx, args).await,
        Command::ConfirmBoot => change::confirm_boot(&cx).await,
        Command::Cancel { job, waiting } => change::cancel(&cx, job, &waiting).await,
        Command::Wait { job } => change::wait(&cx, job).await,
        Command::Status => look::status(&cx).await,
        Command::List => look::list(&cx).await,
        Command::Show { id } => look::show(&cx, &id).await,
        Command::Jobs { all } => look::jobs(&cx, all).await,
        Command::History { limit } => look::history(&cx, limit).await,
        Command::Logs { id, lines } => look::logs(&cx, &id, lines).await,
        Command::ExitCodes => {
            output::foreign(&exit::table())?;
            Ok(exit::OK)
        }
        Command::Completions { shell } => crate::pages::completions(shell),
        Command::Man { folder } => crate::pages::manual(&folder),
    }
}
