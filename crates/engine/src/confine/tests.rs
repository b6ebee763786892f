use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixStream;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Uid, fork};

use super::*;

fn skip_unless_root(name: &str) -> bool {
    let root = Uid::effective().is_root();
    if !root {
        eprintln!("SKIPPED: needs root: {name}");
    }
    !root
}

/// What `body` says when it runs in a process of its own.
fn in_child(body: impl FnOnce() -> String) -> String {
    let (mut read, mut write) = std::io::pipe().expect("pipe");
    #[allow(unsafe_code)]
    // SAFETY: the child runs `body`, which takes no lock that another thread of the tests could hold, and ends
    // without returning to the test harness.
    let forked = unsafe { fork() }.expect("fork");
    if let ForkResult::Parent { child } = forked {
        drop(write);
        let mut said = String::new();
        read.read_to_string(&mut said).expect("read");
        assert_eq!(waitpid(child, None).expect("wait"), WaitStatus::Exited(child, 0), "said: {said}");
        return said;
    }
    let said = body();
    write.write_all(said.as_bytes()).expect("write");
    #[allow(unsafe_code)]
    // SAFETY: ends the process at once, which is what the fork needs.
    unsafe {
        libc::_exit(0)
    }
}

fn confined(to: &Confinement, body: impl FnOnce(&Report) -> Vec<String>) -> Vec<String> {
    let said = in_child(|| match enter(to) {
        Ok(report) => body(&report).join("\n"),
        Err(error) => format!("not confined: {error}"),
    });
    said.lines().map(str::to_owned).collect()
}

fn word<T>(what: &str, result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => format!("{what}: ok"),
        Err(error) => format!("{what}: {:?}", error.kind()),
    }
}

#[test]
fn only_the_named_folders_are_writable() {
    if skip_unless_root("only_the_named_folders_are_writable") {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
    fs::create_dir(&outside).expect("dir");
    fs::write(outside.join("kept"), "kept").expect("write");
    symlink(&outside, dir.path().join("link")).expect("link");
    let said = confined(&Confinement::new(vec![inside.clone()]), |report| {
        vec![
            format!("missing: {:?}", report.missing()),
            word("inside", fs::write(inside.join("a"), "a")),
            word("hard link inside", fs::hard_link(inside.join("a"), inside.join("b"))),
            word("rename inside", fs::rename(inside.join("b"), inside.join("c"))),
            word("create outside", fs::write(outside.join("new"), "x")),
            word("overwrite outside", fs::write(outside.join("kept"), "x")),
            word("delete outside", fs::remove_file(outside.join("kept"))),
            word("through a link", fs::write(dir.path().join("link/new"), "x")),
            word("read outside", fs::read(outside.join("kept"))),
            word("in /etc", fs::write("/etc/scomo-test", "x")),
            word("in /proc", fs::write("/proc/sys/kernel/hostname", "x")),
        ]
    });
    let expected = [
        "missing: []",
        "inside: ok",
        "hard link inside: ok",
        "rename inside: ok",
        "create outside: ReadOnlyFilesystem",
        "overwrite outside: ReadOnlyFilesystem",
        "delete outside: ReadOnlyFilesystem",
        "through a link: ReadOnlyFilesystem",
        "read outside: ok",
        "in /etc: ReadOnlyFilesystem",
        "in /proc: ReadOnlyFilesystem",
    ];
    assert_eq!(said, expected);
    assert_eq!(fs::read_to_string(outside.join("kept")).expect("read"), "kept");
    assert!(inside.join("c").exists(), "what was written must be seen from outside");
}

#[test]
fn devices_services_and_processes_are_out_of_reach() {
    if skip_unless_root("devices_services_and_processes_are_out_of_reach") {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let inside = dir.path().to_owned();
    let socket = inside.join("service");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bind");
    // The first disk of the machine, whatever it is; only the number matters, nothing is read.
    let disk = fs::read_dir("/dev")
        .expect("/dev")
        .filter_map(|e| fs::metadata(e.ok()?.path()).ok())
        .find(|m| m.file_type().is_block_device())
        .map_or_else(|| makedev(1, 1), |m| m.rdev());
    let parent = nix::unistd::getpid();
    let said = confined(&Confinement::new(vec![inside.clone()]), |_| {
        let node = inside.join("disk");
        let made = mknod(&node, SFlag::S_IFBLK, Mode::S_IRUSR, disk);
        let raw = |call: nix::Result<()>| call.map_err(std::io::Error::from);
        vec![
            word("make a node", raw(made)),
            word("open the node", File::open(&node)),
            word("/dev/null", fs::write("/dev/null", "x")),
            word("/dev/urandom", File::open("/dev/urandom")),
            word("connect to a service", UnixStream::connect(&socket)),
            word("network socket", std::net::UdpSocket::bind("127.0.0.1:0")),
            word("kill the parent", raw(nix::sys::signal::kill(parent, None))),
            word("unshare", raw(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER))),
            word("umount", raw(nix::mount::umount("/proc"))),
            word("a thread", std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join)),
            word("a child", std::process::Command::new("/bin/true").status()),
        ]
    });
    let expected = [
        "make a node: ok",
        "open the node: PermissionDenied",
        "/dev/null: ok",
        "/dev/urandom: ok",
        "connect to a service: PermissionDenied",
        "network socket: ok",
        "kill the parent: PermissionDenied",
        "unshare: PermissionDenied",
        "umount: PermissionDenied",
        "a thread: ok",
        "a child: ok",
    ];
    assert_eq!(said, expected);
}

