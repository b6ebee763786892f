//! A small HTTP server for tests: static files, or whatever a test makes up. It remembers what it was asked for and can
//! be told to fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// A client that says nothing for so long is gone.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request head.
const HEAD_BYTES_MAX: u64 = 16 * 1024;

/// What becomes of the head of a request: the whole answer, head and body.
type Answer = Box<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Answer,
    /// Connections serve more than one request.
    keeps: bool,
    ended: AtomicBool,
    /// Requests that are still answered; afterwards the connection is cut without an answer.
    budget: AtomicUsize,
    /// Answered instead of every file; zero: none.
    status: AtomicU16,
    /// How long each answer takes.
    delay_ms: AtomicU64,
    asked: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves the files below `root` on an unused port of loopback.
    pub fn start(root: &Path) -> Result<Self> {
        let root = root.to_owned();
        Self::listen(Box::new(move |head| file(&root, head)), true)
    }

    /// Answers every request, of which it gets the head, with what `answer` makes up, and closes the connection.
    pub fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Result<Self> {
        Self::listen(Box::new(answer), false)
    }

    fn listen(answer: Answer, keeps: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let address = listener.local_addr().context("the listener has no address")?;
        let shared = Arc::new(Shared {
            answer,
            keeps,
            ended: AtomicBool::new(false),
            budget: AtomicUsize::new(usize::MAX),
            status: AtomicU16::new(0),
            delay_ms: AtomicU64::new(0),
            asked: Mutex::default(),
        });
        let server = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || accept(&listener, &shared));
        Ok(server)
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers `requests` more requests, and cuts every connection afterwards.
    pub fn fail_after(&self, requests: usize) {
        self.shared.budget.store(requests, Ordering::SeqCst);
    }

    /// Answers everything with this status.
    pub fn fail_with(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Takes so long for every answer.
    pub fn slow(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(delay, Ordering::SeqCst);
    }

    /// Answers everything again, as fast as it can.
    pub fn mend(&self) {
        self.fail_after(usize::MAX);
        self.fail_with(0);
        self.slow(Duration::ZERO);
    }

    /// The paths that were asked for since the last call, in order.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked())
    }

    /// How many requests there were since the last call of [`Self::asked`].
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.asked().len()
    }
}

impl Shared {
    fn asked(&self) -> MutexGuard<'_, Vec<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(stream) = stream {
            let shared = Arc::clone(shared);
            // A client that goes away in the middle is its own affair.
            std::thread::spawn(move || drop(talk(&stream, &shared)));
        }
    }
}

/// Answers requests on one connection until either side closes it.
fn talk(mut stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_head(&mut reader)? {
        shared.asked().push(method_and_path(&head).1.to_owned());
        std::thread::sleep(Duration::from_millis(shared.delay_ms.load(Ordering::SeqCst)));
        let allowed = shared.budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            if left == usize::MAX { Some(left) } else { left.checked_sub(1) }
        });
        if allowed.is_err() {
            return stream.shutdown(std::net::Shutdown::Both);
        }
        match shared.status.load(Ordering::SeqCst) {
            0 => stream.write_all(&(shared.answer)(&head))?,
            status => stream.write_all(&empty(status))?,
        }
        if !shared.keeps {
            break;
        }
    }
    Ok(())
}

/// The head of the next request; `None` at the end.
fn read_head(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<String>> {
    let mut reader = reader.take(HEAD_BYTES_MAX);
    let mut head = String::new();
    loop {
        let length = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        if matches!(head.get(length..), Some("\r\n" | "\n")) {
            return Ok(Some(head));
        }
    }
}

fn method_and_path(head: &str) -> (&str, &str) {
    let mut words = head.split_whitespace();
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

fn empty(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// The answer with the file that a request asks for.
fn file(root: &Path, head: &str) -> Vec<u8> {
    let (method, path) = method_and_path(head);
    let Some(content) = local(root, path).and_then(|path| std::fs::read(path).ok()) else {
        return empty(404);
    };
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: application/octet-stream\r\n\r\n",
        content.len()
    )
    .into_bytes();
    if method == "GET" {
        answer.extend(content);
    }
    answer
}

/// The file meant by the path of a URL; none when it leads out.
fn local(root: &Path, path: &str) -> Option<PathBuf> {
    let path = path.split(['?', '#']).next()?.trim_start_matches('/');
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| root.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(url: &str, path: &str) -> Result<String> {
        crate::process::words(&["curl", "-sSf", &format!("{url}{path}")])
    }

    #[test]
    fn files_are_served_until_told_to_fail() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), "content").unwrap();
        let server = Server::start(folder.path()).unwrap();
        assert_eq!(get(&server.url(), "/x").unwrap(), "content");
        assert!(get(&server.url(), "/y").is_err());
        server.fail_after(0);
        assert!(get(&server.url(), "/x").is_err());
        server.mend();
        server.fail_with(503);
        assert!(get(&server.url(), "/x").is_err());
        server.mend();
        assert_eq!(get(&server.url(), "/x").unwrap(), "content");
        assert_eq!(server.count(), 5);
        assert_eq!(server.asked(), ["/x", "/y", "/x", "/x", "/x"]);
        assert_eq!(server.count(), 0);
    }

    #[test]
    fn an_answer_can_be_made_up() {
        let answer = |head: &str| format!("HTTP/1.0 200 OK\r\n\r\n{}", head.len() > 20).into_bytes();
        let server = Server::answering(answer).unwrap();
        assert_eq!(get(&server.url(), "/x").unwrap(), "true");
        assert_eq!(server.asked(), ["/x"]);
    }

    #[test]
    fn nothing_outside_is_served() {
        assert_eq!(local(Path::new("/r"), "/../x"), None);
        assert_eq!(local(Path::new("/r"), "//a/./b?c"), Some(PathBuf::from("/r/a/./b")));
    }
}
