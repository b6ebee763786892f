//! One item of one command against the tree.

use super::object::Objects;
use super::outbox;
use super::values::{self, About};
use crate::code::Code;
use crate::codec::{Encoding, decode_tnds};
use crate::limits::CORRELATOR_BYTES_MAX;
use crate::message::{Item, Location, Request, Verb};
use crate::tree::{Execution, Refusal, Tree};
use crate::uri::{NodeUri, Property, Query};

/// What became of an item.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: Code,
    pub(super) target: Option<String>,
    pub(super) source: Option<String>,
    /// What goes with the status.
    pub(super) items: Vec<Item>,
}

impl Outcome {
    /// The outcome for an item, with nothing but a code.
    pub(super) fn new(code: Code, item: Option<&Item>) -> Self {
        let uri = |location: Option<&Location>| location.map(|location| location.uri.clone());
        let target = uri(item.and_then(|item| item.target.as_ref()));
        let source = uri(item.and_then(|item| item.source.as_ref()));
        Self { code, target, source, items: Vec::new() }
    }
}

/// Where commands are carried out.
pub(super) struct Ops<'a> {
    pub(super) tree: &'a mut dyn Tree,
    pub(super) objects: &'a mut Objects,
    pub(super) encoding: Encoding,
    /// Largest object that we take.
    pub(super) max_object: u64,
    /// Largest object that the server takes.
    pub(super) peer_max_object: Option<u64>,
}

impl Ops<'_> {
    /// Carries out one item. What a Get found is added to `results`, unless it takes more memory than `room`.
    pub(super) fn perform(
        &mut self,
        request: &Request,
        mut item: Item,
        results: &mut Vec<Item>,
        room: &mut usize,
    ) -> Outcome {
        let mut outcome = Outcome::new(Code::OK, Some(&item));
        let done = match request.verb {
            Verb::Add | Verb::Replace | Verb::Exec => {
                self.objects.receive(self.tree, request, &mut item, self.max_object)
            }
            _ => Ok(None),
        };
        let done = match done {
            Ok(Some(code)) => Ok(code),
            Ok(None) if request.verb == Verb::Get => self.get(item, results, room),
            Ok(None) => self.run(request, item, &mut outcome.items),
            Err(refusal) => Err(refusal),
        };
        match done {
            Ok(code) => outcome.code = code,
            Err(refusal) => {
                outcome.code = refusal.code;
                let target = refusal.at.map(|at| Location::new(at.to_string()));
                outcome.items.extend(target.map(|target| Item { target: Some(target), ..Item::default() }));
            }
        }
        outcome
    }

    fn run(&mut self, request: &Request, item: Item, items: &mut Vec<Item>) -> Result<Code, Refusal> {
        let target = item.target.as_ref().ok_or(Code::INCOMPLETE)?;
        let (node, query) = Query::parse(&target.uri)?;
        match (&request.verb, query) {
            (Verb::Add, Query::Node) => self.write(request, &node, item),
            (Verb::Replace, Query::Node) => self.write(request, &node, item),
            (Verb::Replace, Query::Property(property)) => self.set_property(&node, property, &item),
            (Verb::Delete, Query::Node) => Ok(self.tree.delete(&node).map(|()| Code::OK)?),
            (Verb::Copy, Query::Node) => {
                let source = item.source.as_ref().ok_or(Code::INCOMPLETE)?;
                let (source, query) = Query::parse(&source.uri)?;
                if query != Query::Node {
                    return Err(Code::NOT_ALLOWED.into());
                }
                self.tree.copy(&source, &node).map(|()| Code::OK)
            }
            (Verb::Exec, Query::Node) => self.exec(request, &node, item, items),
            _ => Err(Code::NOT_ALLOWED.into()),
        }
    }

    fn get(&mut self, item: Item, results: &mut Vec<Item>, room: &mut usize) -> Result<Code, Refusal> {
        let asked = item.target.ok_or(Code::INCOMPLETE)?.uri;
        let (node, query) = Query::parse(&asked)?;
        let encoding = self.encoding;
        let found = match query {
            Query::Node => vec![values::node_item(asked, self.tree.get(&node)?, encoding)],
            Query::Property(property) => {
                vec![values::property_item(asked, self.tree.property(&node, property)?)]
            }
            Query::List { data } => {
                let listed = self.tree.list(&node, data)?.into_iter();
                listed.map(|listed| values::listed_item(listed, encoding)).collect()
            }
            Query::Tnds(selection) => {
                vec![values::tnds_item(asked, &self.tree.export(&node, &selection)?, encoding)]
            }
        };
        let size = |item: &Item| item.data.as_ref().map_or(0, Vec::len);
        let largest = u64::try_from(found.iter().map(size).max().unwrap_or(0)).unwrap_or(u64::MAX);
        let weight = found.iter().map(outbox::weight).sum();
        *room = match room.checked_sub(weight) {
            Some(left) if self.peer_max_object.is_none_or(|max| largest <= max) => left,
            _ => return Err(Code::TOO_LARGE.into()),
        };
        results.extend(found);
        Ok(Code::OK)
    }

    fn write(&mut self, request: &Request, node: &NodeUri, item: Item) -> Result<Code, Refusal> {
        let about = About::new(request, &item);
        if about.is_tnds() {
            let data = about.decoded(item.data)?.ok_or(Code::INCOMPLETE)?;
            let tnds = decode_tnds(&data).map_err(|_| Code::BAD_REQUEST)?;
            match request.verb {
                Verb::Add => self.tree.add_tree(node, tnds)?,
                _ => self.tree.replace_tree(node, tnds)?,
            }
            return Ok(Code::OK);
        }
        let value = about.value(item.data)?;
        match request.verb {
            Verb::Add => self.tree.add(node, value)?,
            _ => self.tree.replace(node, value)?,
        }
        Ok(Code::OK)
    }

    fn set_property(&mut self, node: &NodeUri, property: Property, item: &Item) -> Result<Code, Refusal> {
        if !property.is_writable() {
            return Err(Code::NOT_ALLOWED.into());
        }
        // No data empties an access control list.
        let value = if item.data.is_none() { Some("") } else { item.text() };
        let value = value.ok_or(Code::BAD_REQUEST)?.trim();
        Ok(self.tree.set_property(node, property, value).map(|()| Code::OK)?)
    }

    fn exec(
        &mut self,
        request: &Request,
        node: &NodeUri,
        item: Item,
        items: &mut Vec<Item>,
    ) -> Result<Code, Refusal> {
        let correlator = request.correlator.clone();
        if correlator.as_ref().is_some_and(|correlator| correlator.len() > CORRELATOR_BYTES_MAX) {
            return Err(Code::TOO_LARGE.into());
        }
        let argument = About::new(request, &item).decoded(item.data)?;
        let executed = self.tree.exec(node, Execution { correlator, argument })?;
        items.extend(executed.items);
        Ok(executed.code)
    }
}
