//! Where the engine keeps facts: the store, or what stands for it in a test.

use scomo_core::apply;
use scomo_core::fact::Fact;
use scomo_core::id::Millis;
use scomo_core::state::State;

use crate::store::{Store, StoreError};

/// A durable, append-only list of facts.
pub(super) trait FactLog: Send {
    /// Appends all of them, durably, or none.
    fn append(&mut self, at: Millis, facts: &[Fact]) -> Result<(), StoreError>;
    /// Whether there are so many that a checkpoint should replace them.
    fn is_long(&self) -> bool;
    /// Replaces all of them by a checkpoint.
    fn compact(&mut self, at: Millis, checkpoint: &Fact) -> Result<(), StoreError>;
}

impl FactLog for Store {
    fn append(&mut self, at: Millis, facts: &[Fact]) -> Result<(), StoreError> {
        Self::append(self, at, facts)
    }

    fn is_long(&self) -> bool {
        Self::is_long(self)
    }

    fn compact(&mut self, at: Millis, checkpoint: &Fact) -> Result<(), StoreError> {
        Self::compact(self, at, checkpoint)
    }
}

/// Applies stored facts. After one that is not possible the state must be thrown away.
pub(super) fn replay(state: &mut State) -> impl FnMut(u64, Fact) -> Result<(), String> {
    |_, fact| apply(state, &fact).map_err(|e| e.to_string())
}

/// Applies stored facts as far as they go: one that is not possible leaves the state as it was before it. It copies
/// the state for every fact, which is for safe mode only.
pub(super) fn replay_prefix(state: &mut State) -> impl FnMut(u64, Fact) -> Result<(), String> {
    |_, fact| {
        let mut next = state.clone();
        apply(&mut next, &fact).map_err(|e| e.to_string())?;
        *state = next;
        Ok(())
    }
}
