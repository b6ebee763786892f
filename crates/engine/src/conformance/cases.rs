//! The cases. Each says in its name what every backend does.

use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;

use super::device::{Device, failed, ok, watched};
use super::{Case, Harness};
use crate::backend::StepCx;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(super) const ALL: &[Case] = &[$((stringify!($name), $name)),+];
    };
}

cases!(
    resolving_is_repeatable_and_stores_nothing,
    what_is_not_there_is_not_found,
    a_source_of_another_kind_is_refused,
    every_step_can_be_done_twice,
    an_update_and_its_way_back_need_no_second_fetch,
    a_component_can_be_stopped_started_and_removed,
    a_corrupt_payload_leaves_what_runs_untouched,
    a_cancelled_step_can_be_done_again,
    what_is_not_fetched_cannot_be_switched_to,
    collecting_keeps_what_is_kept_and_deletes_the_rest,
    what_nothing_keeps_is_stopped_and_deleted,
    unhealthy_software_is_found_and_reversed,
    a_full_disk_leaves_what_runs_untouched,
    progress_grows_towards_its_total,
    logs_have_an_owner,
);

fn resolving_is_repeatable_and_stores_nothing(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let before = device.harness.stored();
    let source = device.sources.v1.clone();
    let first = ok("resolve", device.try_resolve(&source));
    let second = ok("resolve again", device.try_resolve(&source));
    assert_eq!(first, second);
    assert_eq!(device.harness.stored(), before);
    let (v1, v2) = (device.v1(), device.v2());
    assert_eq!(v1.spec.id, v2.spec.id, "the harness must offer one component");
    assert_ne!(v1.id, v2.id, "different releases must have different ids");
    assert_eq!(v1.source, source, "a release must name the source that it came from");
}

fn what_is_not_there_is_not_found(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let unknown = device.sources.unknown.clone();
    assert_eq!(failed("resolve", device.try_resolve(&unknown)), FailureKind::NotFound);
}

fn a_source_of_another_kind_is_refused(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    for source in ["gopher://example.org/1", "", "docker:", "\u{fffd}"] {
        let kind = failed(source, device.try_resolve(source));
        assert!(matches!(kind, FailureKind::Unsupported | FailureKind::Invalid), "{source}: {kind:?}");
    }
}

fn every_step_can_be_done_twice(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let cx = StepCx::detached();
    let v1 = device.v1();
    let size = ok("fetch", device.try_fetch(&v1));
    assert_eq!(ok("fetch again", device.try_fetch(&v1)), size);
    for _ in 0..2 {
        ok("stage", device.open().stage(&v1, &cx));
    }
    let active = Target::Active(v1.clone());
    let reboot_needed = ok("switch", device.try_switch(&v1, &active));
    assert_eq!(ok("switch again", device.try_switch(&v1, &active)), reboot_needed);
    if reboot_needed {
        device.harness.reboot();
    }
    for _ in 0..2 {
        ok("probe", device.open().probe(&v1, &cx));
    }
    for _ in 0..2 {
        ok("confirm", device.open().confirm(&v1, &cx));
    }
    assert!(!ok("switch to what runs", device.try_switch(&v1, &active)), "no reboot is needed any more");
    for _ in 0..2 {
        device.collect(&[&v1]);
    }
    // The same steps once more, on one and the same handle.
    let mut backend = device.open();
    assert_eq!(ok("fetch", backend.fetch(&v1, &cx)), size);
    ok("stage", backend.stage(&v1, &cx));
    assert!(!ok("switch", backend.switch(&v1.spec.id, &active, &cx)));
    ok("probe", backend.probe(&v1, &cx));
    drop(backend);
    device.assert_runs_only(&v1, &[]);
}

fn an_update_and_its_way_back_need_no_second_fetch(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let (v1, v2) = (device.v1(), device.v2());
    device.install(&v1);
    device.prepare(&v2);
    device.assert_runs_only(&v1, &[&v2]);
    device.activate(&v2);
    device.assert_runs_only(&v2, &[&v1]);
    device.activate(&v1);
    device.assert_runs_only(&v1, &[&v2]);
    device.activate(&v2);
    device.assert_runs_only(&v2, &[&v1]);
}

fn a_component_can_be_stopped_started_and_removed(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    if device.is_persistent() {
        return;
    }
    let v1 = device.v1();
    device.prepare(&v1);
    let inactive = Target::Inactive(v1.clone());
    for _ in 0..2 {
        device.switch(&v1, &inactive);
        assert!(!device.runs(&v1), "an inactive component runs");
    }
    device.activate(&v1);
    assert!(device.runs(&v1));
    device.switch(&v1, &inactive);
    assert!(!device.runs(&v1));
    device.activate(&v1);
    for _ in 0..2 {
        device.switch(&v1, &Target::Absent);
        assert!(!device.runs(&v1), "a removed component runs");
    }
    device.activate(&v1);
    device.assert_runs_only(&v1, &[]);
}

fn a_corrupt_payload_leaves_what_runs_untouched(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let v1 = device.v1();
    device.install(&v1);
    device.collect(&[&v1]);
    let before = device.harness.stored();
    let corrupt = device.resolve(&device.sources.corrupt.clone());
    for _ in 0..2 {
        assert_eq!(failed("fetch", device.try_fetch(&corrupt)), FailureKind::Corrupt);
    }
    device.assert_runs_only(&v1, &[&corrupt]);
    failed("switch to it", device.try_switch(&corrupt, &Target::Active(corrupt.clone())));
    device.assert_runs_only(&v1, &[&corrupt]);
    device.collect(&[&v1]);
    assert_eq!(device.harness.stored(), before, "something of the corrupt payload is left");
    device.assert_runs_only(&v1, &[]);
}

