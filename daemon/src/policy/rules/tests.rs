use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::{Pin, pin};

use scomo_core::id::JobId;
use tokio::sync::watch;

use super::*;
use crate::policy::clock::Clock;
use crate::policy::config::PolicyConfig;
use crate::policy::inhibitors::Inhibitor;
use crate::policy::place::About;

const PATIENCE: Duration = Duration::from_secs(30);
/// 2026-11-21, a Saturday, at noon.
const NOON: Millis = Millis(1_795_262_400_000);
const HOUR: u64 = 3_600_000;

/// A policy with a clock that the test sets.
struct Lab {
    policy: Policy,
    clock: watch::Sender<Millis>,
    folder: tempfile::TempDir,
}

impl Lab {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config: PolicyConfig = toml::from_str(&format!("time_zone = 'UTC'\n{config}")).unwrap();
        config.hook_dirs = vec![folder.path().to_owned()];
        let clock = watch::Sender::new(NOON);
        let policy = Policy::with(config, Clock::Set(clock.clone()), None);
        Self { policy, clock, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn hook(&self, script: &str) {
        let path = self.path().join("pre-install.d/hook");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn inhibit(&self) -> std::os::fd::OwnedFd {
        let what = [Point::Install].into();
        let (who, why) = ("backup".to_owned(), "nightly".to_owned());
        self.policy.inhibitors.take(Inhibitor { what, who, why, uid: 0, pid: 1, since: NOON }).unwrap()
    }

    /// Goes on with `waiting` until it waits for something that is said in these words.
    async fn waits_for(&self, waiting: &mut Pin<&mut impl Future<Output = Result<(), Failure>>>, why: &str) {
        let mut waits = self.policy.waits.subscribe();
        tokio::select! {
            biased;
            ended = waiting => panic!("it did not wait for '{why}': {ended:?}"),
            said = waits.wait_for(|waits| waits.gate.contains(why)) => drop(said.unwrap()),
        }
    }
}

fn place() -> Place {
    Place { point: Point::Install, job: JobId(7), gate: None, ignore_window: false, about: About::default() }
}

fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, body).await.expect("in time") });
}

const SUNDAY: &str = "install = 'in-window'\nwindows = ['Sun 01:00-02:00']\n";

#[test]
fn a_window_is_waited_for_however_the_clock_is_set() {
    run(async {
        let lab = Lab::new(SUNDAY);
        let place = place();
        let mut waiting = pin!(lab.policy.until_allowed(&place));
        lab.waits_for(&mut waiting, "maintenance window opens Sun 01:00").await;
        // Past the window: it waits for the next one.
        lab.clock.send_replace(Millis(NOON.0 + 24 * HOUR));
        lab.policy.say(Point::Install, "looked away");
        lab.waits_for(&mut waiting, "opens Sun 01:00").await;
        // Set back, but not far enough.
        lab.clock.send_replace(Millis(NOON.0 + HOUR));
        lab.policy.say(Point::Install, "looked away");
        lab.waits_for(&mut waiting, "opens Sun 01:00").await;
        lab.clock.send_replace(Millis(NOON.0 + 13 * HOUR));
        assert_eq!(waiting.await, Ok(()));
        assert_eq!(lab.policy.waits.borrow().gate, "", "nothing is waited for any more");
    });
}

#[test]
fn an_inhibitor_is_waited_for_also_in_a_window() {
    run(async {
        let lab = Lab::new("install = 'in-window'\nwindows = ['00:00-24:00']\n");
        let lock = lab.inhibit();
        let place = place();
        let mut waiting = pin!(lab.policy.until_allowed(&place));
        lab.waits_for(&mut waiting, "inhibited by backup (pid 1): nightly").await;
        drop(lock);
        assert_eq!(waiting.await, Ok(()));
    });
}

#[test]
fn approval_ends_the_waiting_for_a_window() {
    run(async {
        let lab = Lab::new(SUNDAY);
        let place = place();
        let mut waiting = pin!(lab.policy.until_allowed(&place));
        lab.waits_for(&mut waiting, "maintenance window").await;
        lab.policy.approved().insert((JobId(7), Point::Download));
        lab.policy.changed.send_replace(());
        lab.policy.say(Point::Install, "looked away");
        lab.waits_for(&mut waiting, "maintenance window").await;
        lab.policy.approved().insert((JobId(7), Point::Install));
        lab.policy.changed.send_replace(());
        assert_eq!(waiting.await, Ok(()));
    });
}

