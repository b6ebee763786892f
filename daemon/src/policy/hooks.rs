//! Hooks: programs of the device's maker or owner that are asked before something happens, or told afterwards.
//!
//! They run one after the other, by name, with the rights of the daemon; that is why only what nobody but root can have
//! written runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, Command};

use super::place::About;

/// Most hooks of one point; more are a mistake.
const HOOKS_MAX: usize = 64;
/// How much of what a hook says is kept: a line or two for people.
const SAID_BYTES_MAX: usize = 400;
/// How long after its end a hook's last words are waited for; a process that it left behind may keep the pipe open.
const LAST_WORDS_MAX: Duration = Duration::from_millis(100);
/// `EX_TEMPFAIL` of sysexits.h: not now, ask again.
const NOT_NOW: i32 = 75;
/// Where hooks find programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A point at which hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before a download; may refuse it.
    PreDownload,
    /// Before an install; may refuse it.
    PreInstall,
    /// Before a restart; may refuse it.
    PreReboot,
    /// After an install that went well.
    PostInstall,
    /// After a job that failed.
    PostFailure,
}

impl Stage {
    /// The name, as in the folder's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreDownload => "pre-download",
            Self::PreInstall => "pre-install",
            Self::PreReboot => "pre-reboot",
            Self::PostInstall => "post-install",
            Self::PostFailure => "post-failure",
        }
    }
}

/// What hooks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// All of them agree.
    Yes,
    /// One wants to be asked again later, and why.
    NotNow(String),
    /// One refuses, and why.
    No(String),
}

/// The hooks of this device.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// Folders; the later one wins.
    pub folders: Vec<PathBuf>,
    /// How long one hook may take.
    pub time_max: Duration,
}

impl Hooks {
    /// Runs the hooks of a point, until one does not agree.
    pub async fn run(&self, stage: Stage, about: &About, more: &[(&str, String)]) -> Said {
        for (name, path) in self.list(stage) {
            let said = match self.run_one(&path, stage, about, more).await {
                Ok(said) => said,
                Err(error) => Said::No(format!("it cannot be run: {error}")),
            };
            let named = |why: &str| format!("hook {}/{}: {why}", stage.as_str(), name.display());
            match said {
                Said::Yes => {}
                Said::NotNow(why) => return Said::NotNow(named(&why)),
                Said::No(why) => return Said::No(named(&why)),
            }
        }
        Said::Yes
    }

    /// The hooks of a point by name. What may not run is left out, with a warning.
    fn list(&self, stage: Stage) -> BTreeMap<PathBuf, PathBuf> {
        let mut hooks = BTreeMap::new();
        for base in &self.folders {
            let folder = base.join(format!("{}.d", stage.as_str()));
            let found = match names(&folder) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!("cannot read the hooks in {}: {error}", folder.display());
                    continue;
                }
            };
            if let Err(why) = safe(base).and_then(|()| safe(&folder)) {
                tracing::warn!("the hooks in {} do not run: {why}", folder.display());
                continue;
            }
            for name in found {
                let path = folder.join(&name);
                match safe(&path) {
                    Ok(()) => drop(hooks.insert(PathBuf::from(name), path)),
                    Err(why) => tracing::warn!("the hook {} does not run: {why}", path.display()),
                }
            }
        }
        hooks
    }

    async fn run_one(
        &self,
        path: &Path,
        stage: Stage,
        about: &About,
        more: &[(&str, String)],
    ) -> io::Result<Said> {
        let mut command = Command::new(path);
        command.env_clear().env("PATH", PATH).env("SCOMO_POINT", stage.as_str());
        command.env("SCOMO_JOB", about.job.to_string()).env("SCOMO_PRIMITIVE", &about.primitive);
        command.env("SCOMO_TARGET", &about.target).env("SCOMO_VERSION", &about.version);
        command.envs(more.iter().map(|(name, value)| (*name, value)));
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // A group of its own, so that all of it can be ended.
        let mut hook = Running(command.process_group(0).spawn()?);
        match tokio::time::timeout(self.time_max, hook.end()).await {
            Ok(ended) => ended.map(|(status, said)| answer(status, &said)),
            Err(_) => Ok(Said::No(format!("it did not end within {} s", self.time_max.as_secs()))),
        }
    }
}

fn answer(status: ExitStatus, said: &[u8]) -> Said {
    let said = String::from_utf8_lossy(said).trim().to_owned();
    let said = if said.is_empty() { status.to_string() } else { said };
    match status.code() {
        Some(0) => Said::Yes,
        Some(NOT_NOW) => Said::NotNow(said),
        _ => Said::No(said),
    }
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)?.take(HOOKS_MAX) {
        let name = entry?.file_name();
        // Editors and packagers leave such files behind.
        let hidden = name.to_string_lossy().starts_with('.') || name.to_string_lossy().contains('~');
        if !hidden {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether nobody but root, or the daemon's own user, can have written it. Err: why not.
fn safe(path: &Path) -> Result<(), String> {
    let meta = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    let mode = meta.mode();
    if meta.is_symlink() {
        return Err("it is a link; put the program itself there".to_owned());
    }
    let runs = meta.is_file() && mode & 0o111 != 0;
    if !runs && !meta.is_dir() {
        return Err("it is not an executable file".to_owned());
    }
    if meta.uid() != 0 && meta.uid() != Uid::effective().as_raw() {
        return Err(format!("it belongs to the user {}, not to root", meta.uid()));
    }
    if mode & 0o022 != 0 {
        return Err("others than its owner may write to it; chmod go-w".to_owned());
    }
    Ok(())
}

/// A hook that runs. When it is dropped before its end, it is killed with all that it started.
struct Running(Child);

impl Running {
    /// Its status, and the beginning of what it wrote to standard error.
    async fn end(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut said = Vec::new();
        let Some(mut stderr) = self.0.stderr.take() else { return Ok((self.0.wait().await?, said)) };
        let heard = tokio::select! {
            biased;
            () = hear(&mut stderr, &mut said) => true,
            _ = self.0.wait() => false,
        };
        if !heard {
            let _late = tokio::time::timeout(LAST_WORDS_MAX, hear(&mut stderr, &mut said)).await;
        }
        Ok((self.0.wait().await?, said))
    }
}

/// Reads to the end and keeps the beginning.
async fn hear(from: &mut ChildStderr, said: &mut Vec<u8>) {
    let mut buffer = [0; 512];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        let room = SAID_BYTES_MAX.saturating_sub(said.len());
        said.extend(buffer.iter().take(bytes.min(room)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // None once it was waited for: then its number may belong to another process.
        let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        if let Err(error) = killpg(Pid::from_raw(pid), Signal::SIGKILL) {
            tracing::warn!("cannot kill a hook: {error}");
        }
    }
}

#[cfg(test)]
#[path = "hooks/tests.rs"]
mod tests;
