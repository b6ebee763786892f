//! Making packages on a workstation: build, sign, inspect, push.
//!
//! Everything here is a function over plain structures; the command line belongs to somebody else. Nothing here runs
//! on a device: the backends leave the `builder` feature out.
//!
//! A build is reproducible: the same description, inputs and program version give the same bytes, wherever and
//! whenever it runs. Outputs appear whole or not at all.

mod build;
mod bundle;
mod inspect;
mod keygen;
mod push;
mod recipe;
mod rootfs;
mod sign;
mod write;

pub use build::{BuildOptions, Built, build};
pub use inspect::{ComponentReport, ImageReport, Inspection, SignatureReport, inspect};
pub use keygen::{KeyKind, KeyPair, keygen};
pub use push::{PushReport, push};
pub use recipe::{ComponentRecipe, OsRecipe, Recipe, parse_recipe};
pub use sign::{SignOptions, SignReport, sign, sign_with};
