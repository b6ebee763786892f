//! What most of these tests begin and end with.

use scomo_tests::device::{Builder, Ctl, Device, Leftovers};
use scomo_tests::world::{Behaviour, PACKAGE, World};

/// A device on which version 1 runs, and what there was on it then.
pub struct Installed {
    pub world: World,
    pub device: Device,
    before: Leftovers,
}

impl Installed {
    pub fn new() -> Self {
        Self::with(|_, builder| builder)
    }

    /// With more settings of the device.
    pub fn with(settings: impl FnOnce(&World, Builder) -> Builder) -> Self {
        let world = World::new().unwrap();
        let v1 = world.publish("1", Behaviour::Good).unwrap();
        let device = settings(&world, world.device()).start().unwrap();
        device.ctl(&["install", "--pkg-id", PACKAGE, &v1]).unwrap().ok().unwrap();
        device.runs("1").unwrap();
        tidy_up(&device);
        let before = device.leftovers().unwrap();
        Self { world, device, before }
    }

    pub fn install(&self, source: &str) -> Ctl {
        self.device.ctl(&["install", "--pkg-id", PACKAGE, source]).unwrap()
    }

    /// Version 1 still runs, and a failed update left nothing behind.
    pub fn is_as_before(&self) {
        self.device.runs("1").unwrap();
        tidy_up(&self.device);
        let now = self.device.leftovers().unwrap();
        let new: Vec<_> = now.files.difference(&self.before.files).collect();
        let gone: Vec<_> = self.before.files.difference(&now.files).collect();
        assert!(new.is_empty() && gone.is_empty(), "new: {new:?}\ngone: {gone:?}");
        assert_eq!(now.mounts, self.before.mounts);
        assert_eq!(now.processes.len(), self.before.processes.len(), "{:#?}", now.processes);
    }
}

/// Deletes all that nothing needs. A package that was downloaded stays until it is removed, so that it can be installed
/// again.
pub fn tidy_up(device: &Device) {
    let removed = device.ctl(&["remove", "--package", PACKAGE]).unwrap();
    assert!(matches!(removed.code, Some(0 | 3)), "{removed}");
    device.ctl(&["gc"]).unwrap().ok().unwrap();
}
