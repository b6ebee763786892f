//! What waits to be sent, and how it becomes messages: within the server's size, large objects in pieces.

use std::collections::VecDeque;

use crate::code::{Code, alert};
use crate::codec::{Encoding, MessageWriter, xml_escape};
use crate::limits::CHUNK_BYTES_MIN;
use crate::message::{Command, Item, Location, Request, Status};

/// What an Alert 1222 takes at most, in bytes. Room for it is kept in every message.
const NEXT_MESSAGE_BYTES: usize = 80;
/// Room that the statuses of a server that only says "go on" take in a message.
const SMALL_TALK_BYTES: usize = 300;

/// What the start and end of an item's data take at most, in bytes.
const DATA_BYTES: usize = 20;

/// A command that waits.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The command without the items below.
    pub(super) head: Command,
    /// Its last items.
    pub(super) items: VecDeque<Item>,
    /// Whether the items may go in several commands.
    pub(super) divisible: bool,
    /// The caller's alert that this is.
    pub(super) token: Option<u64>,
    /// How much of the first item's data was sent.
    offset: usize,
}

impl Entry {
    /// A command that must stay whole.
    pub(super) fn whole(head: Command) -> Self {
        Self { head, items: VecDeque::new(), divisible: false, token: None, offset: 0 }
    }

    /// A command whose items may go in several commands.
    pub(super) fn list(head: Command, items: impl IntoIterator<Item = Item>) -> Self {
        let items = items.into_iter().collect();
        Self { head, items, divisible: true, token: None, offset: 0 }
    }

    /// An alert of the caller's.
    pub(super) fn alert(token: u64, head: Request, items: Vec<Item>) -> Self {
        let (head, items) = (Command::Request(head), items.into());
        Self { head, items, divisible: false, token: Some(token), offset: 0 }
    }

    /// Whether one of the items has more data than that.
    fn exceeds(&self, max: Option<u64>) -> bool {
        let length = |item: &Item| item.data.as_ref().map_or(0, Vec::len);
        let largest = u64::try_from(self.items.iter().map(length).max().unwrap_or(0)).unwrap_or(u64::MAX);
        max.is_some_and(|max| largest > max)
    }
}

/// The caller's alert, and the status that is its last.
pub(super) type Fate = (u64, Code);

/// About how much memory an item takes, in bytes.
pub(super) fn weight(item: &Item) -> usize {
    let uri = |location: &Option<Location>| location.as_ref().map_or(0, |location| location.uri.len());
    let data = item.data.as_ref().map_or(0, Vec::len);
    size_of::<Item>() + uri(&item.target) + uri(&item.source) + data
}

/// Why a message cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DoesNotFit;

/// A part of the last message, to be sent again when the server did not take it.
#[derive(Debug)]
enum Sent {
    Whole(Entry),
    /// A piece of the entry in front, from this offset on; the entry itself when it was the last piece.
    Piece {
        offset: usize,
        entry: Option<Entry>,
    },
}

/// The queue.
#[derive(Debug)]
pub(super) struct Outbox {
    encoding: Encoding,
    queue: VecDeque<Entry>,
    /// Where the next reply to the newest message goes: before whatever is left from older ones.
    insert_at: usize,
    sent: Vec<Sent>,
    /// Command and token of alerts in the last message.
    tokens: Vec<(String, u64)>,
    /// The command in the last message that was a piece of a large object.
    piece: Option<String>,
}

