//! `scomoctl` against the real daemon over the simulated device: what it prints and what it ends with.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../../daemon/tests/harness/mod.rs"]
mod harness;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect_file;
use harness::{Device, HANGING_FETCH, PATIENCE, Policy, run, signal, slow_world, wait_for_end};
use serde_json::Value;

fn scomoctl(device: &Device) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scomoctl"));
    command.env("SCOMO_BUS_ADDRESS", device.address()).env("TZ", "UTC").env("COLUMNS", "100");
    command
}

/// Puts a package into the Download branch, as a server does; what `install` makes there goes with its job.
fn add_download(device: &Device, id: &str, source: &str) {
    let mut command = Command::new("busctl");
    command.arg(format!("--address={}", device.address()));
    command.args(["call", "org.scomo1", "/org/scomo1", "org.scomo1.Manager", "AddDownload", "ssa{sv}"]);
    assert_eq!(run(command.args([id, source, "0"])).0, 0);
}

/// What people see of some commands: each with its output and exit code. Times and the user's name are left out, and
/// progress, which depends on how fast the machine is.
fn session(device: &Device, commands: &[&str]) -> String {
    let mut text = String::new();
    let (_, user) = run(Command::new("id").arg("-un"));
    for line in commands {
        let output = scomoctl(device).args(line.split(' ')).stdin(Stdio::null()).output().unwrap();
        let said = [String::from_utf8(output.stdout).unwrap(), errors(&output.stderr)].concat();
        let said = without_times(&said).replace(&format!(" {}  ", user.trim()), " USER  ");
        text.push_str(&format!("$ scomoctl {line}\n{said}"));
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            text.push_str(&format!("[{code}]\n"));
        }
    }
    text
}

/// Standard error without progress.
fn errors(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr).into_owned();
    let is_progress =
        |line: &str| line.trim_start().split_once(" % ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
    text.lines().filter(|line| !is_progress(line)).map(|line| format!("{line}\n")).collect()
}

/// `2026-01-02 03:04:05` becomes `DATE TIME`.
fn without_times(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let plain = word.trim_end();
        match (digits, plain.len()) {
            (8, 10) if plain.contains('-') => word.replace(plain, "DATE"),
            (6, 8) if plain.contains(':') => word.replace(plain, "TIME"),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

#[test]
fn a_life_as_people_see_it() {
    let device = Device::started();
    let text = session(
        &device,
        &[
            "status",
            "install sim:shop@1?db&web",
            "status",
            "install sim:shop@1?db&web",
            "install sim:shop@2?db&web=unhealthy",
            "install sim:shop@3?db&web",
            "list",
            "show web",
            "deactivate web",
            "activate web",
            "remove db",
            "rollback",
            "history -n 3",
            "jobs",
            "gc",
        ],
    );
    expect_file!["golden/life.txt"].assert_eq(&text);
}

#[test]
fn every_refusal_has_its_exit_code_and_says_what_to_do() {
    let device = Device::started();
    let text = session(
        &device,
        &[
            "frobnicate",
            "install nonsense",
            "install sim:missing@1",
            "install sim:unsigned@1",
            "install sim:app@1?web=corrupt",
            "install docker://r.example/app:1",
            "rollback",
            "confirm-boot",
            "show nothing",
            "activate nothing",
            "remove nothing",
            "logs nothing",
            "cancel 99",
            "wait 99",
            "deliver /nonexistent.scomo",
        ],
    );
    expect_file!["golden/refusals.txt"].assert_eq(&text);
}

#[test]
fn a_reboot_that_is_needed_has_its_own_code() {
    let device = Device::started();
    let text =
        session(&device, &["install sim:os@1?os", "status", "install sim:app@1", "cancel 1", "status"]);
    expect_file!["golden/reboot.txt"].assert_eq(&text);
}

#[test]
fn json_is_one_object_with_version_and_kind() {
    let device = Device::started();
    for (line, code, kind) in [
        ("install sim:app@1", 0, "job"),
        ("install sim:app@2 --no-wait", 0, "accepted"),
        ("wait 2", 0, "job"),
        ("install sim:missing@1", 10, "job"),
        ("download sim:other@1", 0, "job"),
        ("status", 0, "status"),
        ("list", 0, "list"),
        ("show app", 0, "show"),
        ("jobs --all", 0, "jobs"),
        ("history", 0, "history"),
        ("logs app", 0, "logs"),
        ("show nothing", 3, "error"),
        ("rollback", 0, "job"),
        ("remove other", 0, "job"),
    ] {
        let output = scomoctl(&device).arg("--json").args(line.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{line}: {text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (value["version"].as_u64(), value["kind"].as_str()),
            (Some(1), Some(kind)),
            "{line}: {text}"
        );
        if let Some(given) = value.get("exitCode") {
            assert_eq!(given.as_i64(), Some(code.into()), "{line}");
        }
    }
}

/// Every field of the JSON form is documented, and every documented one is there.
#[test]
fn the_documented_fields_are_those_that_are_printed() {
    let device = Device::started();
    session(&device, &["install sim:app@1"]);
    add_download(&device, "missing", "sim:missing@1");
    let get = |line: &str| -> Value {
        let output = scomoctl(&device).arg("--json").args(line.split(' ')).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (status, list, jobs) = (get("status"), get("list"), get("jobs --all"));
    let documentation = include_str!("../../docs/cli-json.md");
    for (name, value) in [
        ("Device", &status["device"]),
        ("Download", &list["downloads"][0]),
        ("Delivered", &list["delivered"][0]),
        ("Component", &list["components"][0]),
        ("Job", &jobs["jobs"][0]),
    ] {
        let start = format!("- {name}: ");
        let line = documentation.lines().find_map(|line| line.strip_prefix(&start)).expect(name);
        let mut documented: Vec<&str> =
            line.trim_end_matches('.').split(", ").map(|w| w.trim_matches('`')).collect();
        let mut printed: Vec<&str> = value.as_object().expect(name).keys().map(String::as_str).collect();
        documented.sort_unstable();
        printed.sort_unstable();
        assert_eq!(printed, documented, "{name}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_panic() {
    let device = Device::started();
    for line in ["list", "completions bash", "--json status", "history"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = scomoctl(&device);
        let output = command.args(line.split(' ')).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(141), "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
}

/// A command that is under way, with its standard error.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(device: &Device, line: &str) -> Self {
        let mut command = scomoctl(device);
        command.args(line.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Reads lines until one holds `text`.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ended before it said '{text}'");
            if line.contains(text) {
                return line;
            }
        }
    }
}

#[test]
fn ctrl_c_leaves_the_job_and_says_so() {
    let mut device = Device::new(Policy::Open, "");
    device.set_world(HANGING_FETCH);
    device.start();
    let mut install = Running::start(&device, "install sim:app@1");
    install.wait_for("fetching");
    signal(install.child.id(), "INT");
    let line = install.wait_for("goes on");
    assert!(line.contains("scomoctl cancel 1") && line.contains("Ctrl-C again"), "{line}");
    assert!(install.child.try_wait().unwrap().is_none());
    signal(install.child.id(), "INT");
    assert_eq!(wait_for_end(&mut install.child).code(), Some(130));
    let (code, text) = run(scomoctl(&device).args(["cancel", "1"]));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("was cancelled"), "{text}");
}

#[test]
fn watching_outlives_a_daemon_that_restarts() {
    let mut device = Device::new(Policy::Open, "");
    device.set_world(&slow_world(Duration::from_millis(400)));
    device.start();
    let mut install = Running::start(&device, "install sim:app@1");
    install.wait_for("fetching");
    device.kill();
    install.wait_for("went away");
    device.start();
    assert_eq!(wait_for_end(&mut install.child).code(), Some(0));
    let mut text = String::new();
    install.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "job 1 (DownloadInstall app) done: app 1\n");
}

#[test]
fn a_terminal_gets_a_bar() {
    let mut device = Device::new(Policy::Open, "");
    device.set_world(&slow_world(Duration::from_millis(200)));
    device.start();
    let line = format!("{} install sim:app@1", env!("CARGO_BIN_EXE_scomoctl"));
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]).env("SCOMO_BUS_ADDRESS", device.address());
    let (code, text) = run(&mut command);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains('█') && text.contains("fetching app"), "{text}");
    assert!(text.trim_end().ends_with("job 1 (DownloadInstall app) done: app 1"), "{text}");
}