#[test]
fn capabilities_and_new_privileges_are_gone_for_children_too() {
    if skip_unless_root("capabilities_and_new_privileges_are_gone_for_children_too") {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let mut to = Confinement::new(vec![dir.path().to_owned()]);
    to.capabilities.push(Capability::CAP_LINUX_IMMUTABLE);
    let said = confined(&to, |_| {
        let child = std::process::Command::new("/bin/cat").arg("/proc/self/status").output().expect("cat");
        let status = String::from_utf8(child.stdout).expect("text");
        let wanted = ["CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp:"];
        status.lines().filter(|l| wanted.iter().any(|w| l.starts_with(w))).map(str::to_owned).collect()
    });
    let mask = UNPACKING.iter().chain(&to.capabilities).fold(0, |mask, c| mask | c.bitmask());
    let expected = [
        format!("CapPrm:\t{mask:016x}"),
        format!("CapEff:\t{mask:016x}"),
        format!("CapBnd:\t{mask:016x}"),
        "NoNewPrivs:\t1".to_owned(),
        "Seccomp:\t2".to_owned(),
    ];
    assert_eq!(said, expected);
}

#[test]
fn temporary_files_are_private_and_leave_nothing() {
    if skip_unless_root("temporary_files_are_private_and_leave_nothing") {
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    let config = serde_json::json!({
        "state_dir": dir.path().join("state"),
        "runtime_dir": dir.path().join("run"),
    });
    let said = confined(&Confinement::from_config(&config), |report| {
        let tmp = std::env::temp_dir();
        vec![
            format!("missing: {:?}", report.missing()),
            format!("name: {:?}", tmp.file_name().unwrap_or(OsStr::new(""))),
            word("a little", fs::write(tmp.join("a"), "a")),
            word("too much", fs::write(tmp.join("b"), vec![0_u8; 20 << 20])),
        ]
    });
    let expected = ["missing: []", "name: \"worker-tmp\"", "a little: ok", "too much: StorageFull"];
    assert_eq!(said, expected);
    let left = fs::read_dir(dir.path().join("run/worker-tmp")).expect("made before the mount").count();
    assert_eq!(left, 0, "temporary files reached the disk");
}

#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    let dir = tempfile::tempdir().expect("dir");
    let inside = dir.path().to_owned();
    if Uid::effective().is_root() {
        std::os::unix::fs::chown(&inside, Some(65534), Some(65534)).expect("chown");
    }
    let said = in_child(|| {
        if Uid::effective().is_root() {
            nix::unistd::setresuid(65534.into(), 65534.into(), 65534.into()).expect("setresuid");
        }
        let report = enter(&Confinement::new(vec![inside.clone()])).expect("still runs");
        let first = report.missing().first().cloned().unwrap_or_default();
        format!("{first}\n{}", word("inside", fs::write(inside.join("a"), "a")))
    });
    assert_eq!(
        said,
        "the file system stays writable: no mount namespace: EPERM: Operation not permitted\ninside: ok"
    );
}

#[test]
fn several_threads_and_bad_folders_are_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("write");
    let said = confined(&Confinement::new(vec![file.join("below")]), |_| vec!["confined".to_owned()]);
    assert_eq!(said, [format!("not confined: cannot use the folder {}", file.join("below").display())]);
    let said = in_child(|| {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        let said = format!("{:?}", enter(&Confinement::new(Vec::new())).err());
        drop(end);
        let _ = thread.join();
        said
    });
    assert_eq!(said, "Some(Threads(2))");
}

#[test]
fn folders_inside_others_are_not_mounts_of_their_own() {
    let paths = ["/a/b", "/a", "/ab", "/a"].map(PathBuf::from).to_vec();
    assert_eq!(outermost(paths), [PathBuf::from("/a"), PathBuf::from("/ab")]);
}
