//! The simulated backend.

use std::time::{Duration, Instant};

use scomo_core::effect::{Inventory, Progress, Target};
use scomo_core::failure::FailureKind;
use scomo_core::id::{ComponentId, PackageId, ReleaseId};
use scomo_core::spec::{ComponentKind, Content, Release};

use super::source::{SIZE, flag, resolve};
use super::{CHUNKS, Deployed, FaultAction, SimBoot, SimWorld, StepName, Stored};
use crate::backend::{Backend, BackendError, StepCx};
use crate::boot::BootControl;

/// How often a waiting step looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(2);

/// A backend on a simulated device.
#[derive(Debug)]
pub struct SimBackend {
    world: SimWorld,
    kind: ComponentKind,
    die: fn() -> BackendError,
}

impl SimBackend {
    /// A backend for one kind. When it is ordered to die it fails with [`FailureKind::Interrupted`], which is what
    /// the engine makes of a worker that ends without an outcome.
    #[must_use]
    pub fn new(world: SimWorld, kind: ComponentKind) -> Self {
        Self { world, kind, die: || BackendError::new(FailureKind::Interrupted, "the worker died") }
    }

    /// A backend in a process of its own, which really dies.
    #[must_use]
    pub fn in_process(world: SimWorld, kind: ComponentKind) -> Self {
        Self { die: || std::process::abort(), ..Self::new(world, kind) }
    }

    /// Counts the call and lets a fault happen, or says when in the step the worker is to die.
    fn begin(&self, step: StepName, cx: &StepCx) -> Result<Death, BackendError> {
        check(cx)?;
        match self.world.with(|world| world.begin(step)) {
            None => Ok(Death::No),
            Some(FaultAction::Fail(kind)) => Err(BackendError::new(kind, "a fault was ordered")),
            Some(FaultAction::Hang) => {
                wait(None, cx)?;
                Ok(Death::No)
            }
            Some(FaultAction::DieHalfWay) => Ok(Death::HalfWay),
            Some(FaultAction::DieAfter) => Ok(Death::After),
        }
    }

    fn end<T>(&self, death: Death, value: T) -> Result<T, BackendError> {
        if death == Death::After { Err((self.die)()) } else { Ok(value) }
    }

    fn switch_os(&self, id: &ComponentId, target: &Target) -> Result<bool, BackendError> {
        let mut boot = SimBoot::new(self.world.clone());
        let booted = boot.booted()?;
        let Target::Active(release) = target else {
            let old = self.world.with(|world| match target.release() {
                Some(release) => {
                    let inactive = Deployed { release: release.clone(), running: false };
                    world.deployed.insert(id.clone(), inactive)
                }
                None => world.deployed.remove(id),
            });
            let old = old.as_ref().map(|old| &old.release).or(target.release());
            let Some(old) = old else { return Ok(false) };
            boot.mark_bad(&old.id, booted.as_ref().filter(|id| **id != old.id))?;
            // What is booted goes with the next boot.
            return Ok(booted.as_ref() == Some(&old.id));
        };
        if booted.as_ref() == Some(&release.id) {
            self.world.with(|world| world.boot.trial = None);
        } else {
            boot.set_try_next(&release.id)?;
        }
        let running = booted.as_ref() == Some(&release.id);
        let deployed = Deployed { release: release.clone(), running };
        self.world.with(|world| world.deployed.insert(id.clone(), deployed));
        Ok(!running)
    }

    fn inventory(&self) -> Inventory {
        if self.kind == ComponentKind::Os {
            let running = self.world.with(|world| world.boot.booted.clone()).into_iter().collect();
            return Inventory { running, persistent: true, ..Inventory::default() };
        }
        let running = self.world.with(|world| {
            let running = world.deployed.values().filter(|c| c.running && c.release.spec.kind == self.kind);
            running.map(|c| c.release.id.clone()).collect()
        });
        Inventory { running, ..Inventory::default() }
    }

    fn need_staged(&self, release: &Release) -> Result<(), BackendError> {
        let staged = self.world.with(|world| world.stored.get(&release.id).is_some_and(|s| s.staged));
        let what = format!("{} is not staged; fetch and stage it first", release.id);
        staged.then_some(()).ok_or_else(|| BackendError::new(FailureKind::NotFound, what))
    }
}

/// When a worker is to die in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    No,
    HalfWay,
    After,
}

fn check(cx: &StepCx) -> Result<(), BackendError> {
    if cx.cancelled() { Err(BackendError::new(FailureKind::Cancelled, "cancelled")) } else { Ok(()) }
}

/// Waits for a time, or until the step is cancelled.
fn wait(time: Option<Duration>, cx: &StepCx) -> Result<(), BackendError> {
    let begun = Instant::now();
    while time.is_none_or(|time| begun.elapsed() < time) {
        check(cx)?;
        std::thread::sleep(LOOK);
    }
    check(cx)
}

impl Backend for SimBackend {
    fn resolve(&mut self, _package: &PackageId, source: &str, cx: &StepCx) -> Result<Content, BackendError> {
        let death = self.begin(StepName::Resolve, cx)?;
        if death == Death::HalfWay {
            return Err((self.die)());
        }
        self.end(death, resolve(source)?)
    }

