//! A small HTTP server for static files that remembers what it was asked for and can be told to fail.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Requests that are still answered; then the server is gone: connections are closed without an answer.
    budget: AtomicUsize,
    /// Answered instead of every file that is not the summary or the like; zero: none.
    status: AtomicUsize,
    /// How long each answer takes.
    delay_ms: AtomicUsize,
    ended: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl Server {
    /// Serves the files below `root` on an unused port of loopback.
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            budget: AtomicUsize::new(usize::MAX),
            status: AtomicUsize::new(0),
            delay_ms: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            asked: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                if served.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&served);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers so many requests more, and none afterwards.
    pub fn fail_after(&self, requests: usize) {
        self.shared.budget.store(requests, Ordering::SeqCst);
    }

    /// Answers everything with this status; zero: as usual.
    pub fn answer(&self, status: usize) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Takes so long for every answer.
    pub fn slow(&self, delay: Duration) {
        self.shared.delay_ms.store(usize::try_from(delay.as_millis()).expect("short"), Ordering::SeqCst);
    }

    /// The paths that were asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked.lock().expect("lock"))
    }

    /// How many requests there were since the last call of [`Server::asked`].
    pub fn count(&self) -> usize {
        self.shared.asked.lock().expect("lock").len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut path, mut line) = (None, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(rest) = line.strip_prefix("GET ") {
                path = rest.split(' ').next().map(str::to_owned);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let Some(path) = path else { return };
        shared.asked.lock().expect("lock").push(path.clone());
        thread::sleep(Duration::from_millis(shared.delay_ms.load(Ordering::SeqCst) as u64));
        let left = shared.budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return;
        }
        let status = shared.status.load(Ordering::SeqCst);
        let file =
            (status == 0).then(|| fs::read(shared.root.join(path.trim_start_matches('/'))).ok()).flatten();
        let (status, body) = match file {
            Some(body) => (200, body),
            None => (if status == 0 { 404 } else { status }, Vec::new()),
        };
        let mut answer =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend(body);
        if reader.get_mut().write_all(&answer).is_err() {
            return;
        }
    }
}
