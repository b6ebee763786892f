//! What people say about when updates may happen.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../../daemon/tests/harness/mod.rs"]
mod harness;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use harness::{Device, PATIENCE, Policy, run};

fn device(policy: &str) -> Device {
    let mut device = Device::new(Policy::Open, &format!("[policy]\n{policy}\n"));
    device.start();
    device
}

fn scomoctl(device: &Device, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scomoctl"));
    command.args(line.split(' ')).env("SCOMO_BUS_ADDRESS", device.address());
    command
}

fn say(device: &Device, line: &str) -> (i32, String) {
    run(&mut scomoctl(device, line))
}

/// Says it again until the answer holds `text`.
fn until(device: &Device, line: &str, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, said) = say(device, line);
        if said.contains(text) {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
    }
}

#[test]
fn a_job_is_approved_or_refused() {
    let device = device("install = 'when-approved'");
    assert_eq!(say(&device, "install --no-wait sim:app@1").0, 0);
    until(&device, "status", "awaiting-install, waits for: approval: scomoctl approve 1");
    assert_eq!(say(&device, "approve 1"), (0, "job 1: approved\n".to_owned()));
    assert_eq!(say(&device, "wait 1").0, 0);
    assert_eq!(say(&device, "install --no-wait sim:app@2").0, 0);
    until(&device, "status", "approve 2");
    assert_eq!(say(&device, "refuse 2 --reason tomorrow"), (0, "job 2: refused\n".to_owned()));
    assert_eq!(say(&device, "wait 2").0, 20);
    let (code, text) = say(&device, "history -n 1");
    assert!(code == 0 && text.contains("refused the update: tomorrow"), "{text}");
    let (code, text) = say(&device, "approve 2");
    assert!(code != 0 && text.contains("does not wait for approval"), "{text}");
}

#[test]
fn updates_are_held_back_as_long_as_a_command_runs() {
    let device = device("");
    let listing =
        format!("inhibit --why nightly --who backup -- {} inhibitors", env!("CARGO_BIN_EXE_scomoctl"));
    let deadline = Instant::now() + PATIENCE;
    // The bus shows it a moment after it is held.
    while !say(&device, &listing).1.contains("install:reboot  backup") {
        assert!(Instant::now() < deadline);
    }
    until(&device, "inhibitors", "Nobody holds updates back.");
    assert_eq!(say(&device, "inhibit --why x -- false").0, 1);
    let (code, text) = say(&device, "inhibit --why x -- /nonexistent");
    assert!(code == 3 && text.contains("cannot run '/nonexistent'"), "{code} {text}");
    assert_eq!(say(&device, "inhibit --why x --what sleep -- true").0, 2);
    let (code, text) = say(&device, "reboot");
    assert!(code == 1 && text.contains("'reboot_command' is empty"), "{code} {text}");
    assert_eq!(say(&device, "reports"), (0, "No report waits.\n".to_owned()));
    assert_eq!(say(&device, "reports --ack 1").0, 3);
}

#[test]
fn an_agent_answers_for_people() {
    let device = device("consent = ['install']");
    for (answer, code) in [("--no", 20), ("--yes", 0)] {
        let mut command = scomoctl(&device, &format!("agent {answer}"));
        let mut agent = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(agent.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("Ctrl-C ends it"), "{line}");
        let (ended, text) = say(&device, "install sim:app@1");
        assert_eq!(ended, code, "{text}");
        line.clear();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("Install it now?"), "{line}");
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
}