#[test]
fn a_relative_layout_is_made_absolute() {
    let device = Device::started();
    let mut command = scomoctl(&device);
    command.current_dir(device.path()).args(["--json", "install", "oci:layout:v1", "--pkg-id", "p"]);
    let (_, text) = run(&mut command);
    // The simulated backend refuses the source and says it.
    let url = format!("oci:{}/layout:v1", device.path().display());
    assert!(text.contains(&url), "{text}");
}

#[test]
fn a_delivered_package_is_installed_by_its_id() {
    let device = Device::started();
    let file = device.path().join("demo-1.scomo");
    std::fs::write(&file, "no archive").unwrap();
    let (code, text) = run(scomoctl(&device).arg("deliver").arg(&file));
    assert_eq!((code, text.as_str()), (0, "delivered as 'demo-1'; 'scomoctl install demo-1' installs it\n"));
    // The simulated backend reads no archives.
    let (code, text) = run(scomoctl(&device).args(["install", "demo-1"]));
    assert_eq!(code, 14, "{text}");
    assert_eq!(run(scomoctl(&device).args(["remove", "demo-1"])).0, 0);
}

#[test]
fn a_job_whose_object_is_gone_is_still_remembered() {
    let device = Device::started();
    for _ in 0..18 {
        run(scomoctl(&device).args(["install", "sim:missing@1"]));
    }
    let (_, jobs) = run(scomoctl(&device).args(["jobs", "--all"]));
    assert!(!jobs.contains("\n1 ") && jobs.contains("\n3 "), "{jobs}");
    let (code, text) = run(scomoctl(&device).args(["wait", "1"]));
    assert_eq!(code, 10, "{text}");
    assert!(text.contains("job 1 (DownloadInstall missing) failed with code 1402"), "{text}");
}

#[test]
fn without_a_daemon_it_says_where_to_look() {
    let mut device = Device::started();
    assert!(device.terminate().success());
    let began = Instant::now();
    let (code, text) = run(scomoctl(&device).arg("status"));
    assert_eq!(code, 6);
    assert!(text.contains("systemctl status scomod") && text.contains("--bus"), "{text}");
    let (code, _) = run(scomoctl(&device).args(["--bus", "unix:path=/nonexistent", "status"]));
    assert_eq!(code, 6);
    assert!(began.elapsed() < PATIENCE);
}
