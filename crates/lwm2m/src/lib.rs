//! The protocol of an LwM2M 1.0 and 1.1 client, without sockets, clocks and threads.
//!
//! A [`Client`] registers with the servers that objects 0 and 1 describe, bootstraps when there are none, and serves
//! their requests. It is driven: [`Client::handle`] takes one [`Input`] and the time, [`Client::output`] gives what
//! is to be done, [`Client::deadline`] says when time alone is an input. The objects are the caller's, behind the
//! trait [`Objects`]; their tables of resources are constants of [`model`]. What is large arrives piece by piece
//! ([`Objects::open`]) and is whole or not at all.
//!
//! A front-end over plain UDP is this loop; with DTLS, `connect` also makes the handshake, and says whether the
//! session was resumed:
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use std::io::{Error, ErrorKind};
//! use std::net::UdpSocket;
//! use std::time::{Duration, Instant};
//!
//! use scomo_lwm2m_proto::time::Millis;
//! use scomo_lwm2m_proto::{Client, Config, Event, Input, Objects, Output, Peer};
//!
//! fn run(config: Config, seed: u64, objects: &mut dyn Objects) -> Result<(), Error> {
//!     let start = Instant::now();
//!     let now = || Millis(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
//!     let mut client = Client::new(config, seed).map_err(Error::other)?;
//!     let mut sockets: BTreeMap<Peer, UdpSocket> = BTreeMap::new();
//!     client.handle(now(), Input::Tick, objects);
//!     loop {
//!         while let Some(output) = client.output() {
//!             match output {
//!                 Output::Connect { peer, uri } => match connect(&uri) {
//!                     Ok(socket) => {
//!                         sockets.insert(peer, socket);
//!                         client.handle(now(), Input::Connected { peer, resumed: true }, objects);
//!                     }
//!                     Err(_) => client.handle(now(), Input::Disconnected { peer }, objects),
//!                 },
//!                 Output::Datagram { peer, bytes } => {
//!                     // A datagram that cannot be sent is one that was lost.
//!                     let _ = sockets.get(&peer).map(|socket| socket.send(&bytes));
//!                 }
//!                 Output::Close { peer } => drop(sockets.remove(&peer)),
//!                 Output::Event(Event::Stopped) => return Ok(()),
//!                 Output::Event(event) => println!("{event:?}"),
//!             }
//!         }
//!         // A real front-end waits for all sockets and the deadline at once.
//!         let mut buffer = [0; 1501];
//!         for (peer, socket) in &sockets {
//!             if let Ok(length) = socket.recv(&mut buffer) {
//!                 let bytes = buffer.get(..length).unwrap_or_default();
//!                 client.handle(now(), Input::Datagram { peer: *peer, bytes }, objects);
//!             }
//!         }
//!         if client.deadline().is_some_and(|deadline| deadline <= now()) {
//!             client.handle(now(), Input::Tick, objects);
//!         }
//!     }
//! }
//!
//! fn connect(uri: &str) -> Result<UdpSocket, Error> {
//!     let address = uri.strip_prefix("coap://").ok_or(ErrorKind::Unsupported)?;
//!     let socket = UdpSocket::bind("0.0.0.0:0")?;
//!     socket.connect(address)?;
//!     socket.set_read_timeout(Some(Duration::from_millis(50)))?;
//!     Ok(socket)
//! }
//! ```
//!
//! What the objects change by themselves, they report with [`Input::Changed`]; what takes them long, they answer with
//! [`Reply::Later`] and [`Input::Completed`]. Everything that comes from a server has a limit in [`limits`].
//!
//! The factory bootstrap is the caller's: whatever is in objects 0 and 1 at the first input counts. Accounts that
//! come later, by another way than a bootstrap, count for the next client.
//!
//! Not here: sockets, DTLS, names of hosts, files, and any object's meaning. Not supported: smart cards, OSCORE,
//! transports other than datagrams, content formats and attributes of 1.2, and timestamps in what is sent.
//!
//! Where the texts of LwM2M leave something open, the comment at the place says what is our choice.

pub mod access;
mod account;
mod args;
mod attributes;
mod client;
mod coap;
pub mod format;
pub mod limits;
pub mod model;
mod objects;
pub mod path;
pub mod time;
pub mod value;

pub use args::{Arguments, InvalidArguments};
pub use client::{Client, Config, Event, Input, InvalidConfig, NotSent, Output, Peer, SendId, Version};
pub use objects::{CallId, Mode, Objects, Operation, Origin, Refusal, Reply, Transaction, UploadId, Write};
