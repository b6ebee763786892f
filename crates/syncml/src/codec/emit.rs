//! Writes a message, one command at a time, in the order of the content models.

use super::Encoding;
use super::encoder::{Encoder, Mark};
use crate::error::SyncmlError;
use crate::message::{Command, Header, Item, Location, Meta, Request, Results, Status, Verb};
use crate::tag::{Tag, metinf, syncml};

/// A message under construction. A command that turns out too large can be taken back.
#[derive(Debug)]
pub(crate) struct MessageWriter {
    encoder: Encoder,
}

/// What the end of a command, its package and the message takes at most, in bytes.
const CLOSING_BYTES: usize = 48;

impl MessageWriter {
    /// The header, and the start of the body.
    pub(crate) fn new(encoding: Encoding, string_table: bool, header: &Header) -> Self {
        let mut encoder = Encoder::message(encoding, string_table);
        encoder.start(syncml::SYNCML);
        write_header(&mut encoder, header);
        encoder.start(syncml::SYNC_BODY);
        Self { encoder }
    }

    /// Writes a whole command.
    pub(crate) fn push(&mut self, command: &Command) {
        self.open(command);
        self.close();
    }

    /// Writes a command but for its end; items may follow.
    pub(crate) fn open(&mut self, command: &Command) {
        match command {
            Command::Request(request) => open_request(&mut self.encoder, request),
            Command::Status(status) => open_status(&mut self.encoder, status),
            Command::Results(results) => open_results(&mut self.encoder, results),
        }
    }

    /// One more item of the command that is open.
    pub(crate) fn item(&mut self, item: &Item) {
        write_item(&mut self.encoder, item);
    }

    /// Ends the command that is open.
    pub(crate) fn close(&mut self) {
        self.encoder.end();
    }

    /// Bytes of the message as it would be if it ended here.
    pub(crate) fn len(&self) -> usize {
        self.encoder.len() + CLOSING_BYTES
    }

    pub(crate) fn mark(&self) -> Mark {
        self.encoder.mark()
    }

    pub(crate) fn undo(&mut self, mark: Mark) {
        self.encoder.undo(mark);
    }

    /// The whole message.
    pub(crate) fn finish(mut self, last: bool) -> Result<Vec<u8>, SyncmlError> {
        if last {
            self.encoder.empty(syncml::FINAL);
        }
        let (bytes, lossy) = self.encoder.finish();
        if lossy { Err(SyncmlError::Binary) } else { Ok(bytes) }
    }
}

fn write_header(out: &mut Encoder, header: &Header) {
    out.start(syncml::SYNC_HDR);
    out.leaf(syncml::VER_DTD, &header.ver_dtd);
    out.leaf(syncml::VER_PROTO, &header.ver_proto);
    out.leaf(syncml::SESSION_ID, &header.session_id);
    out.leaf(syncml::MSG_ID, &header.msg_id);
    write_location(out, syncml::TARGET, Some(&header.target));
    write_location(out, syncml::SOURCE, Some(&header.source));
    optional(out, syncml::RESP_URI, header.resp_uri.as_deref());
    if let Some(cred) = &header.cred {
        out.start(syncml::CRED);
        write_meta(out, &cred.meta);
        out.leaf(syncml::DATA, &cred.data);
        out.end();
    }
    write_meta(out, &header.meta);
    out.end();
}

fn open_request(out: &mut Encoder, request: &Request) {
    // A command that SyncML does not have has no element: nobody can send one, and a Put stands for it.
    out.start(Tag::named(0, request.verb.name()).unwrap_or(syncml::PUT));
    out.leaf(syncml::CMD_ID, &request.id);
    write_meta(out, &request.meta);
    optional(out, syncml::DATA, request.data.as_deref().filter(|_| request.verb == Verb::Alert));
    optional(out, syncml::CORRELATOR, request.correlator.as_deref());
    request.items.iter().for_each(|item| write_item(out, item));
    for inner in &request.inner {
        open_request(out, inner);
        out.end();
    }
}

fn open_status(out: &mut Encoder, status: &Status) {
    out.start(syncml::STATUS);
    out.leaf(syncml::CMD_ID, &status.id);
    out.leaf(syncml::MSG_REF, status.msg_ref.as_deref().unwrap_or("1"));
    out.leaf(syncml::CMD_REF, &status.cmd_ref);
    out.leaf(syncml::CMD, &status.cmd);
    status.target_refs.iter().for_each(|uri| out.leaf(syncml::TARGET_REF, uri));
    status.source_refs.iter().for_each(|uri| out.leaf(syncml::SOURCE_REF, uri));
    if let Some(chal) = &status.chal {
        out.start(syncml::CHAL);
        write_meta(out, chal);
        out.end();
    }
    out.leaf(syncml::DATA, &status.code.to_string());
    status.items.iter().for_each(|item| write_item(out, item));
}

fn open_results(out: &mut Encoder, results: &Results) {
    out.start(syncml::RESULTS);
    out.leaf(syncml::CMD_ID, &results.id);
    optional(out, syncml::MSG_REF, results.msg_ref.as_deref());
    out.leaf(syncml::CMD_REF, &results.cmd_ref);
    write_meta(out, &results.meta);
    results.items.iter().for_each(|item| write_item(out, item));
}

fn write_item(out: &mut Encoder, item: &Item) {
    out.start(syncml::ITEM);
    write_location(out, syncml::TARGET, item.target.as_ref());
    write_location(out, syncml::SOURCE, item.source.as_ref());
    if let Some(meta) = &item.meta {
        write_meta(out, meta);
    }
    if let Some(data) = &item.data {
        out.data(syncml::DATA, data);
    }
    if item.more {
        out.empty(syncml::MORE_DATA);
    }
    out.end();
}

fn write_location(out: &mut Encoder, tag: Tag, location: Option<&Location>) {
    let Some(location) = location else { return };
    out.start(tag);
    out.leaf(syncml::LOC_URI, &location.uri);
    optional(out, syncml::LOC_NAME, location.name.as_deref());
    out.end();
}

fn write_meta(out: &mut Encoder, meta: &Meta) {
    if meta.is_empty() {
        return;
    }
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    out.start(syncml::META);
    optional(out, metinf::FORMAT, meta.format.as_ref().map(|format| format.name()));
    optional(out, metinf::TYPE, meta.mime.as_deref());
    optional(out, metinf::MARK, meta.mark.as_deref());
    optional(out, metinf::SIZE, number(meta.size).as_deref());
    optional(out, metinf::NEXT_NONCE, meta.next_nonce.as_deref());
    optional(out, metinf::MAX_MSG_SIZE, number(meta.max_msg_size).as_deref());
    optional(out, metinf::MAX_OBJ_SIZE, number(meta.max_obj_size).as_deref());
    out.end();
}

fn optional(out: &mut Encoder, tag: Tag, text: Option<&str>) {
    if let Some(text) = text {
        out.leaf(tag, text);
    }
}
