//! Large objects that a server sends in pieces. Values go to the tree piece by piece; what the session itself must
//! understand, a serialized tree or the argument of an Exec, is gathered in memory within a small limit.

use super::values::About;
use crate::base64;
use crate::code::{Code, alert};
use crate::limits::{ARGUMENT_BYTES_MAX, TNDS_BYTES_MAX};
use crate::message::{Item, Location, Request, Verb};
use crate::tree::{Object, Refusal, Tree};
use crate::uri::Query;

/// The object under way, if any.
#[derive(Debug, Default)]
pub(super) struct Objects {
    current: Option<Incoming>,
    /// What the server must be told about broken ones.
    alerts: Vec<Request>,
}

#[derive(Debug)]
struct Incoming {
    verb: Verb,
    target: Option<Location>,
    source: Option<Location>,
    size: u64,
    received: u64,
    sink: Sink,
    /// A piece of it was in the message at hand.
    fresh: bool,
}

#[derive(Debug)]
enum Sink {
    /// Nothing more is kept: this is the code for every further piece.
    Refused(Code),
    Memory(Vec<u8>),
    Tree(Option<base64::Stream>),
}

impl Objects {
    /// Whether pieces are missing.
    pub(super) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// A new message begins.
    pub(super) fn begin_message(&mut self) {
        if let Some(current) = &mut self.current {
            current.fresh = false;
        }
    }

    /// A request is about to be carried out. When it is not the next piece, the object is broken.
    pub(super) fn before(&mut self, tree: &mut dyn Tree, request: &Request) {
        let first = request.items.first();
        let next = |current: &Incoming| {
            request.verb == current.verb && first.is_some_and(|item| current.is_for(item))
        };
        if !self.current.as_ref().is_none_or(next) {
            self.break_off(tree);
        }
    }

    /// The message is over. When it brought no piece, the object is broken.
    pub(super) fn end_message(&mut self, tree: &mut dyn Tree) {
        if self.current.as_ref().is_some_and(|current| !current.fresh) {
            self.break_off(tree);
        }
    }

    /// Drops the object, and notes that the server must be told.
    pub(super) fn break_off(&mut self, tree: &mut dyn Tree) {
        let Some(Incoming { target, source, sink, .. }) = self.current.take() else { return };
        drop_object(tree, &sink);
        let mut alert = Request::alert(alert::NO_END_OF_DATA);
        alert.items.push(Item { target, source, ..Item::default() });
        self.alerts.push(alert);
    }

    /// What the server must be told about broken objects.
    pub(super) fn take_alerts(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.alerts)
    }

    /// Takes an item. `Ok(None)` says that the item is whole, also because this was its last piece and `item` now has
    /// all of its data; `Ok(Some)` that everything was done for it.
    pub(super) fn receive(
        &mut self,
        tree: &mut dyn Tree,
        request: &Request,
        item: &mut Item,
        max_object: u64,
    ) -> Result<Option<Code>, Refusal> {
        if self.current.as_ref().is_some_and(|current| !current.is_for(item)) {
            self.break_off(tree);
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None if item.more => Incoming::open(tree, request, item, max_object)?,
            None if length(item) > max_object => return Err(Code::TOO_LARGE.into()),
            None => return Ok(None),
        };
        current.fresh = true;
        current.take(tree, item);
        if item.more {
            let code = if let Sink::Refused(code) = current.sink { code } else { Code::CHUNK_STORED };
            self.current = Some(current);
            return Ok(Some(code));
        }
        current.finish(tree, item)
    }
}

impl Incoming {
    fn is_for(&self, item: &Item) -> bool {
        let uri = |location: &Option<Location>| location.as_ref().map(|location| location.uri.clone());
        uri(&self.target) == uri(&item.target)
    }

