//! A client, its objects, and the time.

use std::collections::BTreeMap;

use coap_lite::{MessageType, Packet};
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::time::Millis;
use scomo_lwm2m_proto::{Client, Config, Event, Input, Output, Peer};

use crate::tree::Tree;
use crate::wire::{Build, Look, reply};

pub struct World {
    pub client: Client,
    pub tree: Tree,
    pub now: u64,
    /// What the client sent and nobody has looked at.
    pub sent: BTreeMap<u16, Vec<Packet>>,
    pub events: Vec<Event>,
    pub connects: Vec<(u16, u64)>,
    pub closed: Vec<u16>,
    /// What to answer when the client wants an association: resumed or not; none: it cannot be opened.
    pub connect: Option<bool>,
    next_id: u16,
}

impl World {
    pub fn new(tree: Tree) -> Self {
        Self::with(tree, Config::new("test"))
    }

    pub fn with(tree: Tree, config: Config) -> Self {
        let client = Client::new(config, 42).unwrap();
        Self {
            client,
            tree,
            now: 1000,
            sent: BTreeMap::new(),
            events: Vec::new(),
            connects: Vec::new(),
            closed: Vec::new(),
            connect: Some(true),
            next_id: 0,
        }
    }

    /// A client that server 1 has registered in version 1.1.
    pub fn registered() -> Self {
        Self::registered_with(Tree::new().server(1), Config::new("test"))
    }

    pub fn registered_with(tree: Tree, config: Config) -> Self {
        let mut world = Self::with(tree, config);
        world.input(Input::Tick);
        world.accept_registration(1);
        world
    }

    /// Answers the Register that server `peer` has got.
    pub fn accept_registration(&mut self, peer: u16) -> Packet {
        let register = self.take_one(peer);
        assert_eq!(register.texts(11), ["rd"]);
        let created = reply(&register, 0x41).option(8, b"rd").option(8, b"5a3f");
        self.receive(peer, &created);
        register
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.client.handle(Millis(self.now), input, &mut self.tree);
        self.drain();
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.client.output() {
            match output {
                Output::Datagram { peer, bytes } => {
                    assert!(bytes.len() <= 1280, "it fits every network");
                    self.sent.entry(peer.0).or_default().push(Packet::from_bytes(&bytes).unwrap());
                }
                Output::Connect { peer, .. } => {
                    self.connects.push((peer.0, self.now));
                    let input = match self.connect {
                        Some(resumed) => Input::Connected { peer, resumed },
                        None => Input::Disconnected { peer },
                    };
                    self.client.handle(Millis(self.now), input, &mut self.tree);
                }
                Output::Close { peer } => self.closed.push(peer.0),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// A datagram from a server.
    pub fn receive(&mut self, peer: u16, packet: &Packet) {
        self.receive_bytes(peer, &packet.to_bytes_unlimited().unwrap());
    }

    pub fn receive_bytes(&mut self, peer: u16, bytes: &[u8]) {
        self.input(Input::Datagram { peer: Peer(peer), bytes });
    }

    /// Lets time pass, and what is due happen.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        let mut stuck = 0;
        while let Some(Millis(due)) = self.client.deadline().filter(|due| due.0 <= end) {
            stuck = if due <= self.now { stuck + 1 } else { 0 };
            assert!(stuck < 10, "a deadline that has come goes away");
            self.now = self.now.max(due);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    /// What the client has sent to a server since the last look.
    pub fn take(&mut self, peer: u16) -> Vec<Packet> {
        self.sent.remove(&peer).unwrap_or_default()
    }

    pub fn take_one(&mut self, peer: u16) -> Packet {
        let mut all = self.take(peer);
        assert_eq!(all.len(), 1, "{all:?} {:?}", self.events);
        all.remove(0)
    }

    /// A message id that was not used.
    pub fn fresh(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// A request of server 1, and its answer, which comes at once.
    pub fn ask(&mut self, request: Packet) -> Packet {
        self.ask_from(1, request)
    }

    pub fn ask_from(&mut self, peer: u16, request: Packet) -> Packet {
        let id = self.fresh();
        let token = if request.get_token().is_empty() {
            id.to_be_bytes().to_vec()
        } else {
            request.get_token().to_vec()
        };
        let request = request.id(id).token(&token);
        self.receive(peer, &request);
        let sent = self.sent.entry(peer).or_default();
        let answers = |packet: &Packet| {
            packet.header.get_type() == MessageType::Acknowledgement && packet.header.message_id == id
        };
        let at = sent.iter().position(answers).expect("there is an answer");
        let answer = sent.remove(at);
        assert_eq!(answer.get_token(), token);
        answer
    }

    /// A resource has another value now.
    pub fn change(&mut self, path: Path, resource: scomo_lwm2m_proto::value::Resource) {
        self.tree.set(path, resource);
        self.input(Input::Changed(path));
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
