//! Running containers: from a staged release to a process, and what becomes of it.
//!
//! - [`blueprint`] works out how a release runs and refuses what is not allowed; [`user`], [`seccomp`] and [`oci`]
//!   belong to it.
//! - [`life`] is one life of a container, from [`prepare`]d mounts to its end; [`crun`] and [`cgroup`] talk to the OCI
//!   runtime and the kernel.
//! - [`host`] starts, stops and asks: through [`supervisor`] processes of our own (seen from outside: [`own`]), or
//!   through [`systemd`] and its [`unit`] processes. [`state`] is what both write down.
//! - [`probe`] watches health.
//!
//! Not here: what should run. That is the engine's, and durable there; all that is written here ends with the boot.

pub(crate) mod blueprint;
mod cgroup;
pub(crate) mod crun;
pub(crate) mod host;
mod life;
pub(crate) mod log;
pub(crate) mod oci;
mod own;
pub(crate) mod places;
mod prepare;
pub(crate) mod probe;
mod seccomp;
pub(crate) mod state;
mod supervisor;
pub(crate) mod systemd;
mod unit;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The parts of `scomo-worker-container` that are not a worker: supervisors, units, and the way to the OCI runtime.
/// `None`: the arguments ask for none of them.
#[must_use]
pub fn run_role(args: &[OsString]) -> Option<ExitCode> {
    let (role, rest) = args.split_first()?;
    let folder_and_token = || {
        let [folder, token] = rest else { return None };
        Some((PathBuf::from(folder), token.to_str()?.to_owned()))
    };
    let status = match role.to_str()? {
        crun::EXEC_RUNTIME => {
            let error = crun::exec(rest.iter().cloned());
            eprintln!("scomo: the container runtime cannot be executed: {error}");
            1
        }
        supervisor::DETACH => {
            let (folder, token) = folder_and_token()?;
            report(supervisor::detach(&folder, &token).map(|()| 0))
        }
        supervisor::SUPERVISE => {
            let (folder, token) = folder_and_token()?;
            report(supervisor::run(folder, &token).map(|()| 0))
        }
        systemd::RUN => {
            let (folder, token) = folder_and_token()?;
            report(unit::run(folder, &token))
        }
        _ => return None,
    };
    Some(ExitCode::from(status))
}

fn report<E: std::error::Error>(result: Result<u8, E>) -> u8 {
    result.unwrap_or_else(|error| {
        eprintln!("scomo: {}", scomo_engine::backend::chain(&error));
        1
    })
}
