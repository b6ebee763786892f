//! What the figures say: tables, ratios, and which goals are met.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use scomo_tests::image::Compression;

use super::corpus::{Content, Version};
use super::device::Install;
use super::podman::Pull;
use super::worker::Import;

/// Time to durable, compared with podman's.
const TIME_RATIO_MAX: f64 = 0.7;
/// Peak memory of a worker.
const PEAK_MB_MAX: f64 = 24.0;
/// Resident memory of the idle daemon.
const IDLE_MB_MAX: f64 = 6.0;
/// Bytes written, compared with the bytes of files that were not there.
const WRITTEN_RATIO_MAX: f64 = 1.1;
/// Disk for three versions, compared with podman's.
const DISK_RATIO_MAX: f64 = 0.6;

/// One version, brought by everybody.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    pub podman: Pull,
    pub worker: Import,
    pub device: Install,
}

/// Three versions, one after the other.
#[derive(Debug)]
pub struct Round {
    pub updates: Vec<Update>,
    /// Resident memory of the daemon after the three updates.
    pub idle_bytes: u64,
    pub podman_disk: u64,
    pub worker_disk: u64,
}

/// All rounds with one compression.
#[derive(Debug)]
pub struct Rounds {
    pub compression: Compression,
    pub contents: Vec<Content>,
    pub rounds: Vec<Round>,
}

impl Rounds {
    /// The median over all rounds of a figure of one version.
    fn median(&self, version: usize, figure: impl Fn(&Update) -> f64) -> Result<f64> {
        let figures = self.rounds.iter().filter_map(|round| round.updates.get(version)).map(figure);
        median(figures.collect())
    }

    fn median_round(&self, figure: impl Fn(&Round) -> f64) -> Result<f64> {
        median(self.rounds.iter().map(figure).collect())
    }
}

fn median(mut figures: Vec<f64>) -> Result<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().context("nothing was measured")
}

/// A goal and how far it is met.
struct Goal {
    text: String,
    value: f64,
    limit: f64,
    unit: &'static str,
}

impl Goal {
    fn met(&self) -> bool {
        self.value <= self.limit
    }
}

/// What the columns are.
const LEGEND: &str = "
new files: bytes of files that the version before does not have
podman, durable: 'podman pull' until it returned, and until all of it was on the disk
ours: 'scomoctl install --inactive', which returns when all of it is on the disk; worker: its three steps alone
cpu p/w: seconds of processor time of podman and of the workers
disk p, w, o: what reached the device for podman, the workers alone, the daemon: the file system's journal and tables too
written p, w: what podman and the workers had written, in whole pages; the goal is about this
peak: highest resident memory of podman and of each step";

/// Prints everything; true when every goal is met.
pub fn print(all: &[Rounds]) -> Result<bool> {
    let mut goals = Vec::new();
    for rounds in all {
        print!("{}", table(rounds)?);
        goals.extend(goals_of(rounds)?);
    }
    println!("{LEGEND}");
    println!("\nGoals");
    for goal in &goals {
        let verdict = if goal.met() { "met   " } else { "MISSED" };
        println!(
            "  {verdict} {:<46} {:>8.2}{} (at most {}{})",
            goal.text, goal.value, goal.unit, goal.limit, goal.unit
        );
    }
    Ok(goals.iter().all(Goal::met))
}

