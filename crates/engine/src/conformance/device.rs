//! What the cases do with a device, in their own words.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use scomo_core::effect::{Progress, Target};
use scomo_core::failure::FailureKind;
use scomo_core::spec::{Content, Release};

use super::{Harness, Sources};
use crate::backend::{Backend, BackendError, StepCx, chain};

/// A device under test. Every step opens the backend anew.
pub(super) struct Device<'a> {
    pub(super) harness: &'a mut dyn Harness,
    pub(super) sources: Sources,
}

impl<'a> Device<'a> {
    pub(super) fn new(harness: &'a mut dyn Harness) -> Self {
        let sources = harness.sources();
        Self { harness, sources }
    }

    pub(super) fn open(&mut self) -> Box<dyn Backend> {
        self.harness.open()
    }

    pub(super) fn try_resolve(&mut self, source: &str) -> Result<Content, BackendError> {
        let package = self.sources.package.clone();
        self.open().resolve(&package, source, &StepCx::detached())
    }

    /// The one release that `source` holds.
    pub(super) fn resolve(&mut self, source: &str) -> Release {
        let content = ok("resolve", self.try_resolve(source));
        assert_eq!(content.releases.len(), 1, "{source} must hold one component");
        content.releases[0].clone()
    }

    pub(super) fn v1(&mut self) -> Release {
        self.resolve(&self.sources.v1.clone())
    }

    pub(super) fn v2(&mut self) -> Release {
        self.resolve(&self.sources.v2.clone())
    }

    pub(super) fn try_fetch(&mut self, release: &Release) -> Result<u64, BackendError> {
        self.open().fetch(release, &StepCx::detached())
    }

    pub(super) fn prepare(&mut self, release: &Release) {
        ok("fetch", self.try_fetch(release));
        ok("stage", self.open().stage(release, &StepCx::detached()));
    }

    pub(super) fn try_switch(&mut self, release: &Release, target: &Target) -> Result<bool, BackendError> {
        self.open().switch(&release.spec.id, target, &StepCx::detached())
    }

    /// Switches, and boots when that is what it takes.
    pub(super) fn switch(&mut self, release: &Release, target: &Target) {
        if ok("switch", self.try_switch(release, target)) {
            self.harness.reboot();
        }
    }

    /// Fetches, stages, switches to and confirms.
    pub(super) fn install(&mut self, release: &Release) {
        self.prepare(release);
        self.activate(release);
    }

    /// Switches to and confirms what is prepared.
    pub(super) fn activate(&mut self, release: &Release) {
        self.switch(release, &Target::Active(release.clone()));
        ok("probe", self.open().probe(release, &StepCx::detached()));
        ok("confirm", self.open().confirm(release, &StepCx::detached()));
    }

    pub(super) fn runs(&mut self, release: &Release) -> bool {
        ok("observe", self.open().observe()).running.contains(&release.id)
    }

    /// Whether what runs goes on by itself after a reboot: then it cannot be stopped either.
    pub(super) fn is_persistent(&mut self) -> bool {
        ok("observe", self.open().observe()).persistent
    }

    pub(super) fn collect(&mut self, keep: &[&Release]) {
        let keep: Vec<Release> = keep.iter().copied().cloned().collect();
        ok("collect", self.open().collect(&keep, &StepCx::detached()));
    }

    pub(super) fn assert_runs_only(&mut self, release: &Release, others: &[&Release]) {
        assert!(self.runs(release), "{} does not run", release.spec.version);
        for other in others {
            assert!(!self.runs(other), "{} runs too", other.spec.version);
        }
    }
}

/// The value of a step that must succeed.
#[track_caller]
pub(super) fn ok<T>(step: &str, result: Result<T, BackendError>) -> T {
    result.unwrap_or_else(|e| panic!("{step} failed ({}): {}", e.kind.as_str(), chain(&e)))
}

/// The kind of a step that must fail.
#[track_caller]
pub(super) fn failed<T: std::fmt::Debug>(step: &str, result: Result<T, BackendError>) -> FailureKind {
    let error = result.expect_err(step);
    assert!(!error.message.is_empty(), "{step} failed without a word");
    error.kind
}

/// A context that remembers progress and cancels itself at the `cancel_at`-th report, if any.
pub(super) fn watched(cancel_at: Option<usize>) -> (StepCx, Arc<Mutex<Vec<Progress>>>) {
    let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let cancelled = Arc::new(AtomicBool::new(cancel_at == Some(0)));
    let (log, flag) = (Arc::clone(&seen), Arc::clone(&cancelled));
    let cx = StepCx::new(
        move |progress| {
            let mut log = log.lock().expect("lock");
            log.push(progress);
            if cancel_at == Some(log.len()) {
                flag.store(true, Ordering::Relaxed);
            }
        },
        cancelled,
    );
    (cx, seen)
}
