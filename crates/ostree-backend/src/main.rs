//! `scomo-worker-os`: carries out one job on the OS and ends. Started by the daemon; the only program that links
//! libostree.
//!
//! With the argument `simulate-boot` it plays a boot instead, for demonstrations and tests: it reads the configuration
//! of a job from standard input and prints the release that is booted then. Only for `boot = "simulated"`.

use std::process::ExitCode;

use scomo_core::spec::ComponentKind;
use scomo_engine::worker::{Worker, serve_with};
use scomo_ostree_backend::boot::Simulated;
use scomo_ostree_backend::{BootMode, JobConfig, OstreeBackend, confinement};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {
            let worker = Worker { confine: confinement, ..Worker::new(ComponentKind::Os) };
            serve_with(&worker, |config| JobConfig::from_job(config).map(OstreeBackend::new))
        }
        Some("simulate-boot") => match simulate_boot() {
            Ok(booted) => {
                println!("{booted}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("scomo-worker-os: {why}");
                ExitCode::FAILURE
            }
        },
        Some(_) => {
            eprintln!("usage: scomo-worker-os [simulate-boot], started by scomod");
            ExitCode::FAILURE
        }
    }
}

fn simulate_boot() -> Result<String, String> {
    let config = serde_json::from_reader(std::io::stdin()).map_err(|e| format!("standard input: {e}"))?;
    let job = JobConfig::from_job(config).map_err(|failure| failure.detail)?;
    if job.os.boot != BootMode::Simulated {
        return Err("this device boots for real; only boot = \"simulated\" can be played".to_owned());
    }
    let booted = Simulated::new(job).simulate_boot().map_err(|e| e.to_string())?;
    Ok(booted.map_or_else(|| "none".to_owned(), |id| id.to_string()))
}
