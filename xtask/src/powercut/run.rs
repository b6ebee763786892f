//! A whole run: record, try every image, start the daemon on some, print the figures.

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use nix::errno::Errno;
use nix::mount::MntFlags;
use scomo_tests::{disk, process, wait};

use super::check::{self, Reference, Verdict};
use super::cuts::{Cut, Image, Recording};
use super::recorder::Event;
use super::scene::{Scene, Subject};
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

    fn images(&self) -> u64 {
        self.old + self.new + self.bad
    }

    fn print(&self, what: &str, since: Instant) {
        let Self { old, new, bad, .. } = self;
        let images = self.images();
        println!(
            "{what}: {images} images tried: {old} old, {new} new, {bad} bad, in {} s",
            since.elapsed().as_secs()
        );
    }
}

/// Does all of it.
pub fn run(options: &Options) -> Result<bool> {
    disk::private_mounts()?;
    let scene = Scene::prepare()?;
    let Some(sabotage) = options.sabotage else {
        let install = try_subject(options, &scene, Subject::Install)?;
        let update = try_subject(options, &scene, Subject::Update)?;
        let (images, bad) = (install.images() + update.images(), install.bad + update.bad);
        println!("{images} images tried, {bad} bad");
        // Images of one kind only would mean that the cuts missed the moment that matters.
        let both = [&install, &update].iter().all(|tally| tally.old > 0 && tally.new > 0);
        ensure!(both || bad > 0, "there must be old and new images in each part");
        return Ok(bad == 0);
    };
    let subject = if sabotage == Sabotage::Flushes { Subject::Update } else { Subject::SyncedUpdate };
    let found = try_subject(options, &scene, subject)?.bad > 0;
    println!("the sabotage was {}found out", if found { "" } else { "NOT " });
    Ok(found)
}

fn try_subject(options: &Options, scene: &Scene, subject: Subject) -> Result<Tally> {
    let started = Instant::now();
    let take = scene.record(subject)?;
    let recording = Recording {
        base: take.base,
        events: take.events,
        subsets: options.subsets,
        seed: options.seed,
        ignore_flushes: options.sabotage == Some(Sabotage::Flushes),
    };
    print_recording(subject, &recording, started);
    let started = Instant::now();
    let mut tally = try_all(options, &recording, &take.reference)?;
    tally.print("checked", started);
    if subject == Subject::Update && options.sabotage.is_none() && options.daemons > 0 {
        let started = Instant::now();
        let daemon = try_daemons(options, scene, &recording, &take.reference)?;
        daemon.print("recovered by the daemon", started);
        tally.bad += daemon.bad;
    }
    Ok(tally)
}

/// Starts the daemon on some of the images, the first one among them.
fn try_daemons(
    options: &Options,
    scene: &Scene,
    recording: &Recording,
    reference: &Reference,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let step = recording.count()?.div_ceil(options.daemons).max(1);
    recording.each(&|cut| cut.number.is_multiple_of(step), &mut |cut, image| {
        tally.add(cut, trial::attempt(scene, reference, cut, image));
        Ok(())
    })?;
    Ok(tally)
}

fn print_recording(subject: Subject, recording: &Recording, started: Instant) {
    let update = || recording.events.iter().skip_while(|event| **event != Event::Started);
    let writes = update().filter(|event| matches!(event, Event::Write(..))).count();
    let flushes = update().filter(|event| **event == Event::Flush).count();
    let after = update().skip_while(|event| **event != Event::Reported);
    let after = after.filter(|event| matches!(event, Event::Write(..))).count();
    let seconds = started.elapsed().as_secs();
    let what = if subject == Subject::Install { "first install" } else { "update" };
    println!("{what}, recorded in {seconds} s: {writes} writes ({after} after success), {flushes} flushes");
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
                    cut.number.is_multiple_of(options.every)
                        && (cut.number / options.every) % THREADS == thread
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
    // A program that another thread is just starting holds copies of our open files until it runs.
    wait::until_true("an image is unmounted", wait::SOON, || {
        match nix::mount::umount2(mounted, MntFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EBUSY) => Ok(false),
            Err(error) => Err(error).context("cannot unmount an image"),
        }
    })?;
    std::fs::remove_file(file).context("cannot remove an image")?;
    Ok(verdict)
}
