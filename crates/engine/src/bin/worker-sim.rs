//! A worker over the simulated backend: for tests of the process border. The device is `<state_dir>/world.json`.
//!
//! The only argument is the kind, `os` or `container`.

use std::path::PathBuf;
use std::process::ExitCode;

use scomo_core::failure::{Failure, FailureKind};
use scomo_core::spec::ComponentKind;
use scomo_engine::sim::{SimBackend, SimWorld};
use scomo_engine::worker::serve;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(kind) = ComponentKind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
        eprintln!("usage: scomo-worker-sim os|container|files");
        return ExitCode::FAILURE;
    };
    serve(kind, |config: serde_json::Value| {
        let state_dir = config.get("state_dir").and_then(serde_json::Value::as_str);
        let state_dir = state_dir.ok_or_else(|| Failure::new(FailureKind::Broken, "no state_dir"))?;
        let world = SimWorld::at(PathBuf::from(state_dir).join("world.json"));
        Ok(SimBackend::in_process(world, kind))
    })
}
