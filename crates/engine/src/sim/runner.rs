//! Effects on threads over a simulated device.

use scomo_core::effect::{Effect, Inventory};
use scomo_core::failure::Failure;
use scomo_core::id::ComponentId;
use scomo_core::spec::ComponentKind;

use super::{SimBackend, SimWorld};
use crate::backend::{Backend, BackendError, execute};
use crate::runner::{OnEvent, Runner, Running, kind_of, on_thread};

/// Runs effects on a simulated device.
#[derive(Debug, Clone)]
pub struct SimRunner {
    world: SimWorld,
}

impl SimRunner {
    /// On this device.
    #[must_use]
    pub fn new(world: SimWorld) -> Self {
        Self { world }
    }
}

impl Runner for SimRunner {
    fn start(&self, effect: &Effect, on: OnEvent) -> Result<Box<dyn Running>, Failure> {
        let mut backend = SimBackend::new(self.world.clone(), kind_of(effect));
        let effect = effect.clone();
        on_thread("sim-effect", on, move |cx| {
            execute(&mut backend, &effect, cx).map_err(|e| BackendError::to_failure(&e))
        })
    }

    fn observe(&self, kind: ComponentKind) -> Result<Inventory, Failure> {
        SimBackend::new(self.world.clone(), kind).observe().map_err(|e| e.to_failure())
    }

    fn logs(&self, kind: ComponentKind, component: &ComponentId, lines: usize) -> Result<String, Failure> {
        SimBackend::new(self.world.clone(), kind).logs(component, lines).map_err(|e| e.to_failure())
    }

    fn kinds(&self) -> Vec<ComponentKind> {
        vec![ComponentKind::Os, ComponentKind::Container]
    }
}