#[test]
fn a_hook_refuses_or_is_asked_again_later() {
    run(async {
        let lab = Lab::new("");
        lab.hook("echo 'not here' >&2; exit 1");
        let refused = lab.policy.until_allowed(&place()).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Forbidden);
        assert_eq!(refused.detail, "hook pre-install/hook: not here");

        let asked = lab.path().join("asked");
        lab.hook(&format!("echo x >> {}; echo driving >&2; exit 75", asked.display()));
        let place = place();
        let mut waiting = pin!(lab.policy.until_allowed(&place));
        lab.waits_for(&mut waiting, "hook pre-install/hook: driving").await;
        let times = || fs::read_to_string(&asked).unwrap().lines().count();
        assert_eq!(times(), 1);
        // Not before its time, and then at longer and longer intervals.
        for (step, expected) in [(29_999, 1), (1, 2), (59_999, 2), (1, 3)] {
            lab.clock.send_modify(|time| time.0 += step);
            if times() == expected {
                let soon = tokio::time::timeout(Duration::ZERO, waiting.as_mut()).await;
                assert!(soon.is_err());
            }
            lab.policy.say(Point::Install, "looked away");
            if step == 1 {
                lab.waits_for(&mut waiting, "driving").await;
            }
            assert_eq!(times(), expected);
        }
        lab.hook("exit 0");
        lab.clock.send_modify(|time| time.0 += 120_000);
        assert_eq!(waiting.await, Ok(()));
    });
}

#[test]
fn what_comes_while_a_hook_runs_counts_too() {
    run(async {
        let lab = Lab::new("");
        let (begun, go) = (lab.path().join("begun"), lab.path().join("go"));
        lab.hook(&format!("mkdir {}; until test -e {}; do sleep 0.01; done", begun.display(), go.display()));
        let place = place();
        let mut waiting = pin!(lab.policy.until_allowed(&place));
        while !begun.exists() {
            assert!(tokio::time::timeout(Duration::from_millis(5), waiting.as_mut()).await.is_err());
        }
        let lock = lab.inhibit();
        fs::write(&go, "").unwrap();
        lab.waits_for(&mut waiting, "inhibited by backup").await;
        lab.hook("exit 0");
        drop(lock);
        assert_eq!(waiting.await, Ok(()));
    });
}

#[test]
fn without_an_answer_the_setting_decides() {
    run(async {
        let with = |unanswered: &str| {
            Lab::new(&format!("consent = ['install']\nconsent_unanswered = '{unanswered}'\n"))
        };
        assert_eq!(with("allow").policy.until_allowed(&place()).await, Ok(()));
        let denied = with("deny").policy.until_allowed(&place()).await.unwrap_err();
        assert_eq!(denied.kind, FailureKind::Forbidden);
        let lab = with("wait");
        let place = place();
        let mut waiting = pin!(lab.policy.until_allowed(&place));
        lab.waits_for(&mut waiting, "consent of the user, who did not answer: scomoctl approve 7").await;
        lab.policy.approved().insert((JobId(7), Point::Install));
        lab.policy.changed.send_replace(());
        assert_eq!(waiting.await, Ok(()));
        // Other points need no consent.
        let download = Place { point: Point::Download, ..place.clone() };
        assert_eq!(with("deny").policy.until_allowed(&download).await, Ok(()));
    });
}

#[test]
fn an_environment_that_the_package_itself_names_is_checked() {
    run(async {
        let lab = Lab::new("env_types = ['urn:a']\n");
        let of = |env_type: &str| Place {
            about: About { env_type: env_type.to_owned(), ..About::default() },
            ..place()
        };
        assert_eq!(lab.policy.until_allowed(&of("urn:a")).await, Ok(()));
        let refused = lab.policy.until_allowed(&of("urn:b")).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Unsupported);
    });
}
