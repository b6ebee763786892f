//! Workers that are killed before any of the calls that change something, many times in one life.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scomo_core::effect::{Effect, EffectOk, Target};
use scomo_core::failure::FailureKind;
use scomo_core::spec::{ComponentKind, Release};
use scomo_engine::backend::StepCx;
use scomo_engine::worker::{Answer, Job, Request, WorkerCommand};

use crate::common::{Device, Repository, Server, ok, run, skip};

/// Every call that changes what a disk holds or makes it durable.
const CALLS: &str = "fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,\
                     mkdir,mkdirat,rmdir,fchmod,fchown,ftruncate,pwrite64";

/// The worker, killed before its n-th call of each kind.
fn killed_at(n: usize) -> WorkerCommand {
    let inject = format!("inject={CALLS}:signal=SIGKILL:when={n}");
    // The worker must not see that its parent is another process than the one that it was told.
    let args = ["-f", "-qqq", "-o", "/dev/null", "-E", scomo_engine::worker::PARENT_ENV, "-e", &inject];
    let program = Device::worker().program;
    let args = args.iter().map(|arg| (*arg).to_owned()).chain([program.to_string_lossy().into_owned()]);
    WorkerCommand { program: "strace".into(), args: args.collect() }
}

/// Repeats an effect, killing it each time a little later, until it gets through. What must hold in between is
/// checked after each cut. Gives the number of cuts.
fn hammer(device: &Device, stride: usize, effect: &Effect, check: &dyn Fn()) -> usize {
    let job = Job { request: Request::Effect(effect.clone()), config: device.config() };
    for (cuts, n) in (1..).step_by(stride).enumerate() {
        match killed_at(n).run(&job, &StepCx::detached()) {
            Ok(answer) => {
                assert!(matches!(answer, Answer::Effect(_)));
                return cuts;
            }
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Interrupted, "{effect:?} at {n}: {failure:?}")
            }
        }
        check();
    }
    unreachable!("the numbers do not end")
}

/// Whatever happens, the device has a whole way to boot.
fn bootable(device: &Device) {
    let entries = device.entries();
    assert!(!entries.is_empty());
    for entry in entries {
        let find = |prefix: &str| {
            entry.split_whitespace().find_map(|word| word.strip_prefix(prefix)).map(str::to_owned)
        };
        let link = find("ostree=/").expect("ostree=");
        assert!(device.sysroot().join(&link).join("usr/lib/os-release").exists(), "{link} boots nothing");
        for key in ["linux /", "initrd /"] {
            let line = entry.lines().find_map(|line| line.strip_prefix(key)).expect("kernel");
            let found = [Path::new("boot").join(line.trim_start_matches("boot/")), line.into()];
            assert!(found.iter().any(|path| device.sysroot().join(path).exists()), "{line} is missing");
        }
    }
}

#[test]
fn a_killed_worker_can_be_started_again() {
    if skip("a_killed_worker_can_be_started_again") {
        return;
    }
    let repository = Repository::new();
    let server = Server::start(repository.web_root()).expect("a server");
    let mut device = Device::new(&repository);
    device.trust(&server);
    repository.commit("1", &[]);
    let v1 = device.install(&Repository::remote(&server, &Repository::branch("1")));
    device.collect(&[&v1]);
    let only_v1 = device.stored();
    let commit = repository.commit("2", &[]);
    let v2 = device.resolve(&Repository::remote(&server, &Repository::branch("2")));

    let deployed_before = device.deployed();
    let untouched = || {
        bootable(&device);
        assert_eq!(device.deployed(), deployed_before);
        assert_eq!(device.running(), Some(v1.id.clone()));
    };
    let mut cuts = hammer(&device, 11, &Effect::Fetch { release: v2.clone() }, &untouched);
    device.fsck();
    let not_default = || {
        bootable(&device);
        assert_eq!(device.deployed()[..deployed_before.len()], deployed_before);
        assert_eq!(device.running(), Some(v1.id.clone()));
    };
    cuts += hammer(&device, 3, &Effect::Stage { release: v2.clone() }, &not_default);
    assert_eq!(device.deployed().iter().filter(|csum| **csum == commit).count(), 1);
    let switch = |release: &Release| Effect::Switch {
        component: release.spec.id.clone(),
        kind: ComponentKind::Os,
        target: Target::Active(release.clone()),
    };
    let either = || {
        bootable(&device);
        assert_eq!(device.running(), Some(v1.id.clone()), "nothing changes before the reboot");
    };
    cuts += hammer(&device, 1, &switch(&v2), &either);
    assert_eq!(device.deployed()[0], commit);
    assert_eq!(device.reboot(), Some(v2.id.clone()));
    cuts += hammer(&device, 1, &Effect::Confirm { release: v2.clone() }, &|| bootable(&device));
    cuts += hammer(&device, 1, &switch(&v1), &|| bootable(&device));
    assert_eq!(device.reboot(), Some(v1.id.clone()));
    device.confirm(&v1);
    cuts += hammer(&device, 3, &Effect::Collect { kind: ComponentKind::Os, keep: vec![v1.clone()] }, &|| {
        bootable(&device);
        assert_eq!(device.running(), Some(v1.id.clone()));
    });
    device.collect(&[&v1]);
    assert_eq!(device.stored(), only_v1, "something is left behind");
    device.fsck();
    eprintln!("{cuts} cuts");
    assert!(cuts > 40, "only {cuts} cuts: the test tries too little");
}

#[test]
fn a_worker_that_is_killed_in_a_pull_is_resumed() {
    if skip("a_worker_that_is_killed_in_a_pull_is_resumed") {
        return;
    }
    let repository = Repository::new();
    let server = Server::start(repository.web_root()).expect("a server");
    let mut device = Device::new(&repository);
    device.trust(&server);
    repository.commit("1", &[]);
    let v1 = device.resolve(&Repository::remote(&server, &Repository::branch("1")));
    let job =
        Job { request: Request::Effect(Effect::Fetch { release: v1.clone() }), config: device.config() };
    let mut asked = Vec::new();
    // A whole pull takes more than 35 requests.
    for requests in [20, 8] {
        server.asked();
        // Cancelling kills the worker; here after some objects have come.
        let cancelled = Arc::new(AtomicBool::new(false));
        let cx = StepCx::new(|_| {}, Arc::clone(&cancelled));
        server.slow(std::time::Duration::from_millis(30));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                crate::common::until(|| server.count() > requests);
                cancelled.store(true, Ordering::Relaxed);
            });
            let failure = Device::worker().run(&job, &cx).expect_err("killed");
            assert_eq!(failure.kind, FailureKind::Cancelled);
        });
        asked.push(server.count());
        assert_eq!(device.deployed(), [device.base.clone()]);
    }
    server.mend();
    server.asked();
    let answer = Device::worker().run(&job, &StepCx::detached()).expect("fetch");
    assert!(matches!(answer, Answer::Effect(EffectOk::Fetched { .. })));
    let objects = server.asked().iter().filter(|path| path.ends_with(".filez")).count();
    assert!(objects < 20, "nothing was kept of what had come: {objects} objects, after {asked:?}");
    device.fsck();
    ok(device.open().collect(&[v1], &StepCx::detached()));
    run("true", &[]);
}
