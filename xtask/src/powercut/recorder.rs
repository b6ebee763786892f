//! A disk that records: one file in a file system in user space, for a loop device to stand on.
//!
//! Every write and every flush that reaches the device is in the log, in the order in which it arrived. Reads are
//! served from memory: nothing of a run is on a real disk.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    WriteFlags,
};

const NAME: &str = "disk.img";
const FILE: INodeNo = INodeNo(2);
/// Nothing but the recorder changes attributes.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// What happened to the disk, or around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes were written at an offset.
    Write(usize, Vec<u8>),
    /// All that was written before is durable.
    Flush,
    /// The update is about to start.
    Started,
    /// The client was told that the update is done.
    Reported,
}

/// The log and the content, shared with the thread that serves the file.
#[derive(Debug, Default)]
struct Recorded {
    content: Vec<u8>,
    events: Vec<Event>,
}

/// A mounted recorder; gone when dropped.
pub struct Recorder {
    recorded: Arc<Mutex<Recorded>>,
    session: BackgroundSession,
    file: PathBuf,
}

impl Recorder {
    /// Serves a disk with this content in `folder`.
    pub fn start(folder: &Path, content: Vec<u8>) -> Result<Self> {
        std::fs::create_dir_all(folder).context("cannot create the folder of the recorder")?;
        let recorded = Arc::new(Mutex::new(Recorded { content, events: Vec::new() }));
        let disk = Disk(Arc::clone(&recorded));
        let session = fuser::spawn_mount(disk, folder, &fuser::Config::default())
            .context("cannot mount the recorder; it takes /dev/fuse")?;
        Ok(Self { recorded, session, file: folder.join(NAME) })
    }

    /// The file for the loop device.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Puts a mark into the log.
    pub fn mark(&self, event: Event) {
        lock(&self.recorded).events.push(event);
    }

    /// Ends it and gives the log. The loop device must be gone.
    pub fn finish(self) -> Result<Vec<Event>> {
        self.session.umount_and_join().context("cannot unmount the recorder")?;
        Ok(std::mem::take(&mut lock(&self.recorded).events))
    }
}

fn lock(recorded: &Mutex<Recorded>) -> MutexGuard<'_, Recorded> {
    recorded.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Disk(Arc<Mutex<Recorded>>);

impl Disk {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let folder = inode == INodeNo::ROOT;
        let size = if folder { 0 } else { u64::try_from(lock(&self.0).content.len()).unwrap_or(u64::MAX) };
        let time = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: if folder { FileType::Directory } else { FileType::RegularFile },
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == NAME {
            reply.entry(&FOREVER, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &self.attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(1), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (Ok(from), Ok(size)) = (usize::try_from(offset), usize::try_from(size)) else {
            return reply.error(Errno::EIO);
        };
        let recorded = lock(&self.0);
        let to = from.saturating_add(size).min(recorded.content.len());
        reply.data(recorded.content.get(from..to).unwrap_or_default());
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (Ok(from), Ok(written)) = (usize::try_from(offset), u32::try_from(data.len())) else {
            return reply.error(Errno::EIO);
        };
        let mut recorded = lock(&self.0);
        let Some(place) = recorded.content.get_mut(from..from.saturating_add(data.len())) else {
            return reply.error(Errno::EIO);
        };
        place.copy_from_slice(data);
        recorded.events.push(Event::Write(from, data.to_vec()));
        reply.written(written);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A file was closed; that makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        lock(&self.0).events.push(Event::Flush);
        reply.ok();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        // A loop device punches holes where it can: zeroes that would not be in the log.
        reply.error(Errno::EOPNOTSUPP);
    }
}
