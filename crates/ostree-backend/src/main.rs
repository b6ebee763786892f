//! `scomo-worker-os`: carries out one job on the OS and ends. Started by the daemon; the only program that links
//! libostree.

use std::process::ExitCode;

use scomo_core::spec::ComponentKind;
use scomo_engine::worker::{Worker, serve_with};
use scomo_ostree_backend::{JobConfig, OstreeBackend, confinement};

fn main() -> ExitCode {
    let worker = Worker { confine: confinement, ..Worker::new(ComponentKind::Os) };
    serve_with(&worker, |config| JobConfig::from_job(config).map(OstreeBackend::new))
}
