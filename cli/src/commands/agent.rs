//! `agent`: asks the questions of the daemon in the terminal.

use std::io::BufRead as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use scomo_dbus::{BUS_NAME, OptionMap, Options};
use tokio::sync::{Mutex, mpsc};
use zbus::fdo::{DBusProxy, Error};
use zbus::{Connection, ObjectPath, OwnedVariant};

use super::Context;
use super::change::manager;
use crate::args::policy::Agent as Args;
use crate::exit::{Code, Failure, UNREACHABLE};
use crate::output;

/// Where the agent is on its own connection.
const PATH: &str = "/org/scomo1/agent";
/// How long to wait for an answer when the daemon does not say.
const ANSWER_S: u32 = 300;

/// Runs until Ctrl-C, also over restarts of the daemon.
pub async fn run(cx: &Context, args: &Args) -> Result<Code, Failure> {
    let connection = cx.bus.connect(false).await?;
    let always = if args.yes || args.no { Some(args.yes) } else { None };
    connection.object_server().at(PATH, Agent { always, lines: Mutex::new(lines()) }).await?;
    let dbus = DBusProxy::new(&connection).await?;
    let mut owners = dbus.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await?;
    register(&connection).await?;
    output::note("asking the questions of the daemon here; Ctrl-C ends it");
    while let Some(change) = owners.next().await {
        if change.args().is_ok_and(|args| args.new_owner().is_some()) {
            register(&connection).await?;
        }
    }
    Err(Failure::new(UNREACHABLE, "Unreachable", "the bus went away"))
}

async fn register(connection: &Connection) -> Result<(), Failure> {
    let path = ObjectPath::try_from(PATH)?;
    Ok(manager(connection).await?.register_agent(path, Options::new()).await?)
}

/// Lines that are typed. A thread reads them, because reading from a terminal blocks; it ends with the process.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Agent {
    /// What to answer without asking.
    always: Option<bool>,
    /// One question at a time.
    lines: Mutex<mpsc::Receiver<String>>,
}

fn option<T: TryFrom<OwnedVariant>>(options: &OptionMap, name: &str) -> Option<T> {
    let value = options.get(name)?.try_clone().ok()?;
    T::try_from(value).ok()
}

impl Agent {
    /// What somebody types as an answer; empty: the default.
    async fn ask(&self, text: &str, options: &OptionMap) -> Result<String, Error> {
        let mut lines = self.lines.lock().await;
        // What was typed before the question is no answer to it.
        while lines.try_recv().is_ok() {}
        output::note(&output::clean(text));
        let seconds = option(options, "timeout-s").unwrap_or(ANSWER_S);
        match tokio::time::timeout(Duration::from_secs(seconds.into()), lines.recv()).await {
            Ok(Some(line)) => Ok(line.trim().to_owned()),
            Ok(None) => Err(Error::Failed("nobody can type here".to_owned())),
            Err(_) => {
                output::note("no answer in time");
                Err(Error::TimedOut("nobody answered".to_owned()))
            }
        }
    }
}

fn no_default() -> Error {
    Error::Failed("there is no default, and nobody is asked here".to_owned())
}

#[zbus::interface(name = "org.scomo1.Agent")]
impl Agent {
    fn display(&self, text: String, _options: OptionMap) {
        output::note(&output::clean(&text));
    }

    async fn confirm(&self, text: String, options: OptionMap) -> Result<bool, Error> {
        if let Some(always) = self.always {
            output::note(&format!("{}: {}", output::clean(&text), if always { "yes" } else { "no" }));
            return Ok(always);
        }
        let default: Option<bool> = option(&options, "default");
        let hint = match default {
            Some(true) => "[Y/n]",
            Some(false) => "[y/N]",
            None => "[y/n]",
        };
        loop {
            let line = self.ask(&format!("{text} {hint}"), &options).await?;
            match (line.to_lowercase().as_str(), default) {
                ("y" | "yes", _) => return Ok(true),
                ("n" | "no", _) => return Ok(false),
                ("", Some(default)) => return Ok(default),
                _ => output::note("please answer y or n"),
            }
        }
    }

    async fn input(&self, text: String, options: OptionMap) -> Result<String, Error> {
        let default: Option<String> = option(&options, "default");
        if self.always.is_some() {
            return default.ok_or_else(no_default);
        }
        let hint = default.as_ref().map(|default| format!(" [{default}]")).unwrap_or_default();
        let line = self.ask(&format!("{text}{hint}"), &options).await?;
        Ok(if line.is_empty() { default.unwrap_or_default() } else { line })
    }

    async fn choice(&self, text: String, items: Vec<String>, options: OptionMap) -> Result<Vec<u32>, Error> {
        let default: Option<Vec<u32>> = option(&options, "default");
        if self.always.is_some() {
            return default.ok_or_else(no_default);
        }
        let multiple = option(&options, "multiple").unwrap_or_default();
        for (number, item) in (1..).zip(&items) {
            output::note(&output::clean(&format!("{number:>4}  {item}")));
        }
        loop {
            let line = self.ask(&text, &options).await?;
            if let Some(default) = default.clone().filter(|_| line.is_empty()) {
                return Ok(default);
            }
            if let Some(chosen) = chosen(&line, items.len(), multiple) {
                return Ok(chosen);
            }
            output::note(if multiple {
                "please type numbers of the list"
            } else {
                "please type a number of the list"
            });
        }
    }
}

/// Positions, from 0, of the numbers in a line, from 1.
fn chosen(line: &str, items: usize, multiple: bool) -> Option<Vec<u32>> {
    let numbers = line.split([',', ' ']).filter(|part| !part.is_empty());
    let position = |part: &str| {
        let number: u32 = part.parse().ok()?;
        let there = usize::try_from(number).is_ok_and(|number| number <= items);
        number.checked_sub(1).filter(|_| there)
    };
    let mut chosen = numbers.map(position).collect::<Option<Vec<u32>>>()?;
    chosen.sort_unstable();
    chosen.dedup();
    (multiple || chosen.len() == 1).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_list_are_read() {
        assert_eq!(chosen("2", 3, false), Some(vec![1]));
        assert_eq!(chosen("3, 1 1", 3, true), Some(vec![0, 2]));
        assert_eq!(chosen("", 3, true), Some(vec![]));
        for line in ["", "0", "4", "1 2", "x"] {
            assert_eq!(chosen(line, 3, false), None, "{line}");
        }
    }
}
