//! Transient units of systemd: it keeps the component running, we only say how.
//!
//! The unit's main process is `scomo-worker-container run`, which tells systemd when the component's process is
//! there. The component lives in the unit's control group, so limits are properties of the unit, and whatever
//! happens to the main process, systemd kills all of it.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use scomo_core::spec::{Resources, Restart};

use super::crun::{call, last_line};
use super::host::{Started, failed};
use super::places::ComponentPlace;
use super::state::{Phase, Plan, State, stop_timeout};
use crate::error::Error;

/// First argument of our program as the main process of a unit.
pub(crate) const RUN: &str = "run";
/// Exit status of our program when the component could not be started for the first time: no restart helps.
pub(crate) const NOT_STARTED: u8 = 97;
/// Since this version the pause between restarts can grow.
const GROWING_PAUSES: u32 = 254;
/// The pause where it cannot.
const PAUSE_S: u32 = 5;

/// Starts the unit and waits until the component's process is there.
pub(crate) fn start(
    unit: &str,
    worker: &Path,
    place: &ComponentPlace,
    plan: &Plan,
) -> Result<Started, Error> {
    // A unit that failed keeps its name until somebody says that it was seen.
    quietly(&["reset-failed", unit])?;
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", &format!("--unit={unit}")]);
    command.arg(format!("--description={} {}", plan.release.spec.id, plan.release.spec.version));
    for property in properties(plan, version()?) {
        command.arg(format!("--property={property}"));
    }
    command.arg("--").arg(worker).arg(RUN).arg(place.folder()).arg(&plan.token).stdin(Stdio::null());
    let (status, answer) = call(&mut command)?;
    if status.success() {
        return Ok(Started::Yes);
    }
    match State::read(place)? {
        Some(state) if state.phase == Phase::Failed => {
            let message = state.last_end.unwrap_or(answer);
            Ok(Started::No { by_package: state.by_package, message })
        }
        Some(state) if state.starts > 0 => Ok(Started::Yes),
        _ => Err(Error::tool(format!("starting {unit}"), answer)),
    }
}

/// Stops the unit and waits until nothing of it is left.
pub(crate) fn stop(unit: &str, patience: Duration) -> Result<(), Error> {
    let mut command = Command::new("systemctl");
    command.args(["stop", unit]).stdin(Stdio::null());
    let (status, answer) = super::crun::call_within(&mut command, patience)?;
    if !status.success() && is_active(unit)? {
        return Err(Error::tool(format!("stopping {unit}"), answer));
    }
    quietly(&["reset-failed", unit])
}

/// Whether systemd runs the unit, is about to, or is not done with it.
pub(crate) fn is_active(unit: &str) -> Result<bool, Error> {
    let what = "asking systemd";
    let output = Command::new("systemctl")
        .args(["show", "--property=ActiveState", "--value", unit])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(what, e))?;
    let state = last_line(&output.stdout);
    Ok(matches!(state.as_str(), "active" | "activating" | "deactivating" | "reloading" | "refreshing"))
}

/// The last lines of the unit's output.
pub(crate) fn logs(unit: &str, lines: usize) -> Result<String, Error> {
    let output = Command::new("journalctl")
        .args([
            "--quiet",
            "--no-pager",
            "--output=cat",
            &format!("--lines={lines}"),
            &format!("--unit={unit}"),
        ])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed("reading the journal", e))?;
    if !output.status.success() {
        return Err(Error::tool("reading the journal", last_line(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn properties(plan: &Plan, version: u32) -> Vec<String> {
    let run = &plan.release.spec.run;
    let restart = match run.restart {
        Restart::Always => "always",
        Restart::OnFailure => "on-failure",
        Restart::Never => "no",
    };
    let mut properties = vec![
        "Type=notify".to_owned(),
        "NotifyAccess=main".to_owned(),
        format!("Restart={restart}"),
        format!("RestartPreventExitStatus={NOT_STARTED}"),
        "StartLimitIntervalSec=0".to_owned(),
        // Only our process hears of a stop; it sends the component the signal that the image wants.
        "KillMode=mixed".to_owned(),
        "TimeoutStartSec=120".to_owned(),
        format!("TimeoutStopSec={}", stop_timeout(&plan.release).as_secs().saturating_add(10)),
        // The kernel ends one process of the component; what that means is the component's business.
        "OOMPolicy=continue".to_owned(),
        // Ours and the component's groups are nobody else's business.
        "Delegate=yes".to_owned(),
    ];
    if version >= GROWING_PAUSES {
        properties.extend(["RestartSec=1", "RestartSteps=6", "RestartMaxDelaySec=60"].map(str::to_owned));
    } else {
        properties.push(format!("RestartSec={PAUSE_S}"));
    }
    let Resources { memory_bytes, pids, cpu_percent } = run.resources;
    let limits = [("MemoryMax", memory_bytes, ""), ("TasksMax", pids, ""), ("CPUQuota", cpu_percent, "%")];
    let limits = limits.into_iter().filter(|(_, limit, _)| *limit > 0);
    properties.extend(limits.map(|(name, limit, unit)| format!("{name}={limit}{unit}")));
    properties
}

fn version() -> Result<u32, Error> {
    let output = Command::new("systemctl").arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|e| failed("asking systemd for its version", e))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    number
        .ok_or_else(|| failed("asking systemd for its version", io::Error::other(last_line(&output.stdout))))
}

/// Whether it worked does not matter.
fn quietly(args: &[&str]) -> Result<(), Error> {
    call(Command::new("systemctl").args(args).stdin(Stdio::null())).map(drop)
}
