//! The real daemon on a disk after a power cut: it must finish or reverse the update by itself.

use anyhow::{Context, Result, ensure};
use scomo_tests::device::{Device, JOB};
use scomo_tests::disk::Disk;
use scomo_tests::wait;

use super::check::{self, Reference, Verdict};
use super::cuts::{Cut, Image};
use super::scene::{COMPONENT, Scene};

/// Starts the daemon on the disk and waits until the old version or the new one runs.
pub fn attempt(scene: &Scene, reference: &Reference, cut: &Cut, image: &Image<'_>) -> Result<Verdict> {
    let path = scene.folder().join("trial.img");
    image.write(&path)?;
    let disk = Disk::mount(&path, &scene.state(), "noauto_da_alloc").context("the disk cannot be mounted")?;
    let mut device = scene.device().start()?;
    device.wait_idle()?;
    let running = settled(&device, reference)?;
    ensure!(!cut.reported || running == Verdict::New, "success was reported, and the old version runs");
    device.power_off()?;
    let found = check::check(&scene.state(), reference, cut.reported)?;
    ensure!(found == running, "{running:?} runs, and {found:?} is stored");
    drop(device);
    drop(disk);
    Ok(running)
}

fn settled(device: &Device, reference: &Reference) -> Result<Verdict> {
    let running = wait::until("the component runs", JOB, || {
        let active = device.active_version(COMPONENT)?;
        let running = device.running()?;
        let same = |verdict: &Verdict| {
            reference.version(*verdict).is_some_and(|version| {
                active.as_deref() == Some(version) && running == [format!("{COMPONENT} {version}")]
            })
        };
        Ok([Verdict::Old, Verdict::New].into_iter().find(same))
    });
    running.with_context(|| device.daemon_log())
}
