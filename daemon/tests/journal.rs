//! What the daemon tells the journal: a fake one receives it.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use harness::{Device, PATIENCE, Policy, is_root, run};

type Entry = BTreeMap<String, String>;

/// A journal that remembers nothing.
struct Journal(UnixDatagram);

impl Journal {
    /// The daemon's command line in a mount namespace of its own, in which this journal is the system's.
    fn of(device: &Device) -> (Self, Command) {
        let folder = device.path().join("journal");
        fs::create_dir(&folder).unwrap();
        let socket = UnixDatagram::bind(folder.join("socket")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let script = "mount -t tmpfs none /run && mkdir /run/systemd && ln -s \"$0\" /run/systemd/journal && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c", script]).arg(&folder);
        let daemon = device.command();
        command.arg(daemon.get_program()).args(daemon.get_args()).env_remove("SCOMO_LOG");
        (Self(socket), command)
    }

    /// The next entry of a kind.
    fn next(&self, message_id: &str) -> Entry {
        loop {
            let mut datagram = vec![0; 1 << 16];
            let length = self.0.recv(&mut datagram).expect("an entry in time");
            let entry = parse(&datagram[..length]);
            if entry.get("MESSAGE_ID").is_some_and(|id| id == message_id) {
                return entry;
            }
        }
    }
}

/// Fields of an entry in the journal's native protocol.
fn parse(mut rest: &[u8]) -> Entry {
    let mut entry = Entry::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            entry.insert(text(&line[..equals]), text(&line[equals + 1..]));
            rest = after;
        } else {
            let length = usize::try_from(u64::from_le_bytes(after[..8].try_into().unwrap())).unwrap();
            entry.insert(text(line), text(&after[8..8 + length]));
            rest = &after[8 + length + 1..];
        }
    }
    entry
}

/// What systemd says of the file that standard error goes to.
fn journal_stream(device: &Device) -> String {
    let log = device.path().join("log");
    fs::write(&log, "").unwrap();
    let meta = fs::metadata(&log).unwrap();
    format!("{}:{}", meta.dev(), meta.ino())
}

fn install(device: &Device, source: &str) {
    let call = ["call", "org.scomo1", "/org/scomo1", "org.scomo1.Manager", "Install", "sa{sv}", source, "0"];
    let (code, text) = run(&mut device.busctl(&call));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn the_journal_is_told_what_jobs_do_and_for_whom() {
    if !is_root("the_journal_is_told_what_jobs_do_and_for_whom") {
        return;
    }
    let mut device = Device::new(Policy::Open, "");
    let (journal, mut command) = Journal::of(&device);
    command.env("JOURNAL_STREAM", journal_stream(&device));
    device.start_by(command);
    install(&device, "sim:app@1");
    let started = journal.next("735a5f1c533d2d5e3b8e3d5d1cdab953");
    for (field, value) in [
        ("MESSAGE", "job 1 (DownloadInstall app) started for root"),
        ("PRIORITY", "5"),
        ("SYSLOG_IDENTIFIER", "scomod"),
        ("SCOMO_JOB", "1"),
        ("SCOMO_PRIMITIVE", "DownloadInstall"),
        ("SCOMO_TARGET", "app"),
        ("SCOMO_USER", "root"),
        ("SCOMO_UID", "0"),
    ] {
        assert_eq!(started.get(field).map(String::as_str), Some(value), "{field} in {started:?}");
    }
    assert!(
        !started.contains_key("SCOMO_RESULT_CODE") && !started.contains_key("SCOMO_COMPONENT"),
        "{started:?}"
    );
    let done = journal.next("b7347518f3bc3c90de40bc6c528f6b8c");
    assert_eq!((done["SCOMO_JOB"].as_str(), done["SCOMO_RESULT_CODE"].as_str()), ("1", "1200"));
    install(&device, "sim:unsigned@1");
    let failed = journal.next("2a475685227119cf610740455581f5b0");
    assert_eq!((failed["SCOMO_JOB"].as_str(), failed["SCOMO_RESULT_CODE"].as_str()), ("2", "1407"));
    assert_eq!((failed["SCOMO_FAILURE_KIND"].as_str(), failed["PRIORITY"].as_str()), ("untrusted", "4"));
    assert_eq!(device.log(), "", "nothing is said twice");
}

#[test]
fn the_journal_is_told_why_nothing_is_changed() {
    if !is_root("the_journal_is_told_why_nothing_is_changed") {
        return;
    }
    let mut device = Device::new(Policy::Open, "");
    fs::create_dir_all(device.path().join("state")).unwrap();
    fs::write(device.path().join("state/facts.db"), "this is no database").unwrap();
    let (journal, mut command) = Journal::of(&device);
    command.env("JOURNAL_STREAM", journal_stream(&device));
    device.start_by(command);
    let told = journal.next("dd8208eabd41c7a17834f66c9943a866");
    assert_eq!(told["PRIORITY"], "3");
    assert!(told["MESSAGE"].contains("safe mode"), "{told:?}");
}

#[test]
fn an_inherited_journal_stream_does_not_take_the_lines_away() {
    let mut device = Device::new(Policy::Open, "");
    let mut command = device.command();
    command.env("JOURNAL_STREAM", "8:12345");
    device.start_by(command);
    install(&device, "sim:unsigned@1");
    let deadline = std::time::Instant::now() + PATIENCE;
    while !device.log().contains("job 1 (DownloadInstall unsigned) failed: no trusted key signed it") {
        assert!(std::time::Instant::now() < deadline, "{}", device.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