    /// The first piece.
    fn open(tree: &mut dyn Tree, request: &Request, item: &Item, max_object: u64) -> Result<Self, Refusal> {
        let about = About::new(request, item);
        let mut current = Self {
            verb: request.verb.clone(),
            target: item.target.clone(),
            source: item.source.clone(),
            size: about.size.unwrap_or(0),
            received: 0,
            sink: Sink::Refused(Code::SIZE_REQUIRED),
            fresh: true,
        };
        if about.size.is_some() {
            let sink = current.sink(tree, request, &about, max_object);
            current.sink = sink.unwrap_or_else(|refusal| Sink::Refused(refusal.code));
        }
        Ok(current)
    }

    fn sink(
        &self,
        tree: &mut dyn Tree,
        request: &Request,
        about: &About,
        max_object: u64,
    ) -> Result<Sink, Refusal> {
        let target = self.target.as_ref().ok_or(Code::INCOMPLETE)?;
        let (node, query) = Query::parse(&target.uri)?;
        let gathered = match (about.is_tnds(), request.verb == Verb::Exec || query != Query::Node) {
            (_, true) => Some(ARGUMENT_BYTES_MAX),
            (true, _) => Some(TNDS_BYTES_MAX),
            _ => None,
        };
        if self.size > max_object.min(gathered.unwrap_or(u64::MAX)) {
            return Err(Code::TOO_LARGE.into());
        }
        if gathered.is_some() {
            return Ok(Sink::Memory(Vec::new()));
        }
        let add = request.verb == Verb::Add;
        let object = Object { add, format: about.node_format()?, mime: about.mime.clone(), size: self.size };
        tree.open_object(&node, &object)?;
        Ok(Sink::Tree(about.is_base64().then(base64::Stream::default)))
    }

    /// One more piece.
    fn take(&mut self, tree: &mut dyn Tree, item: &mut Item) {
        let piece = item.data.take().unwrap_or_default();
        self.received = self.received.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let stored = if self.received > self.size {
            // An object larger than announced is not gathered up to its end.
            Err(Code::SIZE_MISMATCH)
        } else {
            match &mut self.sink {
                Sink::Refused(_) => Ok(()),
                Sink::Memory(bytes) => {
                    bytes.extend(piece);
                    Ok(())
                }
                Sink::Tree(None) => tree.write_object(&piece),
                Sink::Tree(Some(stream)) => match stream.push(&piece) {
                    Some(bytes) => tree.write_object(&bytes),
                    None => Err(Code::BAD_REQUEST),
                },
            }
        };
        if let Err(code) = stored {
            self.refuse(tree, code);
        }
    }

    fn refuse(&mut self, tree: &mut dyn Tree, code: Code) {
        if !matches!(self.sink, Sink::Refused(_)) {
            drop_object(tree, &self.sink);
            self.sink = Sink::Refused(code);
        }
    }

    /// The last piece was taken.
    fn finish(mut self, tree: &mut dyn Tree, item: &mut Item) -> Result<Option<Code>, Refusal> {
        if self.received != self.size {
            self.refuse(tree, Code::SIZE_MISMATCH);
        }
        match self.sink {
            Sink::Refused(code) => Err(code.into()),
            Sink::Memory(bytes) => {
                item.data = Some(bytes);
                Ok(None)
            }
            Sink::Tree(stream) => {
                let written = match stream.map(base64::Stream::finish) {
                    None => Ok(()),
                    Some(Some(rest)) => tree.write_object(&rest),
                    Some(None) => Err(Code::BAD_REQUEST),
                };
                if let Err(code) = written {
                    drop_object(tree, &Sink::Tree(None));
                    return Err(code.into());
                }
                tree.close_object(true)?;
                Ok(Some(Code::OK))
            }
        }
    }
}

fn drop_object(tree: &mut dyn Tree, sink: &Sink) {
    if matches!(sink, Sink::Tree(_)) {
        // A broken object changes nothing; that its remains cannot be removed is not the server's business.
        let _ = tree.close_object(false);
    }
}

fn length(item: &Item) -> u64 {
    item.data.as_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX))
}