    fn fetch(&mut self, release: &Release, cx: &StepCx) -> Result<u64, BackendError> {
        let death = self.begin(StepName::Fetch, cx)?;
        let size = if flag(release) == "huge" { 1 << 40 } else { SIZE };
        if let Some(size) = self.world.with(|world| world.stored.get(&release.id).map(|s| s.size)) {
            return self.end(death, size);
        }
        let fits = self.world.with(|world| {
            let free = world.capacity.map(|capacity| capacity.saturating_sub(world.used()));
            free.is_none_or(|free| size <= free)
        });
        if !fits {
            return Err(BackendError::new(FailureKind::NoSpace, "the simulated disk is full"));
        }
        self.world.with(|world| world.partial.insert(release.id.clone()));
        let pace = self.world.with(|world| world.pace);
        for chunk in 1..=CHUNKS {
            wait((!pace.is_zero()).then_some(pace).or(Some(Duration::ZERO)), cx)?;
            let bytes_done = size.saturating_mul(chunk) / CHUNKS;
            cx.progress(Progress { bytes_done, bytes_total: size, ..Progress::default() });
            check(cx)?;
            if chunk == CHUNKS / 2 && death == Death::HalfWay {
                return Err((self.die)());
            }
            if chunk == CHUNKS / 2 && flag(release) == "corrupt" {
                return Err(BackendError::new(FailureKind::Corrupt, "the payload has another digest"));
            }
        }
        self.world.with(|world| {
            world.partial.remove(&release.id);
            world.stored.insert(release.id.clone(), Stored { kind: self.kind, size, staged: false });
        });
        self.end(death, size)
    }

    fn stage(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        let death = self.begin(StepName::Stage, cx)?;
        if death == Death::HalfWay {
            return Err((self.die)());
        }
        let found = self.world.with(|world| world.stored.get_mut(&release.id).map(|s| s.staged = true));
        let what = format!("{} is not on the device; fetch it first", release.id);
        found.ok_or_else(|| BackendError::new(FailureKind::NotFound, what))?;
        self.end(death, ())
    }

    fn switch(&mut self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<bool, BackendError> {
        let death = self.begin(StepName::Switch, cx)?;
        if let Some(release) = target.release() {
            self.need_staged(release)?;
        }
        if self.kind == ComponentKind::Os {
            if death == Death::HalfWay {
                return Err((self.die)());
            }
            let reboot_needed = self.switch_os(id, target)?;
            return self.end(death, reboot_needed);
        }
        self.world.with(|world| world.deployed.get_mut(id).map(|c| c.running = false));
        if death == Death::HalfWay {
            return Err((self.die)());
        }
        self.world.with(|world| match target {
            Target::Absent => world.deployed.remove(id),
            Target::Inactive(release) | Target::Active(release) => {
                let running = matches!(target, Target::Active(_));
                world.deployed.insert(id.clone(), Deployed { release: release.clone(), running })
            }
        });
        self.end(death, false)
    }

    fn probe(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        let death = self.begin(StepName::Probe, cx)?;
        if death == Death::HalfWay {
            return Err((self.die)());
        }
        let running = self.inventory().running.contains(&release.id);
        if !running || flag(release) == "unhealthy" {
            let what = format!("{} {} is not healthy", release.spec.id, release.spec.version);
            return Err(BackendError::new(FailureKind::Unhealthy, what));
        }
        self.end(death, ())
    }

    fn confirm(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        let death = self.begin(StepName::Confirm, cx)?;
        if death == Death::HalfWay {
            return Err((self.die)());
        }
        if self.kind == ComponentKind::Os {
            SimBoot::new(self.world.clone()).mark_good(&release.id)?;
        }
        self.end(death, ())
    }

    fn collect(&mut self, keep: &[Release], cx: &StepCx) -> Result<(), BackendError> {
        let death = self.begin(StepName::Collect, cx)?;
        let kept = |id: &ReleaseId| keep.iter().any(|release| release.id == *id);
        self.world.with(|world| {
            world.partial.clear();
            let booted = world.boot.booted.clone();
            let of_others = |kind| kind != self.kind;
            world.deployed.retain(|_, c| of_others(c.release.spec.kind) || kept(&c.release.id));
            if death == Death::HalfWay {
                return;
            }
            let needed = |id: &ReleaseId| kept(id) || booted.as_ref() == Some(id);
            world.stored.retain(|id, stored| of_others(stored.kind) || needed(id));
        });
        if death == Death::HalfWay { Err((self.die)()) } else { self.end(death, ()) }
    }

    fn observe(&mut self) -> Result<Inventory, BackendError> {
        match self.world.with(|world| world.begin(StepName::Observe)) {
            None => Ok(self.inventory()),
            Some(FaultAction::Fail(kind)) => Err(BackendError::new(kind, "a fault was ordered")),
            Some(FaultAction::Hang | FaultAction::DieHalfWay | FaultAction::DieAfter) => Err((self.die)()),
        }
    }

    fn logs(&mut self, id: &ComponentId, lines: usize) -> Result<String, BackendError> {
        let version = self.world.with(|world| world.deployed.get(id).map(|c| c.release.spec.version.clone()));
        let what = format!("there is no component '{id}'");
        let version = version.ok_or_else(|| BackendError::new(FailureKind::NotFound, what))?;
        let all = [format!("{id} {version} starts\n"), format!("{id} {version} is ready\n")];
        Ok(all.iter().skip(all.len().saturating_sub(lines)).map(String::as_str).collect())
    }
}