impl Outbox {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            queue: VecDeque::new(),
            insert_at: 0,
            sent: Vec::new(),
            tokens: Vec::new(),
            piece: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// About how much memory the queue takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let items = |entry: &Entry| entry.items.iter().map(weight).sum::<usize>();
        self.queue.iter().map(|entry| size_of::<Entry>() + items(entry)).sum()
    }

    /// Adds what is no reply.
    pub(super) fn push_back(&mut self, entry: Entry) {
        self.queue.push_back(entry);
    }

    /// Adds a reply to the newest message.
    pub(super) fn reply(&mut self, entry: Entry) {
        self.queue.insert(self.insert_at, entry);
        self.insert_at += 1;
    }

    /// The server did not take the last message: everything in it is to be sent again.
    pub(super) fn rejected(&mut self) {
        for sent in std::mem::take(&mut self.sent).into_iter().rev() {
            match sent {
                Sent::Whole(entry) => self.queue.push_front(entry),
                Sent::Piece { offset, entry } => {
                    if let Some(entry) = entry {
                        self.queue.push_front(entry);
                    }
                    if let Some(front) = self.queue.front_mut() {
                        front.offset = offset;
                    }
                }
            }
        }
        self.tokens.clear();
        self.piece = None;
    }

    /// The server took the last message; `statuses` are about its commands.
    pub(super) fn accepted(&mut self, statuses: &[&Status]) -> Vec<Fate> {
        self.sent.clear();
        let mut fates = Vec::new();
        // There may be a status for each item; the highest number is the worst.
        let about =
            |id: &str| statuses.iter().filter(|status| status.cmd_ref == id).map(|status| status.code).max();
        if let Some(piece) = self.piece.take()
            && about(&piece).is_some_and(|code| !code.is_success())
        {
            fates.extend(self.break_off(about(&piece).unwrap_or_default()));
        }
        for (id, token) in std::mem::take(&mut self.tokens) {
            fates.extend(about(&id).map(|code| (token, code)));
        }
        fates
    }

    /// Forgets the rest of a large object that the server does not want.
    pub(super) fn break_off(&mut self, code: Code) -> Option<Fate> {
        let broken = self.queue.front().is_some_and(|entry| entry.offset > 0);
        let mut entry = if broken { self.queue.pop_front() } else { None }?;
        entry.items.pop_front();
        let token = entry.token;
        if !entry.items.is_empty() {
            self.queue.push_front(Entry { offset: 0, ..entry });
        }
        token.map(|token| (token, code))
    }

    /// Puts as much as fits into a message. An alert that can never fit, or has more data than the server takes, is
    /// handed back.
    pub(super) fn fill(
        &mut self,
        filler: &mut Filler,
        max_object: Option<u64>,
    ) -> Result<Vec<Fate>, DoesNotFit> {
        let mut fates = Vec::new();
        self.insert_at = 0;
        while let Some(entry) = self.queue.front_mut() {
            if let Some(token) = entry.token.filter(|_| entry.exceeds(max_object)) {
                self.queue.pop_front();
                fates.push((token, Code::TOO_LARGE));
                continue;
            }
            if entry.offset == 0 && filler.put(entry, &mut self.tokens, &mut self.sent) {
                if entry.items.is_empty() {
                    self.queue.pop_front();
                }
                continue;
            }
            let cost = filler.cost;
            let offset = entry.offset;
            if offset == 0 && cost <= filler.capacity() {
                break;
            }
            match filler.put_piece(entry, self.encoding) {
                Piece::Sent { id, last } => {
                    let finished = if last { self.finish_front(&id) } else { None };
                    self.sent.push(Sent::Piece { offset, entry: finished });
                    // A piece ends its message, but the last one may be followed by more.
                    self.piece = (!last).then_some(id);
                    if !last {
                        break;
                    }
                }
                Piece::Later => break,
                Piece::Never => {
                    let token = self.queue.pop_front().and_then(|entry| entry.token).ok_or(DoesNotFit)?;
                    fates.push((token, Code::TOO_LARGE));
                }
            }
        }
        Ok(fates)
    }

    /// The last piece of the first item in front went out. Gives what must be sent again if the server does not take it.
    fn finish_front(&mut self, id: &str) -> Option<Entry> {
        let entry = self.queue.front_mut()?;
        let item = entry.items.pop_front();
        entry.offset = 0;
        let token = entry.token;
        self.tokens.extend(token.map(|token| (id.to_owned(), token)));
        let again = Entry { items: item.into_iter().collect(), ..Entry::whole(entry.head.clone()) };
        if entry.items.is_empty() {
            self.queue.pop_front();
        }
        Some(Entry { divisible: token.is_none(), token, ..again })
    }
}

/// What became of the attempt to send a piece.
enum Piece {
    Sent {
        id: String,
        last: bool,
    },
    /// There is too little room in this message.
    Later,
    /// There is too little room in any message, or the command cannot be cut.
    Never,
}

/// A message being filled.
#[derive(Debug)]
pub(super) struct Filler {
    writer: MessageWriter,
    limit: usize,
    /// Size when nothing but header and its status is in.
    base: usize,
    commands: u32,
    /// What the last command that did not fit would have taken.
    cost: usize,
}

impl Filler {
    /// `writer` has its header. `status` is about the header of the message that is answered.
    pub(super) fn new(mut writer: MessageWriter, limit: usize, status: Option<Status>) -> Self {
        let mut commands = 0;
        if let Some(mut status) = status {
            commands = 1;
            status.id = "1".to_owned();
            writer.push(&Command::Status(status));
        }
        let base = writer.len();
        Self { writer, limit, base, commands, cost: 0 }
    }

    /// Whether even this much was too much.
    pub(super) fn is_over(&self) -> bool {
        self.writer.len() + NEXT_MESSAGE_BYTES > self.limit
    }

