use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

/// Folders of hooks, the vendor's and the administrator's.
struct Kit {
    folder: tempfile::TempDir,
    hooks: Hooks,
}

impl Kit {
    fn new(time_max: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let folders = ["usr", "etc"].map(|name| folder.path().join(name)).to_vec();
        for base in &folders {
            fs::create_dir_all(base.join("pre-install.d")).unwrap();
        }
        Self { folder, hooks: Hooks { folders, time_max } }
    }

    fn add(&self, place: &str, name: &str, script: &str) -> PathBuf {
        let path = self.folder.path().join(place).join("pre-install.d").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A file that hooks write to.
    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    fn run(&self) -> Said {
        let about = About { job: 7, primitive: "Install".to_owned(), ..About::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let more = [("SCOMO_RESULT", "done".to_owned())];
        runtime.block_on(self.hooks.run(Stage::PreInstall, &about, &more))
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn hooks_run_by_name_and_the_later_folder_wins() {
    let kit = Kit::new(PATIENCE);
    let trace = kit.trace().display().to_string();
    kit.add("usr", "20-b", &format!("echo b >> {trace}"));
    kit.add("usr", "10-a", &format!("echo vendor >> {trace}"));
    kit.add("etc", "10-a", &format!("echo a $SCOMO_POINT $SCOMO_JOB $SCOMO_RESULT $HOME >> {trace}"));
    kit.add("etc", ".hidden", "exit 1");
    kit.add("etc", "old~", "exit 1");
    assert_eq!(kit.run(), Said::Yes);
    assert_eq!(fs::read_to_string(kit.trace()).unwrap(), "a pre-install 7 done\nb\n");
}

#[test]
fn without_hooks_all_agree() {
    let kit = Kit::new(PATIENCE);
    assert_eq!(kit.run(), Said::Yes);
    fs::remove_dir_all(kit.folder.path().join("usr")).unwrap();
    assert_eq!(kit.run(), Said::Yes);
}

#[test]
fn the_exit_status_decides_and_standard_error_says_why() {
    for (script, said) in [
        ("echo 'battery at 3 %' >&2; exit 1", Said::No("hook pre-install/x: battery at 3 %".to_owned())),
        ("exit 3", Said::No("hook pre-install/x: exit status: 3".to_owned())),
        ("echo driving >&2; exit 75", Said::NotNow("hook pre-install/x: driving".to_owned())),
        ("kill -9 $$", Said::No("hook pre-install/x: signal: 9 (SIGKILL)".to_owned())),
        ("echo fine >&2", Said::Yes),
    ] {
        let kit = Kit::new(PATIENCE);
        kit.add("etc", "x", script);
        let after = kit.add("etc", "y", &format!("touch {}", kit.trace().display()));
        assert_eq!(kit.run(), said, "{script}");
        assert_eq!(kit.trace().exists(), said == Said::Yes, "{}", after.display());
    }
}

#[test]
fn what_a_hook_says_is_bounded_and_a_background_process_is_not_waited_for() {
    let kit = Kit::new(PATIENCE);
    kit.add("etc", "x", "sleep 20 & head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1");
    let began = Instant::now();
    let Said::No(why) = kit.run() else { panic!("it refused") };
    assert!(why.len() < SAID_BYTES_MAX + 50, "{}", why.len());
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn one_that_takes_too_long_is_killed_with_what_it_started() {
    let kit = Kit::new(Duration::from_millis(300));
    let trace = kit.trace();
    // Both write their numbers, so that the test knows whom to look for.
    kit.add("etc", "x", &format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", trace.display()));
    assert_eq!(kit.run(), Said::No("hook pre-install/x: it did not end within 0 s".to_owned()));
    let child: i32 = fs::read_to_string(trace).unwrap().trim().parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let lives = || {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while lives() {
        assert!(Instant::now() < deadline, "the child lives on");
        std::thread::yield_now();
    }
}

#[test]
fn what_others_could_have_written_does_not_run() {
    let kit = Kit::new(PATIENCE);
    let hook = kit.add("etc", "x", "exit 1");
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o775, 0o757, 0o644] {
        set(&hook, mode);
        assert_eq!(kit.run(), Said::Yes, "{mode:o}");
    }
    set(&hook, 0o755);
    assert!(matches!(kit.run(), Said::No(_)));
    for folder in [hook.parent().unwrap(), &kit.folder.path().join("etc")] {
        set(folder, 0o777);
        assert_eq!(kit.run(), Said::Yes, "{}", folder.display());
        set(folder, 0o755);
    }
    let target = kit.folder.path().join("elsewhere");
    fs::rename(&hook, &target).unwrap();
    std::os::unix::fs::symlink(&target, &hook).unwrap();
    assert_eq!(kit.run(), Said::Yes, "a link");
    fs::remove_file(&hook).unwrap();
    fs::rename(&target, &hook).unwrap();
    if Uid::effective().is_root() {
        std::os::unix::fs::chown(&hook, Some(65_534), None).unwrap();
        assert_eq!(kit.run(), Said::Yes, "of another user");
    } else {
        eprintln!("SKIPPED: needs root: what_others_could_have_written_does_not_run");
    }
}

#[test]
fn one_that_cannot_be_run_refuses() {
    let kit = Kit::new(PATIENCE);
    let hook = kit.add("etc", "x", "");
    fs::write(&hook, "#!/nonexistent/shell\n").unwrap();
    let Said::No(why) = kit.run() else { panic!("it refused") };
    assert!(why.contains("cannot be run"), "{why}");
}
