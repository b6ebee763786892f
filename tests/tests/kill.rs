//! SIGKILL for the daemon, all along its updates: old or new, never a mix, and the next start settles it by itself.
//!
//! Each point is one update: it is asked for, the daemon is killed after a part of the time that an undisturbed update
//! takes, and started again. Then the job must come to an end by itself. Its result says what must run. One update in
//! four is to a version that turns out unhealthy, so that the way back is hit as well; one restart in three is killed
//! too. `SCOMO_KILL_POINTS` says how many points there are.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use scomo_tests::device::{Device, JOB, Leftovers};
use scomo_tests::needs_root;
use scomo_tests::wait;
use scomo_tests::world::{Behaviour, PACKAGE, World};

/// Points where the environment does not say.
const POINTS: usize = 200;
/// Devices that are tormented side by side.
const DEVICES: usize = 3;
/// Versions that are installed in turn: more than are kept, so that each is fetched anew.
const VERSIONS: [&str; 4] = ["1", "2", "3", "4"];
const SICK: &str = "sick";
/// Points after which what is stored is compared with what should be.
const LOOK_EVERY: usize = 10;

#[derive(Default)]
struct Tally {
    done: AtomicUsize,
    within_a_job: AtomicUsize,
    new: AtomicUsize,
    old: AtomicUsize,
    again: AtomicUsize,
}

#[test]
fn a_killed_daemon_leaves_old_or_new() {
    if !needs_root("a_killed_daemon_leaves_old_or_new") {
        return;
    }
    let points = std::env::var("SCOMO_KILL_POINTS").ok().and_then(|n| n.parse().ok()).unwrap_or(POINTS);
    let mut world = World::new().unwrap();
    world.watch_for(0);
    for version in VERSIONS {
        world.publish(version, Behaviour::Good).unwrap();
    }
    world.publish(SICK, Behaviour::Unhealthy).unwrap();
    let tally = Tally::default();
    std::thread::scope(|scope| {
        let torments: Vec<_> =
            (0..DEVICES).map(|_| scope.spawn(|| Torment::new(&world).run(points, &tally))).collect();
        for torment in torments {
            torment.join().unwrap();
        }
    });
    let [within, new, old, again] =
        [&tally.within_a_job, &tally.new, &tally.old, &tally.again].map(|n| n.load(Ordering::SeqCst));
    println!("{points} points: {within} within a job, {again} killed twice; {new} new, {old} old");
    assert!(within * 2 > points, "only {within} of {points} hit a job");
    assert!(new > 0 && old > 0, "new {new}, old {old}");
}

/// One device and what must run on it.
struct Torment<'a> {
    world: &'a World,
    device: Device,
    current: String,
    /// What is on the device while both components run and nothing else is needed.
    healthy: Leftovers,
    /// How long an undisturbed update takes: to a good version, to a sick one.
    undisturbed: [Duration; 2],
}

impl<'a> Torment<'a> {
    fn new(world: &'a World) -> Self {
        let device = world.device().start().unwrap();
        install(&device, &world.source(VERSIONS[0]), 0);
        device.runs(VERSIONS[0]).unwrap();
        let good = install(&device, &world.source(VERSIONS[1]), 0);
        let sick = install(&device, &world.source(SICK), 13);
        device.runs(VERSIONS[1]).unwrap();
        let healthy = device.leftovers().unwrap();
        Self { world, device, current: VERSIONS[1].to_owned(), healthy, undisturbed: [good, sick] }
    }

    fn run(mut self, points: usize, tally: &Tally) {
        loop {
            let point = tally.done.fetch_add(1, Ordering::SeqCst);
            if point >= points {
                return;
            }
            self.point(point, points, tally);
        }
    }

