use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scomo_core::effect::Target;
use scomo_core::id::PackageId;

use super::*;
use crate::backend::{Backend, StepCx};
use crate::conformance::{self, Harness, Sources};

struct Device {
    world: SimWorld,
    component: &'static str,
}

impl Device {
    fn kind(&self) -> ComponentKind {
        if self.component == "os" { ComponentKind::Os } else { ComponentKind::Container }
    }
}

impl Harness for Device {
    fn open(&mut self) -> Box<dyn Backend> {
        Box::new(SimBackend::new(self.world.clone(), self.kind()))
    }

    fn sources(&mut self) -> Sources {
        let component = self.component;
        Sources {
            package: PackageId::new("demo").expect("id"),
            v1: format!("sim:demo@1?{component}"),
            v2: format!("sim:demo@2?{component}"),
            corrupt: format!("sim:demo@3?{component}=corrupt"),
            unknown: "sim:missing@1".to_owned(),
            unhealthy: Some(format!("sim:demo@4?{component}=unhealthy")),
        }
    }

    fn reboot(&mut self) {
        self.world.reboot();
    }

    fn stored(&mut self) -> Vec<String> {
        self.world.with(|w| w.stored.keys().chain(&w.partial).map(ToString::to_string).collect())
    }

    fn fill_disk(&mut self) -> Option<Box<dyn Any>> {
        struct Full(SimWorld);
        impl Drop for Full {
            fn drop(&mut self) {
                self.0.with(|w| w.capacity = None);
            }
        }
        self.world.with(|w| w.capacity = Some(w.used()));
        Some(Box::new(Full(self.world.clone())))
    }
}

#[test]
fn simulated_containers_conform() {
    conformance::run(&mut || Box::new(Device { world: SimWorld::default(), component: "web" }));
}

#[test]
fn a_simulated_os_conforms() {
    conformance::run(&mut || Box::new(Device { world: SimWorld::default(), component: "os" }));
}

fn release(source: &str) -> Release {
    source::resolve(source).expect("resolve").releases.remove(0)
}

fn prepared(world: &SimWorld, kind: ComponentKind, source: &str) -> Release {
    let release = release(source);
    let mut backend = SimBackend::new(world.clone(), kind);
    backend.fetch(&release, &StepCx::detached()).expect("fetch");
    backend.stage(&release, &StepCx::detached()).expect("stage");
    release
}

#[test]
fn faults_happen_once_at_their_call() {
    let world = SimWorld::default();
    let release = release("sim:a@1");
    world.order(StepName::Fetch, 1, FaultAction::Fail(FailureKind::Server));
    world.order(StepName::Fetch, 0, FaultAction::DieHalfWay);
    let mut backend = SimBackend::new(world.clone(), ComponentKind::Container);
    let mut fetch = || backend.fetch(&release, &StepCx::detached()).map_err(|e| e.kind);
    assert_eq!(fetch(), Err(FailureKind::Interrupted));
    assert!(world.with(|w| w.partial.contains(&release.id) && w.stored.is_empty()));
    assert_eq!(fetch(), Err(FailureKind::Server));
    assert_eq!(fetch(), Ok(source::SIZE));
    assert!(world.with(|w| w.partial.is_empty() && w.faults.is_empty()));
}

#[test]
fn a_hanging_step_ends_when_it_is_cancelled() {
    let world = SimWorld::default();
    world.order(StepName::Fetch, 0, FaultAction::Hang);
    let cancelled = Arc::new(AtomicBool::new(false));
    let cx = StepCx::new(|_| {}, Arc::clone(&cancelled));
    let mut backend = SimBackend::new(world.clone(), ComponentKind::Container);
    let step = std::thread::spawn(move || backend.fetch(&release("sim:a@1"), &cx).map_err(|e| e.kind));
    while world.with(|w| w.calls.is_empty()) {
        std::thread::yield_now();
    }
    assert!(!step.is_finished());
    cancelled.store(true, Ordering::Relaxed);
    assert_eq!(step.join().expect("join"), Err(FailureKind::Cancelled));
}

#[test]
fn an_os_that_does_not_boot_or_is_not_marked_good_falls_back() {
    let world = SimWorld::default();
    let mut backend = SimBackend::new(world.clone(), ComponentKind::Os);
    let cx = StepCx::detached();
    let v1 = prepared(&world, ComponentKind::Os, "sim:os@1?os");
    assert!(backend.switch(&v1.spec.id, &Target::Active(v1.clone()), &cx).expect("switch"));
    world.reboot();
    backend.confirm(&v1, &cx).expect("confirm");
    let v2 = prepared(&world, ComponentKind::Os, "sim:os@2?os");
    let booted = |world: &SimWorld| world.with(|w| w.boot.booted.clone());

    world.with(|w| w.boot.unbootable.insert(v2.id.clone()));
    assert!(backend.switch(&v2.spec.id, &Target::Active(v2.clone()), &cx).expect("switch"));
    world.reboot();
    assert_eq!(booted(&world), Some(v1.id.clone()));

    world.with(|w| w.boot.unbootable.clear());
    backend.switch(&v2.spec.id, &Target::Active(v2.clone()), &cx).expect("switch");
    world.reboot();
    assert_eq!(booted(&world), Some(v2.id.clone()));
    world.reboot();
    assert_eq!(booted(&world), Some(v1.id.clone()), "a trial that was not confirmed is over");
}

#[test]
fn a_device_in_a_file_outlives_its_handles() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("world.json");
    let v1 = prepared(&SimWorld::at(file.clone()), ComponentKind::Container, "sim:a@1");
    assert!(SimWorld::at(file).with(|w| w.stored.contains_key(&v1.id)));
}
