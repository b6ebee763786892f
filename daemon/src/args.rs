//! The command line of the daemon.

use std::path::PathBuf;

use lexopt::Arg::{Long, Short};
use lexopt::ValueExt as _;

use crate::config::Overrides;

/// What `--help` shows.
pub const HELP: &str = "\
The scomo update daemon. Usually started by systemd; clients talk to it over D-Bus (see scomoctl).

Usage: scomod [OPTIONS]

Options:
      --bus <BUS>           system (the default), session, or a D-Bus address
      --config <FILE>       read this file instead of /usr/lib/scomo and /etc/scomo; may be given several times
      --state-dir <DIR>     durable data, /var/lib/scomo by default
      --runtime-dir <DIR>   volatile data, /run/scomo by default
      --workers <DIR>       worker executables, /usr/lib/scomo/workers by default
  -h, --help                print this help
  -V, --version             print the version
";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Run.
    Run(Overrides),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// Reads the command line without the program's name.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Wanted, lexopt::Error> {
    let mut overrides = Overrides::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("bus") => overrides.bus = Some(parser.value()?.string()?),
            Long("config") => overrides.files.push(parser.value()?.into()),
            Long("state-dir") => overrides.state_dir = Some(parser.value()?.into()),
            Long("runtime-dir") => overrides.runtime_dir = Some(parser.value()?.into()),
            Long("workers") => overrides.workers_dir = Some(PathBuf::from(parser.value()?)),
            Short('h') | Long("help") => return Ok(Wanted::Help),
            Short('V') | Long("version") => return Ok(Wanted::Version),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Wanted::Run(overrides))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str]) -> Result<Wanted, lexopt::Error> {
        parse(args.iter().map(std::ffi::OsString::from))
    }

    #[test]
    fn options_are_read() {
        let wanted = of(&["--bus=session", "--config", "/a", "--config", "/b", "--workers", "/w"]).unwrap();
        let Wanted::Run(overrides) = wanted else { panic!("{wanted:?}") };
        assert_eq!(overrides.bus.as_deref(), Some("session"));
        assert_eq!(overrides.files, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(overrides.workers_dir, Some(PathBuf::from("/w")));
    }

    #[test]
    fn unknown_options_are_refused_by_name() {
        assert!(of(&["--colour"]).unwrap_err().to_string().contains("--colour"));
        assert!(of(&["extra"]).is_err());
        assert_eq!(of(&["--help"]).unwrap(), Wanted::Help);
    }

    #[test]
    fn the_help_names_every_option() {
        for option in
            ["--bus", "--config", "--state-dir", "--runtime-dir", "--workers", "--help", "--version"]
        {
            assert!(HELP.contains(option), "{option}");
        }
    }
}
