//! A small HTTP server for static files, which can be told to fail.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// A client that says nothing for so long is gone.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request head.
const HEAD_BYTES_MAX: u64 = 16 * 1024;

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    ended: AtomicBool,
    /// Requests that are still answered; afterwards the connection is cut without an answer.
    budget: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Server {
    /// Serves the files below `root` on an unused port of loopback.
    pub fn start(root: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let address = listener.local_addr().context("the listener has no address")?;
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            ended: AtomicBool::new(false),
            budget: AtomicUsize::new(usize::MAX),
            asked: Mutex::default(),
        });
        let server = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || accept(&listener, &shared));
        Ok(server)
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

    /// Answers everything again.
    pub fn mend(&self) {
        self.fail_after(usize::MAX);
    }

    /// The paths that were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
fn talk(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.path.clone());
        let allowed = shared.budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            if left == usize::MAX { Some(left) } else { left.checked_sub(1) }
        });
        if allowed.is_err() {
            return stream.shutdown(std::net::Shutdown::Both);
        }
        answer(stream, &shared.root, &request)?;
    }
    Ok(())
}

struct Request {
    method: String,
    path: String,
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Request>> {
    let mut head = reader.take(HEAD_BYTES_MAX);
    let mut first = String::new();
    if head.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" || line == "\n" {
            break;
        }
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    Ok(words.next().zip(words.next()).map(|(method, path)| Request { method, path }))
}

fn answer(mut stream: &TcpStream, root: &Path, request: &Request) -> std::io::Result<()> {
    let file = local(root, &request.path).and_then(|path| File::open(path).ok());
    let length =
        file.as_ref().and_then(|f| f.metadata().ok()).filter(std::fs::Metadata::is_file).map(|m| m.len());
    let (Some(mut file), Some(length)) = (file, length) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if request.method == "GET" {
        std::io::copy(&mut file, &mut stream)?;
    }
    Ok(())
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
        assert_eq!(get(&server.url(), "/x").unwrap(), "content");
        assert_eq!(server.asked(), ["/x", "/y", "/x", "/x"]);
    }

    #[test]
    fn nothing_outside_is_served() {
        assert_eq!(local(Path::new("/r"), "/../x"), None);
        assert_eq!(local(Path::new("/r"), "//a/./b?c"), Some(PathBuf::from("/r/a/./b")));
    }
}