fn a_cancelled_step_can_be_done_again(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let (v1, v2) = (device.v1(), device.v2());
    device.install(&v1);
    let (cx, _) = watched(Some(0));
    let package = device.sources.package.clone();
    let source = device.sources.v2.clone();
    assert_eq!(failed("resolve", device.open().resolve(&package, &source, &cx)), FailureKind::Cancelled);
    for cancel_at in [0, 1] {
        let (cx, seen) = watched(Some(cancel_at));
        let result = device.open().fetch(&v2, &cx);
        // A small payload may be there before anybody cancels: then it is there.
        if result.is_err() || cancel_at == 0 || seen.lock().expect("lock").is_empty() {
            assert_eq!(failed("fetch", result), FailureKind::Cancelled);
        }
        device.assert_runs_only(&v1, &[&v2]);
    }
    device.prepare(&v2);
    device.activate(&v2);
    device.assert_runs_only(&v2, &[&v1]);
}

fn what_is_not_fetched_cannot_be_switched_to(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let (v1, v2) = (device.v1(), device.v2());
    failed("stage", device.open().stage(&v1, &StepCx::detached()));
    failed("switch", device.try_switch(&v1, &Target::Active(v1.clone())));
    assert!(!device.runs(&v1));
    device.install(&v1);
    failed("stage", device.open().stage(&v2, &StepCx::detached()));
    failed("switch", device.try_switch(&v2, &Target::Active(v2.clone())));
    device.assert_runs_only(&v1, &[&v2]);
}

fn collecting_keeps_what_is_kept_and_deletes_the_rest(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let (v1, v2) = (device.v1(), device.v2());
    device.install(&v1);
    device.collect(&[&v1]);
    let only_v1 = device.harness.stored();
    device.install(&v2);
    device.collect(&[&v1, &v2]);
    device.activate(&v1);
    device.assert_runs_only(&v1, &[&v2]);
    device.activate(&v2);
    device.activate(&v1);
    device.collect(&[&v1]);
    assert_eq!(device.harness.stored(), only_v1, "collecting must delete exactly what is not kept");
    failed("switch to what was deleted", device.try_switch(&v2, &Target::Active(v2.clone())));
    device.assert_runs_only(&v1, &[&v2]);
    device.install(&v2);
    device.assert_runs_only(&v2, &[&v1]);
}

fn what_nothing_keeps_is_stopped_and_deleted(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    if device.is_persistent() {
        return;
    }
    device.collect(&[]);
    let empty = device.harness.stored();
    let v1 = device.v1();
    device.install(&v1);
    assert_ne!(device.harness.stored(), empty);
    device.collect(&[]);
    assert!(!device.runs(&v1), "what nothing asks for runs");
    assert_eq!(device.harness.stored(), empty);
}

fn unhealthy_software_is_found_and_reversed(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let Some(source) = device.sources.unhealthy.clone() else { return };
    let v1 = device.v1();
    device.install(&v1);
    let bad = device.resolve(&source);
    device.prepare(&bad);
    device.switch(&bad, &Target::Active(bad.clone()));
    let probed = device.open().probe(&bad, &StepCx::detached());
    assert_eq!(failed("probe", probed), FailureKind::Unhealthy);
    device.activate(&v1);
    device.assert_runs_only(&v1, &[&bad]);
}

fn a_full_disk_leaves_what_runs_untouched(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let (v1, v2) = (device.v1(), device.v2());
    device.install(&v1);
    let Some(full) = device.harness.fill_disk() else { return };
    assert_eq!(failed("fetch", device.try_fetch(&v2)), FailureKind::NoSpace);
    device.assert_runs_only(&v1, &[&v2]);
    drop(full);
    device.install(&v2);
    device.assert_runs_only(&v2, &[&v1]);
}

fn progress_grows_towards_its_total(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let v1 = device.v1();
    let (cx, seen) = watched(None);
    ok("fetch", device.open().fetch(&v1, &cx));
    let seen = seen.lock().expect("lock").clone();
    assert!(!seen.is_empty(), "a fetch must say how far it is");
    for pair in seen.windows(2) {
        assert!(pair[0].bytes_done <= pair[1].bytes_done, "progress went back: {pair:?}");
    }
    for progress in &seen {
        let moved = progress.bytes_done.saturating_add(progress.bytes_reused);
        assert!(progress.bytes_total == 0 || moved <= progress.bytes_total, "more than all: {progress:?}");
    }
}

fn logs_have_an_owner(harness: &mut dyn Harness) {
    let mut device = Device::new(harness);
    let v1 = device.v1();
    let early = device.open().logs(&v1.spec.id, 10);
    if let Err(error) = early {
        assert!(matches!(error.kind, FailureKind::NotFound | FailureKind::Unsupported), "{error:?}");
        if error.kind == FailureKind::Unsupported {
            return;
        }
    }
    device.install(&v1);
    let text = ok("logs", device.open().logs(&v1.spec.id, 1));
    assert!(text.lines().count() <= 1, "one line was asked for: {text:?}");
}
