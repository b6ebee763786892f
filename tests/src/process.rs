//! Processes: run one to its end, or keep one as long as a value lives.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait;

/// How long the rest of the output of an ended process is waited for.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs a command to its end and gives its standard output; an exit status other than 0 is an error with its output.
pub fn output(command: &mut Command) -> Result<String> {
    let got = run(command)?;
    if !got.status.success() {
        bail!(
            "{command:?} ended with {}:\n{}{}",
            got.status,
            String::from_utf8_lossy(&got.stdout),
            String::from_utf8_lossy(&got.stderr)
        );
    }
    String::from_utf8(got.stdout).with_context(|| format!("{command:?} wrote what is not UTF-8"))
}

/// Runs a command to its end, however it ends.
pub fn run(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))
}

/// Runs a command line given as words.
pub fn words(line: &[&str]) -> Result<String> {
    let (program, args) = line.split_first().context("an empty command line")?;
    output(Command::new(program).args(args))
}

/// A process that ends with this value. What it writes is kept.
pub struct Process {
    name: String,
    child: Child,
    lines: Lines,
}

impl Process {
    /// Starts it. When the calling thread ends, also by a panic or a signal, the kernel kills the process.
    pub fn start(command: &Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        // setpriv becomes the program itself: same process, same id.
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => tied.env(key, value),
                None => tied.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            tied.current_dir(folder);
        }
        tied.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tied.spawn().with_context(|| format!("cannot start {name}"))?;
        let lines = Lines::default();
        if let Some(stdout) = child.stdout.take() {
            lines.follow(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            lines.follow(stderr);
        }
        Ok(Self { name, child, lines })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.text()
    }

    /// Its exit status when it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Waits for a line of which `find` makes something.
    pub fn wait_for_line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        wait::until(what, wait::SOON, || {
            if let Some(found) = self.text().lines().find_map(&find) {
                return Ok(Some(found));
            }
            match self.ended()? {
                Some(status) => {
                    self.lines.settle();
                    match self.text().lines().find_map(&find) {
                        Some(found) => Ok(Some(found)),
                        None => bail!("{} ended with {status}:\n{}", self.name, self.text()),
                    }
                }
                None => Ok(None),
            }
        })
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        let status = wait::until(&what, within, || self.ended())?;
        self.lines.settle();
        Ok(status)
    }

    /// Kills it at once and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the process may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("id", &self.child.id())
            .finish_non_exhaustive()
    }
}

/// Lines that a process wrote, collected while it runs.
#[derive(Default)]
struct Lines {
    text: Arc<Mutex<String>>,
    /// One clone for each reader that has not come to the end.
    readers: Arc<()>,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, String> {
        // A panic of another reader leaves text that is still good to show.
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        self.lock().clone()
    }

    /// Waits until everything that an ended process wrote is read. Its children may still hold the pipe: not for long.
    fn settle(&self) {
        let _ = wait::until_true("the output is read", SETTLE, || Ok(Arc::strong_count(&self.readers) == 1));
    }

    /// Reads to the end in a thread of its own; it ends when the process does.
    fn follow(&self, from: impl Read + Send + 'static) {
        let lines = Self { text: Arc::clone(&self.text), readers: Arc::clone(&self.readers) };
        std::thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                lines.lock().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_its_value() {
        let mut process =
            Process::start(Command::new("sh").args(["-c", "echo ready; exec sleep 1000"])).unwrap();
        process.wait_for_line("ready", |line| (line == "ready").then_some(())).unwrap();
        let folder = std::path::PathBuf::from(format!("/proc/{}", process.id()));
        assert!(folder.exists());
        drop(process);
        assert!(!folder.exists());
    }

    #[test]
    fn a_process_that_ends_early_is_an_error_with_its_output() {
        let mut process =
            Process::start(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap();
        let error = process.wait_for_line("ready", |line| (line == "ready").then_some(())).unwrap_err();
        assert!(format!("{error:#}").contains("no luck"), "{error:#}");
    }

    #[test]
    fn a_failed_command_shows_its_output() {
        let error = words(&["sh", "-c", "echo why >&2; exit 1"]).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        assert_eq!(words(&["echo", "x"]).unwrap(), "x\n");
    }
}
