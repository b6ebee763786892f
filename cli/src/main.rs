//! The scomo command line client: everything it does, it asks the daemon for over D-Bus.
//!
//! It holds no state and no rights of its own; what it can do, `busctl` can do.

mod args;
mod client;
mod commands;
mod exit;
mod json;
mod output;
mod pages;
mod source;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::exit::{BROKEN_PIPE, Code, Failure, OK, USAGE};

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; a reader that went away is not worth a word.
            let _ = error.print();
            return end(if error.use_stderr() { USAGE } else { OK });
        }
    };
    let json = cli.json;
    match commands::run(cli) {
        Ok(code) => end(code),
        Err(failure) => {
            if failure.code != BROKEN_PIPE {
                report(&failure, json);
            }
            end(failure.code)
        }
    }
}

fn end(code: Code) -> ExitCode {
    ExitCode::from(code.number)
}

fn report(failure: &Failure, json: bool) {
    // Scripts always get one object on standard output; people get a line on standard error.
    if json && output::json("error", &json::ErrorJson::from(failure)).is_ok() {
        return;
    }
    output::note(&format!("error: {}", output::clean(&failure.message)));
}
