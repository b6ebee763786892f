//! The OS that the device came with is known without anybody installing it, and can be gone back to.

use scomo_core::effect::Target;
use scomo_core::spec::{Payload, Release};
use scomo_engine::backend::StepCx;
use serde_json::json;

use crate::common::{Device, Repository, ok, skip};

fn foreign(device: &Device) -> Vec<Release> {
    ok(device.open().observe()).foreign
}

#[test]
fn the_os_that_the_device_came_with_is_found_once_and_stays_the_same() {
    if skip("the_os_that_the_device_came_with_is_found_once_and_stays_the_same") {
        return;
    }
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    let found = foreign(&device);
    let [factory] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((factory.spec.id.as_str(), factory.spec.version.as_str()), ("os", "0"));
    let Payload::Ostree { commit, ref_name, .. } = &factory.spec.payload else { panic!("{factory:?}") };
    assert_eq!((commit, ref_name.as_str()), (&device.base, "factory"));
    assert_eq!(device.running().as_ref(), Some(&factory.id));
    device.in_process = false;
    assert_eq!(foreign(&device), found, "the next process tells the same");
    let mut renamed = Device::new(&repository);
    renamed.os["component"] = json!("base");
    assert_eq!(foreign(&renamed)[0].spec.id.as_str(), "base");
}

#[test]
fn an_update_replaces_it_and_can_be_reversed() {
    if skip("an_update_replaces_it_and_can_be_reversed") {
        return;
    }
    let repository = Repository::new();
    let device = Device::new(&repository);
    let factory = foreign(&device).remove(0);
    repository.commit("1", &[]);
    let new = device.resolve(&repository.local(&Repository::branch("1")));
    device.fetch(&new);
    device.stage(&new);
    assert!(device.activate(&new), "it takes a reboot");
    // Taken back before the reboot, as a job that is cancelled does.
    assert!(!device.activate(&factory));
    assert_eq!(device.reboot().as_ref(), Some(&factory.id));
    device.activate(&new);
    assert_eq!(device.reboot().as_ref(), Some(&new.id));
    assert_eq!(foreign(&device), [], "what was installed is not foreign");
    device.confirm(&new);
    device.collect(&[&new, &factory]);
    assert!(device.activate(&factory));
    assert_eq!(device.reboot().as_ref(), Some(&factory.id));
    ok(device.open().probe(&factory, &StepCx::detached()));
    ok(device.try_switch(&new, &Target::Active(factory)));
}
