//! The worker of the container backend: one job as JSON on standard input, JSON lines on standard output.
//!
//! With arguments it is one of the small programs around a container instead; see `scomo_container_backend::run_role`.

use std::ffi::OsString;
use std::process::ExitCode;

use scomo_container_backend::{ContainerBackend, Settings, run_role};
use scomo_core::spec::ComponentKind;
use scomo_engine::worker::serve;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(status) = run_role(&args) {
        return status;
    }
    if !args.is_empty() {
        eprintln!(
            "scomo-worker-container is started by scomod and reads its job from standard input; see scomod(8)"
        );
        return ExitCode::FAILURE;
    }
    serve(ComponentKind::Container, |config| Settings::from_job(config).map(ContainerBackend::new))
}
