//! A log file that does not grow without end: when it is full it becomes the old one, and a new one begins.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// Bytes of one file; there are two.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most of the newest output that is read at once; an answer of a worker has half of it.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;
/// How much of the last line is remembered.
const LINE_BYTES_MAX: usize = 256;

/// The log of one component.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    /// The beginning of the line that is being written, and the last one that is complete and not empty.
    line: Vec<u8>,
    last_line: Vec<u8>,
}

impl Log {
    /// Opens or creates the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = append(path).context("open", path)?;
        let length = file.metadata().context("look at", path)?.len();
        let (line, last_line) = (Vec::new(), Vec::new());
        Ok(Self { path: path.to_owned(), file: Some(file), length, line, last_line })
    }

    /// Adds output. What the disk does not take is dropped: a component must not stop because its log is full.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.remember(bytes);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.length.saturating_add(length) > FILE_BYTES_MAX && self.length > 0 {
            self.rotate();
        }
        let Some(file) = &mut self.file else { return };
        if file.write_all(bytes).is_ok() {
            self.length = self.length.saturating_add(length);
        }
    }

    /// Adds a line of our own.
    pub(crate) fn note(&mut self, what: &str) {
        let seconds =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let last_line = self.last_line.clone();
        let start = if self.line.is_empty() { "" } else { "\n" };
        self.write(format!("{start}scomo: [{seconds}] {what}\n").as_bytes());
        self.last_line = last_line;
    }

    /// The last line of the component's own output.
    pub(crate) fn last_line(&self) -> String {
        let line = if self.line.is_empty() { &self.last_line } else { &self.line };
        super::crun::last_line(line)
    }

    fn remember(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() < LINE_BYTES_MAX {
                    self.line.push(*byte);
                }
            } else if !self.line.is_empty() {
                std::mem::swap(&mut self.line, &mut self.last_line);
                self.line.clear();
            }
        }
    }

    fn rotate(&mut self) {
        // Closed first: on some file systems what is open keeps its space.
        self.file = None;
        let _ = fs::rename(&self.path, old(&self.path));
        self.file = append(&self.path).ok();
        self.length = self.file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
    }
}

/// The last `lines` lines of a log, oldest first; `None`: there is no log.
pub(crate) fn tail(path: &Path, lines: usize) -> Result<Option<String>, Error> {
    let mut newest = VecDeque::new();
    let mut found = false;
    let mut room = TAIL_BYTES_MAX;
    for path in [path.to_owned(), old(path)] {
        let Some(part) = end_of(&path, room).context("read", &path)? else { continue };
        found = true;
        room = room.saturating_sub(u64::try_from(part.len()).unwrap_or(u64::MAX));
        newest.push_front(part);
    }
    let all: Vec<u8> = newest.into_iter().flatten().collect();
    let text = String::from_utf8_lossy(&all);
    let count = text.lines().count();
    let kept: String = text.lines().skip(count.saturating_sub(lines)).flat_map(|line| [line, "\n"]).collect();
    Ok(found.then_some(kept))
}

fn end_of(path: &Path, room: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(room)))?;
    let mut content = Vec::new();
    file.take(room).read_to_end(&mut content)?;
    Ok(Some(content))
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o640).open(path)
}

/// Where the older half is.
pub(crate) fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_newest_and_stays_small() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x.log");
        assert_eq!(tail(&path, 3).expect("no log"), None);
        let mut log = Log::open(&path).expect("open");
        let mut written = 0_u64;
        let mut number = 0;
        while written < 5 * FILE_BYTES_MAX {
            let line = format!("line {number} {}\n", "x".repeat(1000));
            log.write(line.as_bytes());
            written += u64::try_from(line.len()).expect("length");
            number += 1;
        }
        for file in [path.clone(), old(&path)] {
            let length = fs::metadata(&file).expect("file").len();
            assert!(length <= FILE_BYTES_MAX, "{} has {length} bytes", file.display());
        }
        let last = tail(&path, 1000).expect("tail").expect("a log");
        assert!(last.lines().count() > 500, "both halves are read");
        assert!(last.ends_with(&format!("line {} {}\n", number - 1, "x".repeat(1000))));
        assert_eq!(tail(&path, 2).expect("tail").expect("a log").lines().count(), 2);
        // Opened again it goes on where it was.
        let mut again = Log::open(&path).expect("open again");
        again.write(b"end\n");
        assert_eq!(tail(&path, 1).expect("tail").as_deref(), Some("end\n"));
    }

    #[test]
    fn the_last_line_is_the_components_own() {
        let folder = tempfile::tempdir().expect("folder");
        let mut log = Log::open(&folder.path().join("x.log")).expect("open");
        assert_eq!(log.last_line(), "");
        log.write(b"one\ntw");
        assert_eq!(log.last_line(), "tw");
        log.write(b"o\n\n");
        log.note("a note");
        assert_eq!(log.last_line(), "two");
    }
}
