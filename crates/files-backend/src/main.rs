//! The worker of the file set backend: one job as JSON on standard input, JSON lines on standard output.

use std::process::ExitCode;

use scomo_core::spec::ComponentKind;
use scomo_engine::worker::serve;
use scomo_files_backend::{FilesBackend, Settings};

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!(
            "scomo-worker-files is started by scomod and reads its job from standard input; see scomod(8)"
        );
        return ExitCode::FAILURE;
    }
    serve(ComponentKind::Files, |config| Settings::from_job(config).map(FilesBackend::new))
}
