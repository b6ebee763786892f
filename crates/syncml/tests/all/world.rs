//! A session, its tree, and a server that says what a test tells it, in virtual time.

use std::time::Duration;

use scomo_syncml::message::{Command, Format, Header, Item, Location, Message, Meta, Request, Status, Verb};
use scomo_syncml::{
    Alert, Answer, Code, Config, Encoding, Event, Input, Interaction, Outgoing, Output, Session,
    SessionError, decode, encode,
};

use crate::external;
use crate::tree::MemTree;

pub const BOTH: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];
pub const SERVER: &str = "https://dm.example/dm";
pub const DEVICE: &str = "urn:test:dev1";

pub fn config(encoding: Encoding) -> Config {
    Config {
        device_id: DEVICE.to_owned(),
        server_uri: SERVER.to_owned(),
        encoding,
        string_table: false,
        session_id: "A1".to_owned(),
        server_initiated: false,
        device_info: vec![
            ("./DevInfo/DevId".to_owned(), DEVICE.to_owned()),
            ("./DevInfo/Lang".to_owned(), "en".to_owned()),
        ],
        client: None,
        server: None,
        max_message: 16_384,
        max_object: 100_000,
        response_timeout: Duration::from_secs(30),
        interaction_timeout: Duration::from_secs(60),
        messages_max: 200,
        seed: [1; 32],
    }
}

pub struct World {
    pub session: Session,
    pub tree: MemTree,
    pub now: Duration,
    pub encoding: Encoding,
    /// Number of the server's last message.
    pub message: u32,
    pub events: Vec<Event>,
    pub asked: Vec<Interaction>,
    pub done: Option<Result<(), SessionError>>,
    /// The last message of the client.
    pub sent: Option<(Outgoing, Message)>,
    pub messages: usize,
    /// Whether what the client sends is validated by a program of its own.
    validate: bool,
}

/// What the server says next.
#[derive(Debug, Clone)]
pub struct Reply {
    pub header: Header,
    pub code: Code,
    pub chal: Option<Meta>,
    pub requests: Vec<Request>,
    /// Statuses for the client's commands; what is not named here gets 200.
    pub codes: Vec<(String, Code)>,
    pub last: bool,
    pub hmac: Option<String>,
}

impl World {
    pub fn new(config: Config) -> Self {
        let encoding = config.encoding;
        Self {
            session: Session::new(config),
            tree: MemTree::new(),
            now: Duration::from_secs(1000),
            encoding,
            message: 0,
            events: Vec::new(),
            asked: Vec::new(),
            done: None,
            sent: None,
            messages: 0,
            validate: encoding == Encoding::Xml,
        }
    }

    /// A session whose messages are not validated, for tests that make thousands of them.
    pub fn unchecked(encoding: Encoding) -> Self {
        let mut world = Self { validate: false, ..Self::new(config(encoding)) };
        world.input(Input::Start);
        world
    }

    /// A session without authentication whose first message was sent.
    pub fn started(encoding: Encoding) -> Self {
        let mut world = Self::new(config(encoding));
        world.input(Input::Start);
        world
    }

    pub fn input(&mut self, input: Input<'_>) {
        assert!(self.done.is_none(), "the session is over: {:?}", self.done);
        self.session.handle(self.now, input, &mut self.tree);
        while let Some(output) = self.session.poll() {
            assert!(self.done.is_none(), "something follows the end");
            match output {
                Output::Send(outgoing) => self.take(outgoing),
                Output::Ask(interaction) => self.asked.push(interaction),
                Output::Event(event) => self.events.push(event),
                Output::Done(done) => self.done = Some(done),
            }
        }
        assert!(self.done.is_none() || !self.tree.in_transaction(), "a transaction is left behind");
    }