fn table(rounds: &Rounds) -> Result<String> {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{}: median of {} rounds", rounds.compression.name(), rounds.rounds.len());
    let head =
        ["", "new files", "podman", "durable", "ours", "worker", "resolve", "fetch", "stage", "cpu p/w"];
    let _ = writeln!(text, "{}", row(&head.map(str::to_owned)));
    for (number, version) in Version::ALL.into_iter().enumerate() {
        let content = rounds.contents.get(number).copied().unwrap_or_default();
        let seconds = |figure: fn(&Update) -> Duration| -> Result<String> {
            Ok(format!("{:.2} s", rounds.median(number, |u| figure(u).as_secs_f64())?))
        };
        let cpu = format!(
            "{:.1}/{:.1}",
            rounds.median(number, |u| u.podman.returned.cpu.as_secs_f64())?,
            rounds.median(number, |u| u.worker.total().cpu.as_secs_f64())?
        );
        let cells = [
            version.name().to_owned(),
            format!("{:.1} MB", mb(content.new_bytes)),
            seconds(|u| u.podman.returned.wall)?,
            seconds(|u| u.podman.durable.wall)?,
            seconds(|u| u.device.wall)?,
            seconds(|u| u.worker.total().wall)?,
            seconds(|u| u.worker.resolve.wall)?,
            seconds(|u| u.worker.fetch.wall)?,
            seconds(|u| u.worker.stage.wall)?,
            cpu,
        ];
        let _ = writeln!(text, "{}", row(&cells));
    }
    let head = [
        "",
        "disk p",
        "disk w",
        "disk o",
        "written p",
        "written w",
        "peak p",
        "peak res",
        "peak fetch",
        "peak stage",
    ];
    let _ = writeln!(text, "{}", row(&head.map(str::to_owned)));
    for (number, version) in Version::ALL.into_iter().enumerate() {
        let size = |figure: fn(&Update) -> u64| -> Result<String> {
            Ok(format!("{:.1} MB", rounds.median(number, |u| mb(figure(u)))?))
        };
        let cells = [
            version.name().to_owned(),
            size(|u| u.podman.written)?,
            size(|u| u.worker.written)?,
            size(|u| u.device.written)?,
            size(|u| u.podman.returned.written_bytes)?,
            size(|u| u.worker.total().written_bytes)?,
            size(|u| u.podman.returned.peak_bytes)?,
            size(|u| u.worker.resolve.peak_bytes)?,
            size(|u| u.worker.fetch.peak_bytes)?,
            size(|u| u.worker.stage.peak_bytes)?,
        ];
        let _ = writeln!(text, "{}", row(&cells));
    }
    let _ = writeln!(
        text,
        "disk for three versions: podman {:.0} MB, ours {:.0} MB",
        rounds.median_round(|r| mb(r.podman_disk))?,
        rounds.median_round(|r| mb(r.worker_disk))?
    );
    Ok(text)
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>10}")).collect();
    cells.join(" ").trim_end().to_owned()
}

fn goals_of(rounds: &Rounds) -> Result<Vec<Goal>> {
    let name = rounds.compression.name();
    let mut goals = Vec::new();
    let compared = rounds.median_round(|r| mb(r.podman_disk))? > 0.0;
    for (number, version) in Version::ALL.into_iter().enumerate() {
        let what = format!("{name} {}", version.name());
        if compared {
            let ours = rounds.median(number, |u| u.device.wall.as_secs_f64())?;
            let theirs = rounds.median(number, |u| u.podman.durable.wall.as_secs_f64())?;
            let text = format!("{what}: time to durable / podman's");
            goals.push(Goal { text, value: ours / theirs, limit: TIME_RATIO_MAX, unit: "" });
        }
        let content = rounds.contents.get(number).copied().unwrap_or_default();
        // Where no file is new there is no ratio; the table has the bytes.
        if content.new_bytes > 0 {
            let value =
                rounds.median(number, |u| mb(u.worker.total().written_bytes))? / mb(content.new_bytes);
            let text = format!("{what}: bytes written / bytes of new files");
            goals.push(Goal { text, value, limit: WRITTEN_RATIO_MAX, unit: "" });
        }
        let value = rounds.median(number, |u| mb(u.worker.total().peak_bytes))?;
        goals.push(Goal {
            text: format!("{what}: peak memory of a worker"),
            value,
            limit: PEAK_MB_MAX,
            unit: " MB",
        });
    }
    let value = rounds.median_round(|r| mb(r.idle_bytes))?;
    goals.push(Goal {
        text: format!("{name}: idle scomod after three updates"),
        value,
        limit: IDLE_MB_MAX,
        unit: " MB",
    });
    if compared {
        let value =
            rounds.median_round(|r| mb(r.worker_disk))? / rounds.median_round(|r| mb(r.podman_disk))?;
        let text = format!("{name}: disk for three versions / podman's");
        goals.push(Goal { text, value, limit: DISK_RATIO_MAX, unit: "" });
    }
    Ok(goals)
}

/// Bytes as megabytes of a million.
#[allow(clippy::cast_precision_loss, reason = "no size here comes near 2^53")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