    /// Ends the message. One that is not the last of its package asks for the next.
    pub(super) fn finish(mut self, last: bool) -> Result<Vec<u8>, crate::error::SyncmlError> {
        if !last {
            self.push(Request::alert(alert::NEXT_MESSAGE));
        }
        self.writer.finish(last)
    }

    /// Adds a short alert, for which there is always room.
    pub(super) fn push(&mut self, request: Request) {
        let mut command = Command::Request(request);
        set_id(&mut command, &self.next_id());
        self.writer.push(&command);
    }

    fn next_id(&mut self) -> String {
        self.commands += 1;
        self.commands.to_string()
    }

    fn capacity(&self) -> usize {
        self.limit.saturating_sub(self.base + NEXT_MESSAGE_BYTES + SMALL_TALK_BYTES)
    }

    /// Puts in an entry, or as many of its items as fit. What went in leaves the entry.
    fn put(&mut self, entry: &mut Entry, tokens: &mut Vec<(String, u64)>, sent: &mut Vec<Sent>) -> bool {
        let (start, before) = (self.writer.mark(), self.writer.len());
        let id = self.next_id();
        set_id(&mut entry.head, &id);
        self.writer.open(&entry.head);
        let mut cost = 0;
        let mut fit = 0;
        for item in &entry.items {
            let mark = self.writer.mark();
            self.writer.item(item);
            if self.is_over() {
                cost = self.writer.len() - before;
                self.writer.undo(mark);
                break;
            }
            fit += 1;
        }
        self.writer.close();
        let enough = fit == entry.items.len() || (entry.divisible && fit > 0);
        if !enough || self.is_over() {
            self.cost = cost.max(self.writer.len() - before);
            self.writer.undo(start);
            self.commands -= 1;
            return false;
        }
        tokens.extend(entry.token.map(|token| (id, token)));
        let items = entry.items.drain(..fit).collect();
        sent.push(Sent::Whole(Entry { items, head: entry.head.clone(), ..*entry }));
        true
    }

    /// Puts in a piece of the first item's data.
    fn put_piece(&mut self, entry: &mut Entry, encoding: Encoding) -> Piece {
        let alone = entry.divisible || entry.items.len() == 1;
        let Some(item) = entry.items.front().filter(|_| alone) else { return Piece::Never };
        let rest = item.data.as_deref().and_then(|data| data.get(entry.offset..)).unwrap_or_default();
        let size = u64::try_from(rest.len()).ok().filter(|_| entry.offset == 0);
        let mut meta = item.meta.as_deref().cloned().unwrap_or_default();
        meta.size = size;
        let (target, source) = (item.target.clone(), item.source.clone());
        let mut piece = Item { target, source, meta: Some(Box::new(meta)), data: None, more: true };

        let (start, before) = (self.writer.mark(), self.writer.len());
        set_id(&mut entry.head, &(self.commands + 1).to_string());
        self.writer.open(&entry.head);
        self.writer.item(&piece);
        let overhead = self.writer.len() - before + DATA_BYTES;
        self.writer.undo(start);
        let room = self.limit.saturating_sub(before + overhead + NEXT_MESSAGE_BYTES);
        if room < CHUNK_BYTES_MIN {
            let ever = overhead + CHUNK_BYTES_MIN <= self.capacity();
            return if ever { Piece::Later } else { Piece::Never };
        }
        let taken = fitting(rest, room, encoding);
        let last = taken == rest.len();
        piece.data = rest.get(..taken).map(<[u8]>::to_vec);
        piece.more = !last;
        entry.offset += taken;
        let id = self.next_id();
        self.writer.open(&entry.head);
        self.writer.item(&piece);
        self.writer.close();
        Piece::Sent { id, last }
    }
}

/// How many bytes of the data fit into `room` bytes of the message. Text is not cut inside of a character.
fn fitting(data: &[u8], room: usize, encoding: Encoding) -> usize {
    let Ok(text) = std::str::from_utf8(data) else { return room.min(data.len()) };
    let mut left = room;
    let fits = |(_, character): &(usize, char)| {
        let plain = character.len_utf8();
        let cost = match encoding {
            Encoding::Xml => xml_escape(*character).map_or(plain, str::len),
            Encoding::Wbxml => plain,
        };
        left.checked_sub(cost).map(|rest| left = rest).is_none()
    };
    text.char_indices().find(fits).map_or(data.len(), |(at, _)| at)
}

fn set_id(command: &mut Command, id: &str) {
    let field = match command {
        Command::Request(request) => &mut request.id,
        Command::Status(status) => &mut status.id,
        Command::Results(results) => &mut results.id,
    };
    id.clone_into(field);
}