    fn take(&mut self, outgoing: Outgoing) {
        if self.validate {
            external::validate(&outgoing.body);
        }
        assert_eq!(outgoing.content_type, self.encoding.content_type());
        let message = decode(&outgoing.body, self.encoding).unwrap();
        self.messages += 1;
        assert_eq!(message.header.msg_id, self.messages.to_string());
        assert_eq!(message.header.target.uri, outgoing.uri);
        let ids = message.commands.iter().map(|command| match command {
            Command::Request(request) => &request.id,
            Command::Status(status) => &status.id,
            Command::Results(results) => &results.id,
        });
        for (id, number) in ids.zip(1..) {
            assert_eq!(*id, number.to_string(), "command ids");
        }
        self.sent = Some((outgoing, message));
    }

    pub fn body(&self) -> &Message {
        &self.sent.as_ref().unwrap().1
    }

    pub fn bytes(&self) -> usize {
        self.sent.as_ref().unwrap().0.body.len()
    }

    /// The next message of a server that is content and knows no more.
    pub fn reply(&self) -> Reply {
        let header = Header {
            ver_dtd: "1.2".to_owned(),
            ver_proto: "DM/1.2".to_owned(),
            session_id: self.body().header.session_id.clone(),
            msg_id: (self.message + 1).to_string(),
            target: Location::new(DEVICE),
            source: Location::new(SERVER),
            ..Header::default()
        };
        let (code, requests, codes) = (Code::OK, Vec::new(), Vec::new());
        Reply { header, code, chal: None, requests, codes, last: true, hmac: None }
    }

    /// The bytes of a reply.
    pub fn encode(&self, reply: &Reply) -> Vec<u8> {
        let asked = self.body();
        let mut commands = vec![Command::Status(Status {
            id: "1".to_owned(),
            msg_ref: Some(asked.header.msg_id.clone()),
            cmd_ref: "0".to_owned(),
            cmd: "SyncHdr".to_owned(),
            chal: reply.chal.clone(),
            code: reply.code,
            ..Status::default()
        })];
        for command in &asked.commands {
            let (id, cmd) = match command {
                Command::Request(request) => (&request.id, request.verb.name()),
                Command::Results(results) => (&results.id, "Results"),
                Command::Status(_) => continue,
            };
            let code = reply.codes.iter().find(|(name, _)| name == cmd).map_or(Code::OK, |(_, code)| *code);
            commands.push(Command::Status(Status {
                id: (commands.len() + 1).to_string(),
                msg_ref: Some(asked.header.msg_id.clone()),
                cmd_ref: id.clone(),
                cmd: cmd.to_owned(),
                code,
                ..Status::default()
            }));
        }
        let mut number = 100;
        for request in &reply.requests {
            let mut request = request.clone();
            set_ids(&mut request, &mut number);
            commands.push(Command::Request(request));
        }
        encode(&Message { header: reply.header.clone(), commands, last: reply.last }, self.encoding).unwrap()
    }

    pub fn send(&mut self, reply: &Reply) {
        let body = self.encode(reply);
        self.message += 1;
        self.input(Input::Message { body: &body, hmac: reply.hmac.as_deref() });
    }

    /// The server is content, and asks for this.
    pub fn serve(&mut self, requests: Vec<Request>) {
        self.send(&Reply { requests, ..self.reply() });
    }

    /// The same, and more will come before it is done.
    pub fn serve_more(&mut self, requests: Vec<Request>) {
        self.send(&Reply { requests, last: false, ..self.reply() });
    }

    /// The server has nothing more to say, and the session ends well.
    pub fn end(&mut self) {
        self.serve(Vec::new());
        assert!(matches!(self.done, Some(Ok(()))), "{:?}", self.done);
    }

    /// What the client's last message says, one short text for each command.
    pub fn said(&self) -> Vec<String> {
        let mut said: Vec<String> = self.body().commands.iter().map(short).collect();
        said.extend(self.body().last.then(|| "Final".to_owned()));
        said
    }

    /// The same without the status of the header and the end.
    pub fn answers(&self) -> Vec<String> {
        let noise = ["SyncHdr 200", "SyncHdr 212", "Final"];
        self.said().into_iter().filter(|said| !noise.contains(&said.as_str())).collect()
    }

    pub fn answer(&mut self, answer: Answer) {
        self.input(Input::Answer(answer));
    }

