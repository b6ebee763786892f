//! What a process used: wall time, processor time, memory at its highest.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a process used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// From start to end.
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
    /// Most resident memory, in bytes.
    pub peak_bytes: u64,
    /// Bytes that it made the kernel write to disks, in whole pages. The file system's own book-keeping is not in it.
    pub written_bytes: u64,
}

impl Usage {
    /// One after the other.
    pub fn then(self, other: Self) -> Self {
        Self {
            wall: self.wall.saturating_add(other.wall),
            cpu: self.cpu.saturating_add(other.cpu),
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            written_bytes: self.written_bytes.saturating_add(other.written_bytes),
        }
    }
}

/// Runs a command to its end with `input` on its standard input; gives its standard output and what it used. An exit
/// status other than 0 is an error.
pub fn measure(command: &mut Command, input: &str) -> Result<(String, Usage)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context("cannot write to the process")?;
    }
    let stderr = child.stderr.take();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        // What cannot be read is not shown; the exit status still counts.
        let _ = stderr.map(|mut from| from.read_to_string(&mut text));
        text
    });
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text).context("cannot read from the process")?;
    }
    let (status, mut usage) = wait(child.id())?;
    usage.wall = started.elapsed();
    if status != 0 {
        let errors = errors.join().unwrap_or_default();
        bail!("{command:?} ended with the wait status {status}:\n{text}{errors}");
    }
    Ok((text, usage))
}

/// Waits for a child, and asks the kernel what it used.
#[allow(unsafe_code, reason = "no safe crate wraps wait4")]
fn wait(id: u32) -> Result<(i32, Usage)> {
    let id = libc::pid_t::try_from(id).context("a process id is out of range")?;
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live values of the right type, which the kernel fills or leaves as they are.
    let got = unsafe { libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()) };
    if got != id {
        return Err(std::io::Error::last_os_error()).context("cannot wait for the process");
    }
    // SAFETY: every field is a plain number, for which zero is a value; the kernel has filled it in.
    let usage = unsafe { usage.assume_init() };
    let time = |t: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or_default());
        seconds.saturating_add(Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or_default()))
    };
    let cpu = time(usage.ru_utime).saturating_add(time(usage.ru_stime));
    let peak_bytes = u64::try_from(usage.ru_maxrss).unwrap_or_default().saturating_mul(1024);
    // In units of 512 bytes, whatever the disk has.
    let written_bytes = u64::try_from(usage.ru_oublock).unwrap_or_default().saturating_mul(512);
    Ok((status, Usage { wall: Duration::ZERO, cpu, peak_bytes, written_bytes }))
}

/// A number of a process as `/proc/<id>/status` has it, for example `VmRSS`, in bytes.
pub fn status_bytes(id: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
    Ok(number.with_context(|| format!("{path} has no {field}"))?.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured() {
        let script = "read line; echo got $line; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let (text, usage) = measure(Command::new("sh").args(["-c", script]), "hello\n").unwrap();
        assert_eq!(text, "got hello\n");
        assert!(usage.cpu > Duration::ZERO && usage.cpu <= usage.wall.saturating_mul(2), "{usage:?}");
        assert!(usage.peak_bytes > 100_000, "{usage:?}");
        assert_eq!(usage.written_bytes, 0, "{usage:?}");
        let error = measure(Command::new("sh").args(["-c", "echo why >&2; exit 3"]), "").unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
