//! A whole run: record, try every image, start the daemon on some, print the figures.

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use nix::mount::MntFlags;
use scomo_tests::{disk, process};

use super::check::{self, Reference, Verdict};
use super::cuts::{Cut, Image, Recording};
use super::recorder::Event;
use super::scene::Scene;
use super::{Options, Sabotage, trial};

/// Threads that try images. Mounting waits more than it computes.
const THREADS: u64 = 3;
/// Bad images that are described.
const SHOWN_MAX: usize = 10;
/// Where images are: in memory if possible, so that no real disk is worn out by them.
const MEMORY: &str = "/dev/shm";

/// What became of images.
#[derive(Debug, Default)]
struct Tally {
    old: u64,
    new: u64,
    bad: u64,
    shown: usize,
}

impl Tally {
    fn add(&mut self, cut: &Cut, verdict: Result<Verdict>) {
        match verdict {
            Ok(Verdict::Old) => self.old += 1,
            Ok(Verdict::New) => self.new += 1,
            Err(error) => {
                self.bad += 1;
                if self.shown < SHOWN_MAX {
                    self.shown += 1;
                    println!("BAD {cut}: {error:#}");
                }
            }
        }
    }

    fn print(&self, what: &str, since: Instant) {
        let Self { old, new, bad, .. } = self;
        let images = old + new + bad;
        println!(
            "{what}: {images} images tried: {old} old, {new} new, {bad} bad, in {} s",
            since.elapsed().as_secs()
        );
    }
}

/// Does all of it.
pub fn run(options: &Options) -> Result<bool> {
    disk::private_mounts()?;
    let started = Instant::now();
    let scene = Scene::prepare()?;
    let take = scene.record()?;
    let recording = Recording {
        base: take.base,
        events: take.events,
        subsets: options.subsets,
        seed: options.seed,
        ignore_flushes: options.sabotage == Some(Sabotage::Flushes),
    };
    print_recording(&recording, started);
    let cuts = recording.count()?;
    let started = Instant::now();
    let tally = try_all(options, &recording, &take.reference)?;
    tally.print("checked", started);
    if options.sabotage.is_some() {
        println!(
            "{}",
            if tally.bad > 0 { "the sabotage was found out" } else { "the sabotage was NOT found out" }
        );
        return Ok(tally.bad > 0);
    }
    let started = Instant::now();
    let mut daemon = Tally::default();
    let step = cuts.div_ceil(options.daemons.max(1)).max(1);
    // In the middle of each stretch: not only whole updates at the first and the last write.
    let wanted = |cut: &Cut| options.daemons > 0 && cut.number % step == step / 2;
    recording.each(&wanted, &mut |cut, image| {
        daemon.add(cut, trial::attempt(&scene, &take.reference, cut, image));
        Ok(())
    })?;
    daemon.print("recovered by the daemon", started);
    Ok(tally.bad == 0 && daemon.bad == 0 && tally.old > 0 && tally.new > 0)
}

fn print_recording(recording: &Recording, started: Instant) {
    let update = || recording.events.iter().skip_while(|event| **event != Event::Started);
    let writes = update().filter(|event| matches!(event, Event::Write(..))).count();
    let flushes = update().filter(|event| **event == Event::Flush).count();
    let after = update().skip_while(|event| **event != Event::Reported);
    let after = after.filter(|event| matches!(event, Event::Write(..))).count();
    let seconds = started.elapsed().as_secs();
    println!(
        "recorded in {seconds} s: {writes} writes ({after} after success) and {flushes} flushes of an update"
    );
}

/// Tries every image that the options ask for, in several threads.
fn try_all(options: &Options, recording: &Recording, reference: &Reference) -> Result<Tally> {
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let (verdicts, results) = mpsc::channel();
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let verdicts = verdicts.clone();
                let mine = move |cut: &Cut| {
                    cut.number.is_multiple_of(options.every) && (cut.number / options.every) % THREADS == thread
                };
                scope.spawn(move || try_some(recording, reference, &mine, &verdicts))
            })
            .collect();
        drop(verdicts);
        for (cut, verdict) in results {
            tally.add(&cut, verdict);
        }
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    Ok(tally)
}

fn try_some(
    recording: &Recording,
    reference: &Reference,
    mine: &dyn Fn(&Cut) -> bool,
    verdicts: &Sender<(Cut, Result<Verdict>)>,
) -> Result<()> {
    disk::private_mounts()?;
    let memory = Path::new(MEMORY);
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new()
        .prefix("scomo-powercut-")
        .tempdir_in(place)
        .context("cannot make a folder")?;
    let (file, mounted) = (folder.path().join("image"), folder.path().join("mounted"));
    std::fs::create_dir(&mounted).context("cannot make a folder")?;
    recording.each(mine, &mut |cut, image| {
        let verdict = try_one(image, &file, &mounted, reference, cut.reported)?;
        verdicts.send((*cut, verdict)).context("nobody counts any more")
    })
}

/// The outer error ends the run; the inner one says what is bad about the image.
fn try_one(
    image: &Image<'_>,
    file: &Path,
    mounted: &Path,
    reference: &Reference,
    reported: bool,
) -> Result<Result<Verdict>> {
    image.write(file)?;
    let path = |path: &Path| path.to_str().map(str::to_owned).context("a path is not UTF-8");
    let (image, place) = (path(file)?, path(mounted)?);
    let mount = process::words(&["mount", "-t", "ext4", "-o", "loop,noauto_da_alloc", &image, &place]);
    if let Err(error) = mount {
        return Ok(Err(error.context("the file system cannot be mounted")));
    }
    let verdict = check::check(mounted, reference, reported);
    nix::mount::umount2(mounted, MntFlags::empty()).context("cannot unmount an image")?;
    std::fs::remove_file(file).context("cannot remove an image")?;
    Ok(verdict)
}
