//! OMA DM 1.2 as a device speaks it: messages in XML and WBXML, whole sessions, authentication, notifications.
//!
//! Sans-IO: bytes, time and answers of the user go in; messages to send, questions and events come out. There is no
//! socket, clock, file, thread or randomness in here, and nothing about what the nodes of the tree mean.
//!
//! - [`Session`] runs one session against the caller's [`Tree`]; start with [`Config`].
//! - [`Notification`] reads package #0, with which a server asks for a session.
//! - [`decode`] and [`encode`] are the codec alone, for servers in tests; [`message`] is its model.
//! - [`limits`] says what of a server's is too much.
//!
//! # Driving a session
//!
//! Hand in an [`Input`], then take every [`Output`] in order, until [`Output::Done`]:
//!
//! ```
//! # use std::time::Duration;
//! # use scomo_syncml::*;
//! # use scomo_syncml::message::Format;
//! # struct Device;
//! impl Tree for Device {
//!     fn get(&mut self, node: &NodeUri) -> Result<Node, Code> {
//!         match node.as_str() {
//!             "." => Ok(Node { mime: None, content: Content::Interior(vec!["Greeting".to_owned()]) }),
//!             "./Greeting" => Ok(Node { mime: None, content: Content::Leaf(Format::Chr, b"hello".to_vec()) }),
//!             _ => Err(Code::NOT_FOUND),
//!         }
//!     }
//!     // Refusals for everything else.
//! #   fn add(&mut self, _: &NodeUri, _: Value) -> Result<(), Refusal> { Err(Code::NOT_ALLOWED.into()) }
//! #   fn replace(&mut self, _: &NodeUri, _: Value) -> Result<(), Refusal> { Err(Code::NOT_ALLOWED.into()) }
//! #   fn delete(&mut self, _: &NodeUri) -> Result<(), Code> { Err(Code::NOT_ALLOWED) }
//! }
//!
//! fn run(
//!     config: Config,
//!     reports: Vec<Alert>,
//!     now: impl Fn() -> Duration,
//!     mut post: impl FnMut(&Outgoing) -> Option<(Vec<u8>, Option<String>)>,
//! ) -> Result<(), SessionError> {
//!     let mut session = Session::new(config);
//!     for report in reports {
//!         session.report(report).expect("our reports are text");
//!     }
//!     session.handle(now(), Input::Start, &mut Device);
//!     loop {
//!         match session.poll() {
//!             // A real client checks the URI, sends with the content type and HMAC header, and limits the answer's size.
//!             Some(Output::Send(message)) => match post(&message) {
//!                 Some((body, hmac)) => {
//!                     let input = Input::Message { body: &body, hmac: hmac.as_deref() };
//!                     session.handle(now(), input, &mut Device);
//!                 }
//!                 None => session.handle(now(), Input::Lost, &mut Device),
//!             },
//!             Some(Output::Ask(_)) => session.handle(now(), Input::Answer(Answer::Unsupported), &mut Device),
//!             // Store nonces; forget reports that were accepted. Both before the next input.
//!             Some(Output::Event(event)) => println!("{event:?}"),
//!             Some(Output::Done(result)) => return result,
//!             // Nothing is under way but the session waits: its answer was a duplicate, and no other will come.
//!             None => session.handle(now(), Input::Lost, &mut Device),
//!         }
//!     }
//! }
//! # let config = Config {
//! #     device_id: "urn:test:dev1".to_owned(), server_uri: "https://dm.example/dm".to_owned(),
//! #     encoding: Encoding::Wbxml, string_table: false, session_id: session_id_text(1), server_initiated: false,
//! #     device_info: vec![("./DevInfo/DevId".to_owned(), "urn:test:dev1".to_owned())],
//! #     client: None, server: None, max_message: 16 << 10, max_object: 1 << 20,
//! #     response_timeout: Duration::from_secs(60), interaction_timeout: Duration::from_secs(60),
//! #     messages_max: 1000, seed: [0; 32],
//! # };
//! # let mut bodies = Vec::new();
//! # let result = run(config, Vec::new(), || Duration::ZERO, |message| { bodies.push(message.body.clone()); None });
//! # assert!(matches!(result, Err(SessionError::Lost)) && bodies.len() == 1);
//! ```
//!
//! A caller that does not block keeps to [`Session::deadline`] and hands in [`Input::Time`] when it comes.
//!
//! # What the caller must do
//!
//! - Fill [`Config::seed`] from the system's random source, and never twice with the same.
//! - Check scheme and host of [`Outgoing::uri`]: after the first message the server chooses it.
//! - Store what [`Event::ClientNonce`] and [`Event::ServerNonce`] bring with the account.
//! - Keep every [`Alert`] until [`Event::AlertAccepted`] or [`Event::AlertRefused`], over restarts, and give it to the
//!   next session.
//! - Give a session one [`Tree`] that knows the rights of the server that the session is with.
//!
//! # Choices of ours
//!
//! Where the texts name no code or are silent: a malformed URI is 400; a piece of a large object inside an Atomic is
//! 412; a group inside an Atomic is refused as a Get is; the answers of an Atomic may be spread over messages, so 517
//! is never sent; a message that arrived before, or that answers an older message of ours, is ignored; nothing of a
//! message is carried out when one of its commands lacks its `CmdID`.

pub mod auth;
mod base64;
mod code;
mod codec;
mod error;
mod interaction;
pub mod limits;
pub mod message;
mod notification;
mod session;
mod tag;
mod tnds;
mod tree;
mod uri;

pub use code::{Code, alert};
pub use codec::{Encoding, decode, decode_tnds, encode, encode_tnds};
pub use error::SyncmlError;
pub use interaction::{Answer, InputType, Interaction, Kind};
pub use notification::{Notification, UiMode, session_id_text};
pub use session::{
    Alert, ClientLogin, Config, Event, Input, Instant, Outgoing, Output, ServerLogin, Session, SessionError,
};
pub use tnds::{Tnds, TndsNode};
pub use tree::{Content, Executed, Execution, Listed, Node, Object, Refusal, Tree, Value};
pub use uri::{NodeUri, Property, Query, Selection};
