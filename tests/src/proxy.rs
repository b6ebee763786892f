//! A TCP proxy that breaks the connection after so many bytes: a server that goes away half-way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};

/// A running proxy; it ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: String,
    ended: AtomicBool,
    /// Bytes that may still go to the client; then every connection is cut, and new ones are at once.
    budget: AtomicU64,
}

impl Proxy {
    /// Passes connections on to `target`, `host:port`.
    pub fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let address = listener.local_addr().context("the listener has no address")?;
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            ended: AtomicBool::new(false),
            budget: AtomicU64::new(u64::MAX),
        });
        let proxy = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || accept(&listener, &shared));
        Ok(proxy)
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lets `bytes` more bytes through to clients, then cuts every connection.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.budget.store(bytes, Ordering::SeqCst);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.cut_after(u64::MAX);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let Ok(server) = TcpStream::connect(&shared.target) else { continue };
        if let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) {
            std::thread::spawn(move || drop(pass(from, to, |_| true)));
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || drop(pass(server, client, |bytes| take(&shared.budget, bytes))));
    }
}

/// Copies until either side ends or `allowed` says no; then closes both.
fn pass(mut from: TcpStream, mut to: TcpStream, allowed: impl Fn(usize) -> bool) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if !allowed(read) || to.write_all(bytes).is_err() {
            break;
        }
    }
    // Either may be closed by its peer already.
    let _ = from.shutdown(Shutdown::Both);
    to.shutdown(Shutdown::Both)
}

/// Takes `bytes` from the budget; false when there are not so many left.
fn take(budget: &AtomicU64, bytes: usize) -> bool {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let less = |left: u64| if left == u64::MAX { Some(left) } else { left.checked_sub(bytes) };
    let taken = budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
    if !taken {
        budget.store(0, Ordering::SeqCst);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Server;

    #[test]
    fn a_proxy_cuts_after_its_budget() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), vec![b'x'; 100_000]).unwrap();
        let server = Server::start(folder.path()).unwrap();
        let proxy = Proxy::start(server.url().trim_start_matches("http://")).unwrap();
        let get = || crate::process::words(&["curl", "-sSf", &format!("http://{}/x", proxy.address())]);
        assert_eq!(get().unwrap().len(), 100_000);
        proxy.cut_after(50_000);
        assert!(get().is_err());
        assert!(get().is_err());
        proxy.mend();
        assert_eq!(get().unwrap().len(), 100_000);
    }
}