    fn point(&mut self, point: usize, points: usize, tally: &Tally) {
        let sick = point % 4 == 3;
        let next = if sick { SICK } else { self.next() };
        let whole = self.undisturbed[usize::from(sick)];
        // Neighbouring points are far apart in time, so that a short run covers the whole as well.
        let part = spread(point, points);
        let accepted = Instant::now();
        let started = self
            .device
            .json(&["install", "--no-wait", "--pkg-id", PACKAGE, &self.world.source(next)])
            .unwrap();
        let job = started["job"].as_u64().unwrap_or_else(|| panic!("{started}")).to_string();
        sleep_until(accepted + whole.mul_f64(part));
        self.device.kill_daemon().unwrap();
        if point.is_multiple_of(3) {
            self.device.launch_daemon().unwrap();
            sleep_until(Instant::now() + whole.mul_f64(spread(point / 3, points)));
            self.device.kill_daemon().unwrap();
            tally.again.fetch_add(1, Ordering::SeqCst);
        }
        self.device.start_daemon().unwrap();
        let jobs = self.device.json(&["jobs"]).unwrap();
        if jobs["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty()) {
            tally.within_a_job.fetch_add(1, Ordering::SeqCst);
        }
        let ended = self.device.ctl(&["wait", &job]).unwrap();
        let log = || {
            format!("point {point} ({part:.2} of {whole:?}) to {next}: {ended}\n{}", self.device.daemon_log())
        };
        match ended.code {
            Some(0) => {
                assert!(!sick, "{}", log());
                next.clone_into(&mut self.current);
                tally.new.fetch_add(1, Ordering::SeqCst);
            }
            // Reversed, or interrupted so often that it was given up.
            Some(10 | 13) => {
                tally.old.fetch_add(1, Ordering::SeqCst);
            }
            _ => panic!("{}", log()),
        }
        self.device.wait_running(&self.current).unwrap_or_else(|error| panic!("{error:#}\n{}", log()));
        self.device.runs(&self.current).unwrap_or_else(|error| panic!("{error:#}\n{}", log()));
        self.look(point);
    }

    /// Nothing runs, is mounted or is stored that should not.
    fn look(&self, point: usize) {
        let settled = |what: &str, same: &dyn Fn() -> bool| {
            wait::until_true(what, wait::SOON, || Ok(same())).unwrap_or_else(|error| {
                panic!("point {point}: {error}\n{:#?}\n{}", self.device.processes(), self.device.daemon_log())
            });
        };
        let processes = self.healthy.processes.len();
        settled("only the components run", &|| self.device.processes().unwrap().len() == processes);
        settled("nothing is mounted", &|| self.device.mounts().unwrap() == self.healthy.mounts);
        if point.is_multiple_of(LOOK_EVERY) {
            self.device.ctl(&["remove", "--package", PACKAGE]).unwrap();
            self.device.ctl(&["gc"]).unwrap().ok().unwrap();
            let releases = std::fs::read_dir(self.device.path("state/containers/releases")).unwrap().count();
            // What runs and what a roll back would bring.
            assert!(releases <= 4, "point {point}: {releases} releases are kept");
            let temporary =
                std::fs::read_dir(self.device.path("state/containers/store/tmp")).unwrap().count();
            assert_eq!(temporary, 0, "point {point}: temporary files stay");
        }
    }

    fn next(&self) -> &'static str {
        let at = VERSIONS.iter().position(|version| *version == self.current).unwrap();
        VERSIONS[(at + 1) % VERSIONS.len()]
    }
}

/// Installs undisturbed and says how long it took.
fn install(device: &Device, source: &str, code: i32) -> Duration {
    let started = Instant::now();
    device.ctl(&["install", "--pkg-id", PACKAGE, source]).unwrap().exits(code).unwrap();
    assert!(started.elapsed() < JOB);
    started.elapsed()
}

/// A part between 0 and 1 for each point; the golden ratio spreads any number of points evenly.
#[allow(clippy::cast_precision_loss, reason = "there are some hundred points")]
fn spread(point: usize, points: usize) -> f64 {
    let golden = 0.618_033_988_75;
    let offset = 0.5 / points as f64;
    (point as f64 * golden + offset).fract()
}

/// Not a wait for something: the point in time is what is tested.
fn sleep_until(when: Instant) {
    std::thread::sleep(when.saturating_duration_since(Instant::now()));
}
