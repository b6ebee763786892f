//! Reads a message from events, in any order of the elements.
//!
//! Elements that are not ours are skipped, but for commands: the sender must be told that there is no such command.

use super::Encoding;
use super::cursor::{Cursor, Event, Name};
use super::encoder::Encoder;
use crate::code::Code;
use crate::error::SyncmlError;
use crate::limits::{COMMANDS_MAX, ITEMS_MAX};
use crate::message::{
    Command, Cred, Format, Header, Item, Location, Message, Meta, Request, Results, Status, VERBS, Verb,
};
use crate::tag::{ddf, metinf, syncml};

type Result<T> = std::result::Result<T, SyncmlError>;

/// Reads the whole document.
pub(super) fn message(cursor: &mut Cursor<'_, '_>) -> Result<Message> {
    let mut message = Message::default();
    let mut header = None;
    let mut body = false;
    let mut parser = Parser { commands: COMMANDS_MAX, items: ITEMS_MAX };
    cursor.root(syncml::SYNCML)?;
    cursor.children(&mut |cursor, name| {
        match name {
            Name::Known(syncml::SYNC_HDR) => header = Some(read_header(cursor)?),
            Name::Known(syncml::SYNC_BODY) => {
                body = true;
                parser.body(cursor, &mut message)?;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    cursor.finish()?;
    message.header = header.ok_or(SyncmlError::Missing("SyncHdr"))?;
    if body { Ok(message) } else { Err(SyncmlError::Missing("SyncBody")) }
}

fn read_header(cursor: &mut Cursor<'_, '_>) -> Result<Header> {
    let mut header = Header::default();
    cursor.children(&mut |cursor, name| {
        match name {
            Name::Known(syncml::VER_DTD) => header.ver_dtd = cursor.text("VerDTD")?,
            Name::Known(syncml::VER_PROTO) => header.ver_proto = cursor.text("VerProto")?,
            Name::Known(syncml::SESSION_ID) => header.session_id = cursor.text("SessionID")?,
            Name::Known(syncml::MSG_ID) => header.msg_id = cursor.text("MsgID")?,
            Name::Known(syncml::TARGET) => header.target = read_location(cursor)?,
            Name::Known(syncml::SOURCE) => header.source = read_location(cursor)?,
            Name::Known(syncml::RESP_URI) => header.resp_uri = Some(cursor.text("RespURI")?),
            Name::Known(syncml::CRED) => header.cred = Some(read_cred(cursor)?),
            Name::Known(syncml::META) => read_meta(cursor, &mut header.meta)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(header)
}

fn read_cred(cursor: &mut Cursor<'_, '_>) -> Result<Cred> {
    let mut cred = Cred::default();
    cursor.children(&mut |cursor, name| match name {
        Name::Known(syncml::META) => read_meta(cursor, &mut cred.meta),
        Name::Known(syncml::DATA) => {
            cred.data = cursor.text("Cred")?;
            Ok(())
        }
        _ => cursor.skip(),
    })?;
    Ok(cred)
}

/// A location. Some senders write the URI without its element.
fn read_location(cursor: &mut Cursor<'_, '_>) -> Result<Location> {
    let mut uri = None;
    let mut name = None;
    let bare = cursor.mixed(&mut |cursor, child, _| {
        match child {
            Name::Known(syncml::LOC_URI) => uri = Some(cursor.text("LocURI")?),
            Name::Known(syncml::LOC_NAME) => name = Some(cursor.text("LocName")?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    let uri = match uri {
        Some(uri) => uri,
        None => String::from_utf8(bare).map_err(|_| SyncmlError::NotText("LocURI"))?.trim().to_owned(),
    };
    Ok(Location { uri, name })
}

fn read_meta(cursor: &mut Cursor<'_, '_>, meta: &mut Meta) -> Result<()> {
    cursor.children(&mut |cursor, name| {
        match name {
            Name::Known(metinf::FORMAT) => meta.format = Some(Format::named(&cursor.text("Format")?)),
            Name::Known(metinf::TYPE) => meta.mime = Some(cursor.text("Type")?),
            Name::Known(metinf::MARK) => meta.mark = Some(cursor.text("Mark")?),
            Name::Known(metinf::SIZE) => meta.size = Some(cursor.number("Size")?),
            Name::Known(metinf::NEXT_NONCE) => meta.next_nonce = Some(cursor.text("NextNonce")?),
            Name::Known(metinf::MAX_MSG_SIZE) => meta.max_msg_size = Some(cursor.number("MaxMsgSize")?),
            Name::Known(metinf::MAX_OBJ_SIZE) => meta.max_obj_size = Some(cursor.number("MaxObjSize")?),
            // The DTD of MetInf has a root of its own, which some writers keep.
            Name::Known(metinf::MET_INF) => read_meta(cursor, meta)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })
}

/// The data of an item. A serialized tree may stand in it as elements; it becomes the text that it would be.
fn read_data(cursor: &mut Cursor<'_, '_>) -> Result<Vec<u8>> {
    cursor.mixed(&mut |cursor, name, data| {
        if name != Name::Known(ddf::MGMT_TREE) || !data.trim_ascii().is_empty() {
            return Err(SyncmlError::Markup);
        }
        let mut out = Encoder::tnds(Encoding::Xml);
        out.start(ddf::MGMT_TREE);
        cursor.copy(&mut |event| {
            match event {
                Event::Start(Name::Known(tag)) => out.start(tag),
                Event::Start(Name::Unknown(_)) => return Err(SyncmlError::Markup),
                Event::Text(text) => out.bytes(text.as_bytes()),
                Event::Opaque(bytes) => out.bytes(bytes),
                Event::End => out.end(),
            }
            Ok(())
        })?;
        let (text, lossy) = out.finish();
        *data = text;
        if lossy { Err(SyncmlError::Binary) } else { Ok(()) }
    })
}

/// What may still come in this message.
struct Parser {
    commands: usize,
    items: usize,
}

impl Parser {
    fn body(&mut self, cursor: &mut Cursor<'_, '_>, message: &mut Message) -> Result<()> {
        cursor.children(&mut |cursor, name| {
            match name {
                Name::Known(syncml::FINAL) => {
                    message.last = true;
                    cursor.skip()?;
                }
                Name::Known(syncml::STATUS) => message.commands.push(Command::Status(self.status(cursor)?)),
                Name::Known(syncml::RESULTS) => {
                    message.commands.push(Command::Results(self.results(cursor)?));
                }
                name => message.commands.push(Command::Request(self.request(cursor, verb_of(name))?)),
            }
            Ok(())
        })
    }

    fn count_command(&mut self) -> Result<()> {
        let left = self.commands.checked_sub(1);
        self.commands = left.ok_or(SyncmlError::Limit { what: "commands", max: COMMANDS_MAX })?;
        Ok(())
    }

    fn count_item(&mut self) -> Result<()> {
        let left = self.items.checked_sub(1);
        self.items = left.ok_or(SyncmlError::Limit { what: "items", max: ITEMS_MAX })?;
        Ok(())
    }

    fn request(&mut self, cursor: &mut Cursor<'_, '_>, verb: Verb) -> Result<Request> {
        self.count_command()?;
        let is_group = matches!(verb, Verb::Sequence | Verb::Atomic);
        let mut request = Request::new(verb);
        cursor.children(&mut |cursor, name| {
            match name {
                Name::Known(syncml::CMD_ID) => request.id = cursor.text("CmdID")?,
                Name::Known(syncml::META) => read_meta(cursor, &mut request.meta)?,
                Name::Known(syncml::CORRELATOR) => request.correlator = Some(cursor.text("Correlator")?),
                Name::Known(syncml::DATA) => request.data = Some(cursor.text("Data")?),
                Name::Known(syncml::ITEM) => request.items.push(self.item(cursor)?),
                Name::Known(syncml::NO_RESP | syncml::CRED | syncml::LANG) => cursor.skip()?,
                name if is_group => request.inner.push(self.request(cursor, verb_of(name))?),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(request)
    }

    fn status(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Status> {
        self.count_command()?;
        let mut status = Status::default();
        let mut code = None;
        cursor.children(&mut |cursor, name| {
            match name {
                Name::Known(syncml::CMD_ID) => status.id = cursor.text("CmdID")?,
                Name::Known(syncml::MSG_REF) => status.msg_ref = Some(cursor.text("MsgRef")?),
                Name::Known(syncml::CMD_REF) => status.cmd_ref = cursor.text("CmdRef")?,
                Name::Known(syncml::CMD) => status.cmd = cursor.text("Cmd")?,
                Name::Known(syncml::TARGET_REF) => {
                    self.count_item()?;
                    status.target_refs.push(cursor.text("TargetRef")?);
                }
                Name::Known(syncml::SOURCE_REF) => {
                    self.count_item()?;
                    status.source_refs.push(cursor.text("SourceRef")?);
                }
                Name::Known(syncml::CHAL) => status.chal = Some(read_chal(cursor)?),
                Name::Known(syncml::DATA) => code = Some(Code(cursor.number("Status")?)),
                Name::Known(syncml::ITEM) => status.items.push(self.item(cursor)?),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        // Samples leave the reference to the header out.
        if status.cmd_ref.is_empty() && status.cmd == "SyncHdr" {
            "0".clone_into(&mut status.cmd_ref);
        }
        status.code = code.ok_or(SyncmlError::Missing("Data in a Status"))?;
        Ok(status)
    }

    fn results(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Results> {
        self.count_command()?;
        let mut results = Results::default();
        cursor.children(&mut |cursor, name| {
            match name {
                Name::Known(syncml::CMD_ID) => results.id = cursor.text("CmdID")?,
                Name::Known(syncml::MSG_REF) => results.msg_ref = Some(cursor.text("MsgRef")?),
                Name::Known(syncml::CMD_REF) => results.cmd_ref = cursor.text("CmdRef")?,
                Name::Known(syncml::META) => read_meta(cursor, &mut results.meta)?,
                Name::Known(syncml::ITEM) => results.items.push(self.item(cursor)?),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(results)
    }

    fn item(&mut self, cursor: &mut Cursor<'_, '_>) -> Result<Item> {
        self.count_item()?;
        let mut item = Item::default();
        cursor.children(&mut |cursor, name| {
            match name {
                Name::Known(syncml::TARGET) => item.target = Some(read_location(cursor)?),
                Name::Known(syncml::SOURCE) => item.source = Some(read_location(cursor)?),
                Name::Known(syncml::META) => read_meta(cursor, item.meta.get_or_insert_default())?,
                Name::Known(syncml::DATA) => item.data = Some(read_data(cursor)?),
                Name::Known(syncml::MORE_DATA) => {
                    item.more = true;
                    cursor.skip()?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(item)
    }
}

fn read_chal(cursor: &mut Cursor<'_, '_>) -> Result<Meta> {
    let mut meta = Meta::default();
    cursor.children(&mut |cursor, name| match name {
        Name::Known(syncml::META) => read_meta(cursor, &mut meta),
        _ => cursor.skip(),
    })?;
    Ok(meta)
}

fn verb_of(name: Name) -> Verb {
    let name = match name {
        Name::Known(tag) => tag.name().to_owned(),
        Name::Unknown(name) => name,
    };
    let known = VERBS.iter().find(|(_, known)| *known == name);
    known.map_or_else(|| Verb::Other(name), |(verb, _)| verb.clone())
}
