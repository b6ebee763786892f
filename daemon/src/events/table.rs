//! The kinds of events that the journal tells apart, each with its message id. An id, once released, keeps its meaning.
//!
//! `packaging/scomo.catalog` explains each of them to people; a test compares the two.

use tracing::Level;

macro_rules! kinds {
    ($($(#[$docs:meta])+ $name:ident = $id:literal, $level:ident;)+) => {
        /// What kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$docs])+ $name,)+
        }

        impl Kind {
            /// Every kind.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// `MESSAGE_ID` in the journal.
            pub fn message_id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// How much it matters.
            pub fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)+ }
            }
        }
    };
}

kinds! {
    /// A job was accepted.
    JobStarted = "735a5f1c533d2d5e3b8e3d5d1cdab953", INFO;
    /// A job did what was asked.
    JobDone = "b7347518f3bc3c90de40bc6c528f6b8c", INFO;
    /// A job failed before it changed anything that runs.
    JobFailed = "2a475685227119cf610740455581f5b0", WARN;
    /// A job was cancelled.
    JobCancelled = "4dbad800e9f23221babaf38965b6ff27", INFO;
    /// A job failed and what ran before runs again.
    RolledBack = "dbb62144ddc73ba8857d75c0100e3dc2", WARN;
    /// A job failed and what ran before could not be brought back.
    RollBackFailed = "13286f474dc6e099697feee038f52bb2", ERROR;
    /// A job goes on after a reboot.
    RebootNeeded = "30a333c5b392fc8277caf087dc18ca8d", INFO;
    /// Another OS is booted than the one that should be.
    OsFellBack = "fe2cfb3d7eee2ef35b6c447fb96a7d0a", ERROR;
    /// A component that was not as it should be is so again.
    ComponentRestored = "d6f412dfd30f98fbf0de884040de5eec", WARN;
    /// A component is not as it should be, and could not be set right.
    ComponentTrouble = "c2a7ab3ea81e63b67cfed69b937f9096", ERROR;
    /// Nothing is changed any more.
    SafeMode = "dd8208eabd41c7a17834f66c9943a866", ERROR;
    /// What happens cannot be stored.
    StoreTrouble = "619842566d1afe5a04b965752c197300", ERROR;
    /// What happens can be stored again.
    StoreRecovered = "a119ef74ec349c8e172dac063ec1cbc3", INFO;
}
