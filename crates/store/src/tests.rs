//! Tests of the store: through its public methods, with real archives on a real file system.

mod archives;
mod attacks;
mod faults;
mod fetching;
mod kit;
mod metadata;
mod model;
mod semantics;
mod sharing;