    pub fn error(&self) -> String {
        format!("{:?}", self.done.as_ref().expect("the session is over").as_ref().expect_err("an error"))
    }
}

fn set_ids(request: &mut Request, number: &mut u32) {
    *number += 1;
    if request.id.is_empty() {
        request.id = number.to_string();
    }
    request.inner.iter_mut().for_each(|inner| set_ids(inner, number));
}

fn short(command: &Command) -> String {
    match command {
        Command::Status(status) => {
            let items: String = status.items.iter().map(|item| format!(" [{}]", short_item(item))).collect();
            format!("{} {}{items}", status.cmd, status.code)
        }
        Command::Results(results) => {
            let items: Vec<String> = results.items.iter().map(short_item).collect();
            format!("Results {}", items.join(", "))
        }
        Command::Request(request) if request.verb == Verb::Alert => {
            let items: String = request.items.iter().map(|item| format!(" [{}]", short_item(item))).collect();
            format!("Alert {}{items}", request.data.as_deref().unwrap_or_default())
        }
        Command::Request(request) => request.verb.name().to_owned(),
    }
}

fn short_item(item: &Item) -> String {
    let uri = |location: &Option<Location>| location.as_ref().map(|l| l.uri.clone()).unwrap_or_default();
    let format =
        item.meta.as_ref().and_then(|meta| meta.format.as_ref()).map(Format::name).unwrap_or_default();
    let data = item.text().map(|text| format!("={text}")).unwrap_or_default();
    let more = if item.more { "..." } else { "" };
    format!(
        "{}{}{}{data}{more}",
        uri(&item.target),
        uri(&item.source),
        if format.is_empty() { String::new() } else { format!(":{format}") }
    )
}

pub fn item(target: &str, data: &str) -> Item {
    let data = (!data.is_empty()).then(|| data.as_bytes().to_vec());
    Item { target: Some(Location::new(target)), data, ..Item::default() }
}

pub fn request(verb: Verb, items: &[(&str, &str)]) -> Request {
    Request { items: items.iter().map(|(target, data)| item(target, data)).collect(), ..Request::new(verb) }
}

pub fn get(target: &str) -> Request {
    request(Verb::Get, &[(target, "")])
}

pub fn add(target: &str, data: &str) -> Request {
    request(Verb::Add, &[(target, data)])
}

pub fn replace(target: &str, data: &str) -> Request {
    request(Verb::Replace, &[(target, data)])
}

pub fn delete(target: &str) -> Request {
    request(Verb::Delete, &[(target, "")])
}

pub fn copy(source: &str, target: &str) -> Request {
    let mut request = request(Verb::Copy, &[(target, "")]);
    request.items[0].source = Some(Location::new(source));
    request
}

pub fn exec(target: &str, argument: &str) -> Request {
    request(Verb::Exec, &[(target, argument)])
}

pub fn group(verb: Verb, inner: Vec<Request>) -> Request {
    Request { inner, ..Request::new(verb) }
}

/// An alert with these texts as items.
pub fn alert(number: u16, texts: &[&str]) -> Request {
    let item = |text: &&str| Item { data: Some(text.as_bytes().to_vec()), ..Item::default() };
    Request { items: texts.iter().map(item).collect(), ..Request::alert(number) }
}

/// A report of the client's.
pub fn report(token: u64, data: &str) -> Alert {
    let item = Item {
        source: Some(Location::new("./SCM/X")),
        meta: Some(Box::new(Meta::typed(Format::Xml, "urn:oma:at:scomo:1.0:OperationComplete"))),
        data: Some(data.as_bytes().to_vec()),
        ..Item::default()
    };
    Alert { token, number: 1226, correlator: Some(format!("c{token}")), items: vec![item] }
}

/// A challenge.
pub fn chal(kind: &str, nonce: &str) -> Option<Meta> {
    let next_nonce = (!nonce.is_empty()).then(|| nonce.to_owned());
    Some(Meta { next_nonce, ..Meta::typed(Format::B64, kind) })
}
