//! When updates may happen: the real daemon on a private bus, over the simulated device.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use harness::{Device, PATIENCE, Policy, is_root, run};
use scomo_dbus::{
    DownloadProxy, Error, Job, Manager, ManagerProxy, OptionMap, Options, Properties, ReportsProxy, path,
};
use tokio::time::timeout;
use zbus::fdo::PropertiesProxy;
use zbus::object_server::SignalEmitter;
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Variant};

/// A daemon and a connection to its bus.
struct Lab {
    device: Device,
    connection: Connection,
}

impl Lab {
    /// With this section of the configuration, and hooks in a folder of the test.
    fn new(policy: &str) -> Self {
        let mut device = Device::new(Policy::Open, "");
        Self::configure(&device, policy);
        device.start();
        let connection = connect(&device);
        Self { device, connection }
    }

    fn configure(device: &Device, policy: &str) {
        let hooks = device.path().join("hooks");
        let config = format!("[policy]\ntime_zone = 'UTC'\nhook_dirs = ['{}']\n{policy}\n", hooks.display());
        fs::write(device.path().join("scomo.toml"), config).unwrap();
    }

    /// Starts the daemon anew, with another section.
    fn restart(&mut self, policy: &str) {
        assert!(self.device.terminate().success());
        Self::configure(&self.device, policy);
        self.device.start();
    }

    fn hook(&self, stage: &str, script: &str) {
        let path = self.device.path().join(format!("hooks/{stage}.d/hook"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for folder in path.ancestors().skip(1).take(2) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn manager(&self) -> ManagerProxy<'static> {
        ManagerProxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await.unwrap()
    }

    async fn install(&self, source: &str, options: Options<'_>) -> OwnedObjectPath {
        self.manager().await.install(source, options).await.unwrap()
    }

    async fn read<P: Properties>(&self, path: &str) -> P {
        let proxy = PropertiesProxy::builder(&self.connection).destination(scomo_dbus::BUS_NAME).path(path);
        let proxy = proxy.build().await.unwrap();
        let map: OptionMap = proxy.get_all(P::INTERFACE.try_into().unwrap()).await.unwrap();
        P::from_map(&map).unwrap()
    }

    async fn job(&self, path: &OwnedObjectPath) -> Job {
        self.read(path.as_str()).await
    }

    async fn device(&self) -> Manager {
        self.read(path::ROOT).await
    }

    /// Waits until the properties of an object are as wanted.
    async fn until<P: Properties + std::fmt::Debug>(&self, path: &str, wanted: impl Fn(&P) -> bool) -> P {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(scomo_dbus::BUS_NAME)
            .path_namespace(path::ROOT)
            .build()
            .unwrap();
        let limit = std::num::NonZeroUsize::new(1000);
        let mut signals = MessageStream::for_match_rule(rule, &self.connection, limit).await.unwrap();
        loop {
            let found = self.read::<P>(path).await;
            if wanted(&found) {
                return found;
            }
            match timeout(PATIENCE / 2, signals.next()).await {
                Ok(signal) => drop(signal.unwrap().unwrap()),
                Err(_) => panic!("not in time: {found:?}\n{}", self.device.log()),
            }
        }
    }

    /// Waits until the job waits for this.
    async fn waits_for(&self, job: &OwnedObjectPath, why: &str) -> Job {
        self.until(job.as_str(), |job: &Job| job.waiting_for.contains(why)).await
    }

    /// Waits for the end of the job and gives its result code and message.
    async fn end_of(&self, job: &OwnedObjectPath) -> (u32, String) {
        let job = self.until(job.as_str(), |job: &Job| job.finished > 0).await;
        (job.result_code, job.message)
    }
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
}

fn block_on<T>(body: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(async { timeout(PATIENCE, body).await.expect("in time") }))
}

fn connect(device: &Device) -> Connection {
    let address = device.address();
    block_on(async { zbus::connection::Builder::address(address.as_str()).build().await.unwrap() })
}

/// Windows, one open and one shut, whatever the time is now. They stay so for the length of a test.
fn windows(open: bool) -> String {
    let day = 24 * 60;
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60 % day;
    let (from, to) = if open { (now + day - 120, now + 120) } else { (now + 600, now + 700) };
    let clock = |minutes: u64| format!("{:02}:{:02}", minutes % day / 60, minutes % 60);
    format!("windows = ['{}-{}']", clock(from), clock(to))
}

const APP: &str = "sim:app@1";

#[test]
fn without_a_policy_nothing_is_waited_for() {
    let lab = Lab::new("");
    block_on(async {
        let job = lab.install(APP, Options::new()).await;
        assert_eq!(lab.end_of(&job).await.0, 1200);
        let device = lab.device().await;
        assert!(!device.reboot_wanted && device.reboot_waits_for.is_empty() && device.inhibitors.is_empty());
    });
}

#[test]
fn a_shut_window_is_waited_for_over_restarts() {
    let mut lab = Lab::new(&format!("install = 'in-window'\n{}", windows(false)));
    let job = block_on(async {
        let job = lab.install(APP, Options::new()).await;
        let seen = lab.waits_for(&job, "maintenance window opens").await;
        assert_eq!((seen.phase.as_str(), seen.percent < 100), ("awaiting-install", true));
        let error = Error::from(lab.manager().await.install("sim:b@1", Options::new()).await.unwrap_err());
        assert!(matches!(&error, Error::Busy(text) if text.contains("it waits for: maintenance window")));
        let policy = lab.manager().await.policy(Options::new()).await.unwrap();
        assert_eq!(policy["Install"], OwnedVariant::try_from(Variant::from("in-window")).unwrap());
        assert_eq!(policy["WindowOpen"], OwnedVariant::from(false));
        assert!(u64::try_from(&*policy["NextWindow"]).unwrap() > 0);
        job
    });
    // The same policy after a restart, and then another one.
    lab.restart(&format!("install = 'in-window'\n{}", windows(false)));
    block_on(lab.waits_for(&job, "maintenance window opens"));
    lab.restart(&format!("install = 'in-window'\ndownload = 'in-window'\n{}", windows(true)));
    assert_eq!(block_on(lab.end_of(&job)).0, 1200);
}

#[test]
fn a_window_can_be_ignored_by_who_may_approve() {
    let lab = Lab::new(&format!("install = 'in-window'\ndownload = 'in-window'\n{}", windows(false)));
    block_on(async {
        let job = lab.install(APP, Options::new()).await;
        let seen = lab.waits_for(&job, "maintenance window opens").await;
        assert_eq!(seen.phase, "awaiting-download");
        lab.manager()
            .await
            .refuse(seen.id, Options::from([("reason", Variant::from("not today"))]))
            .await
            .unwrap();
        let (code, why) = lab.end_of(&job).await;
        assert!(code == 1401 && why.ends_with("refused the update: not today"), "{code} {why}");
        let job = lab.install(APP, Options::from([("ignore-window", Variant::from(true))])).await;
        assert_eq!(lab.end_of(&job).await.0, 1200);
    });
}

#[test]
fn approval_is_waited_for_and_comes_once() {
    let lab = Lab::new("install = 'when-approved'");
    block_on(async {
        let manager = lab.manager().await;
        let job = lab.install(APP, Options::new()).await;
        lab.waits_for(&job, "approval: scomoctl approve 1").await;
        let error = Error::from(manager.approve(2, Options::new()).await.unwrap_err());
        assert!(matches!(error, Error::WrongState(_)), "{error}");
        manager.approve(1, Options::new()).await.unwrap();
        assert_eq!(lab.end_of(&job).await.0, 1200);
        let error = Error::from(manager.approve(1, Options::new()).await.unwrap_err());
        assert!(matches!(error, Error::WrongState(_)), "{error}");
        let error = Error::from(manager.refuse(1, Options::new()).await.unwrap_err());
        assert!(matches!(error, Error::UnknownJob(_)), "{error}");
        // A download needs no approval.
        let job = lab.install("sim:b@1", Options::from([("download-only", Variant::from(true))])).await;
        assert_eq!(lab.end_of(&job).await.0, 1200);
    });
}

#[test]
fn a_job_that_waits_can_be_cancelled() {
    let lab = Lab::new("install = 'when-approved'");
    block_on(async {
        let job = lab.install(APP, Options::new()).await;
        lab.waits_for(&job, "approval").await;
        let proxy = scomo_dbus::JobProxy::builder(&lab.connection).path(job.clone()).build().await.unwrap();
        proxy.cancel(Options::new()).await.unwrap();
        assert_eq!(lab.end_of(&job).await.0, 1401);
        let job = lab.install("sim:app@1", Options::new()).await;
        lab.waits_for(&job, "approval: scomoctl approve 2").await;
    });
}

#[test]
fn an_inhibitor_holds_until_its_last_copy_is_closed() {
    let lab = Lab::new("");
    block_on(async {
        let manager = lab.manager().await;
        let options = Options::from([("who", Variant::from("backup"))]);
        let lock = manager.inhibit("install:reboot", "nightly backup", options).await.unwrap();
        let held = lab.until(path::ROOT, |m: &Manager| !m.inhibitors.is_empty()).await.inhibitors;
        let pid = std::process::id();
        assert_eq!((held.len(), held[0].0.as_str(), held[0].4), (1, "install:reboot", pid));
        let job = lab.install(APP, Options::new()).await;
        let seen = lab.waits_for(&job, &format!("inhibited by backup (pid {pid}): nightly backup")).await;
        assert_eq!(seen.phase, "awaiting-install", "a download is not held back");
        // Approval does not stand above it.
        manager.approve(1, Options::new()).await.unwrap();
        let copy = std::os::fd::AsFd::as_fd(&lock).try_clone_to_owned().unwrap();
        drop(lock);
        lab.waits_for(&job, "inhibited by backup").await;
        assert_eq!(lab.job(&job).await.phase, "awaiting-install");
        drop(copy);
        assert_eq!(lab.end_of(&job).await.0, 1200);
        assert!(lab.until(path::ROOT, |m: &Manager| m.inhibitors.is_empty()).await.agents == 0);
        let error = Error::from(manager.inhibit("sleep", "x", Options::new()).await.unwrap_err());
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    });
}

#[test]
fn hooks_refuse_delay_and_are_told() {
    let lab = Lab::new("");
    let trace = lab.device.path().join("trace");
    lab.hook("pre-install", "echo 'battery at 3 %' >&2; exit 1");
    lab.hook("post-failure", &format!("echo failed $SCOMO_JOB $SCOMO_RESULT_CODE >> {}", trace.display()));
    let told = format!(
        "echo installed $SCOMO_JOB $SCOMO_TARGET $SCOMO_CHANGED >> {0}.new; mv {0}.new {0}",
        trace.display()
    );
    block_on(async {
        let job = lab.install(APP, Options::new()).await;
        let (code, why) = lab.end_of(&job).await;
        assert_eq!((code, why.as_str()), (1405, "hook pre-install/hook: battery at 3 %"));
        while !trace.exists() || fs::read_to_string(&trace).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(fs::read_to_string(&trace).unwrap(), "failed 1 1405\n");
        fs::remove_file(&trace).unwrap();
        lab.hook("post-install", &told);
        lab.hook("pre-install", "echo driving >&2; exit 75");
        let job = lab.install(APP, Options::new()).await;
        lab.waits_for(&job, "hook pre-install/hook: driving").await;
        lab.hook("pre-install", r#"test "$SCOMO_TARGET $SCOMO_VERSION" = "app 1""#);
        // Whatever changes is a reason to ask again.
        drop(lab.manager().await.inhibit("reboot", "x", Options::new()).await.unwrap());
        assert_eq!(lab.end_of(&job).await.0, 1200);
        while !trace.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(fs::read_to_string(&trace).unwrap(), "installed 2 app app 1\n");
    });
}

#[test]
fn leaves_of_a_package_decide_how_it_is_installed() {
    let lab = Lab::new("env_types = ['urn:here']");
    block_on(async {
        let manager = lab.manager().await;
        let install = async |id: &str, options: Options<'_>| {
            let path = manager.add_download(id, "sim:app@1", options).await.unwrap();
            let download = DownloadProxy::builder(&lab.connection).path(path).build().await.unwrap();
            let job = download.download_install(Options::new()).await.unwrap();
            lab.end_of(&job).await
        };
        let (code, why) =
            install("a", Options::from([("install-params", Variant::from("colour=red"))])).await;
        assert!(code == 1405 && why.contains("'colour' is not known"), "{code} {why}");
        let (code, why) = install("b", Options::from([("env-type", Variant::from("urn:elsewhere"))])).await;
        assert!(code == 1413 && why.contains("urn:elsewhere"), "{code} {why}");
        let (code, why) = install("c", Options::from([("reboot", Variant::from(9i32))])).await;
        assert!(code == 1405 && why.contains("the value 9"), "{code} {why}");
        let options =
            Options::from([("reboot", Variant::from(2i32)), ("env-type", Variant::from("urn:here"))]);
        assert_eq!(install("d", options).await.0, 1200);
        let device =
            lab.until(path::ROOT, |m: &Manager| m.reboot_waits_for.contains("scomoctl reboot")).await;
        assert!(device.reboot_wanted && !device.pending_reboot);
    });
}

#[test]
fn a_restart_before_the_install_is_waited_for() {
    let lab = Lab::new("");
    block_on(async {
        let manager = lab.manager().await;
        let options = Options::from([("install-params", Variant::from("reboot=before"))]);
        let path = manager.add_download("a", "sim:app@1", options).await.unwrap();
        let download = DownloadProxy::builder(&lab.connection).path(path).build().await.unwrap();
        let job = download.download_install(Options::new()).await.unwrap();
        let seen = lab.waits_for(&job, "a reboot by hand").await;
        assert!(seen.phase == "awaiting-boot" && seen.reboot_needed);
        assert!(lab.device().await.reboot_wanted);
        manager.refuse(seen.id, Options::new()).await.unwrap();
        assert_eq!(lab.end_of(&job).await.0, 1401);
        lab.until(path::ROOT, |m: &Manager| !m.reboot_wanted && m.reboot_waits_for.is_empty()).await;
    });
}

#[test]
fn reports_outlive_the_daemon_until_they_are_acknowledged() {
    let mut lab = Lab::new("");
    let options = || {
        Options::from([
            ("report-to", Variant::from("server")),
            ("report-uri", Variant::from("./SCOMO/x")),
            ("report-correlator", Variant::from("c1")),
        ])
    };
    block_on(async {
        let reports = ReportsProxy::new(&lab.connection).await.unwrap();
        let mut added = reports.receive_added().await.unwrap();
        let job = lab.install(APP, options()).await;
        assert_eq!(lab.end_of(&job).await.0, 1200);
        let signal = timeout(PATIENCE, added.next()).await.unwrap().unwrap();
        assert_eq!(*signal.args().unwrap().id(), 1);
    });
    lab.restart("");
    block_on(async {
        let reports = ReportsProxy::builder(&lab.connection).cache_properties(CacheProperties::No);
        let reports = reports.build().await.unwrap();
        let list = reports.list(Options::new()).await.unwrap();
        let text = |key: &str| String::try_from(list[0][key].try_clone().unwrap()).unwrap();
        assert_eq!((list.len(), text("To").as_str(), text("Correlator").as_str()), (1, "server", "c1"));
        assert_eq!((text("Identifier").as_str(), text("Uri").as_str()), ("app", "./SCOMO/x"));
        assert_eq!(u32::try_from(&*list[0]["ResultCode"]).unwrap(), 1200);
        let nodes = Vec::<String>::try_from(list[0]["Nodes"].try_clone().unwrap()).unwrap();
        assert_eq!(nodes, [path::deployed("app").to_string()]);
        let none = Options::from([("to", Variant::from("somebody"))]);
        assert!(reports.list(none).await.unwrap().is_empty());
        assert_eq!(reports.pending().await.unwrap(), 1);
        reports.acknowledge(1, Options::new()).await.unwrap();
        assert!(reports.list(Options::new()).await.unwrap().is_empty());
        let error = Error::from(reports.acknowledge(1, Options::new()).await.unwrap_err());
        assert!(matches!(error, Error::UnknownReport(_)), "{error}");
    });
}

/// What, who, why, mode, user id, process id.
type Block = (String, String, String, String, u32, u32);

/// A systemd-logind that only notes what it is told.
#[derive(Clone, Default)]
struct Logind {
    rebooted: Arc<Mutex<u32>>,
    blocks: Arc<Mutex<Vec<Block>>>,
    refuses: bool,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn reboot(&self, interactive: bool) -> zbus::fdo::Result<()> {
        assert!(!interactive);
        if self.refuses {
            return Err(zbus::fdo::Error::AccessDenied("no".to_owned()));
        }
        *self.rebooted.lock().unwrap() += 1;
        Ok(())
    }

    fn list_inhibitors(&self) -> Vec<Block> {
        self.blocks.lock().unwrap().clone()
    }

    #[zbus(property)]
    fn block_inhibited(&self) -> String {
        String::new()
    }
}

impl Logind {
    async fn on(self, device: &Device) -> Connection {
        let address = device.address();
        let builder = zbus::connection::Builder::address(address.as_str());
        let builder = builder.serve_at("/org/freedesktop/login1", self).name("org.freedesktop.login1");
        builder.build().await.unwrap()
    }

    fn block(&self, mode: &str) {
        let text = |text: &str| text.to_owned();
        let block = (text("sleep:shutdown"), text("apt"), text("upgrading"), text(mode), 0, 42);
        *self.blocks.lock().unwrap() = vec![block];
    }

    async fn rebooted(&self) {
        while *self.rebooted.lock().unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const OS: &str = "sim:os@1?os";

#[test]
fn a_restart_waits_for_whoever_blocks_a_shutdown() {
    let lab = Lab::new("reboot = 'now'\nreboot_delay_s = 0");
    block_on(async {
        let logind = Logind::default();
        logind.block("block");
        let connection = logind.clone().on(&lab.device).await;
        let lock = lab.manager().await.inhibit("reboot", "watching a film", Options::new()).await.unwrap();
        let job = lab.install(OS, Options::new()).await;
        lab.waits_for(&job, "watching a film").await;
        drop(lock);
        let seen = lab.waits_for(&job, "shutdown is blocked by apt (pid 42): upgrading").await;
        assert!(seen.reboot_needed && *logind.rebooted.lock().unwrap() == 0);
        // A delay is none: logind itself waits for it.
        logind.block("delay");
        let iface =
            connection.object_server().interface::<_, Logind>("/org/freedesktop/login1").await.unwrap();
        let emitter: &SignalEmitter<'_> = iface.signal_emitter();
        iface.get().await.block_inhibited_changed(emitter).await.unwrap();
        logind.rebooted().await;
        lab.waits_for(&job, "the device to go down").await;
    });
}

#[test]
fn a_restart_waits_for_hooks_and_approval_and_is_done_by_a_command_without_logind() {
    let lab = Lab::new("");
    let flag = lab.device.path().join("rebooted");
    let command = format!("reboot_command = ['touch', '{}']\nreboot_delay_s = 0\n", flag.display());
    let mut lab = lab;
    lab.restart(&format!("reboot = 'when-approved'\n{command}"));
    lab.hook("pre-reboot", "echo 'at sea' >&2; exit 1");
    let job = block_on(async {
        let job = lab.install(OS, Options::new()).await;
        lab.waits_for(&job, "approval: scomoctl approve 1").await;
        lab.manager().await.approve(1, Options::new()).await.unwrap();
        lab.waits_for(&job, "scomoctl approve 1, because: hook pre-reboot/hook: at sea").await;
        let now = lab.manager().await.reboot(Options::new()).await.map_err(Error::from);
        assert!(matches!(&now, Err(Error::Inhibited(text)) if text.contains("at sea")), "{now:?}");
        assert!(!flag.exists());
        lab.hook("pre-reboot", "exit 0");
        lab.manager().await.approve(1, Options::new()).await.unwrap();
        while !flag.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        job
    });
    fs::remove_file(&flag).unwrap();
    lab.restart(&format!("reboot = 'never'\n{command}"));
    block_on(async {
        lab.waits_for(&job, "a reboot by hand: scomoctl reboot").await;
        let lock = lab.manager().await.inhibit("reboot", "a film", Options::new()).await.unwrap();
        let held = lab.manager().await.reboot(Options::new()).await.map_err(Error::from);
        assert!(matches!(&held, Err(Error::Inhibited(text)) if text.contains("a film")), "{held:?}");
        let anyway = Options::from([("ignore-inhibitors", Variant::from(true))]);
        lab.manager().await.reboot(anyway).await.unwrap();
        assert!(flag.exists());
        drop(lock);
    });
}

#[test]
fn a_restart_that_cannot_be_begun_is_said() {
    let lab = Lab::new("reboot = 'now'\nreboot_delay_s = 0");
    block_on(async {
        let job = lab.install(OS, Options::new()).await;
        lab.waits_for(&job, "there is no systemd-logind").await;
        let error = Error::from(lab.manager().await.reboot(Options::new()).await.unwrap_err());
        assert!(matches!(&error, Error::Failed(text) if text.contains("reboot_command")), "{error}");
        let _logind = Logind { refuses: true, ..Logind::default() }.on(&lab.device).await;
        let error = Error::from(lab.manager().await.reboot(Options::new()).await.unwrap_err());
        assert!(matches!(&error, Error::Failed(text) if text.contains("systemd-logind refuses")), "{error}");
    });
}

/// An agent that answers as it is told.
struct Agent {
    yes: bool,
    asked: Arc<Mutex<Vec<String>>>,
}

#[zbus::interface(name = "org.scomo1.Agent")]
impl Agent {
    fn display(&self, text: String, _options: OptionMap) {
        self.asked.lock().unwrap().push(text);
    }

    fn confirm(&self, text: String, options: OptionMap) -> bool {
        assert!(options.contains_key("timeout-s"));
        self.asked.lock().unwrap().push(text);
        self.yes
    }

    fn input(&self, _text: String, options: OptionMap) -> String {
        String::try_from(options["default"].try_clone().unwrap()).unwrap()
    }

    fn choice(&self, _text: String, items: Vec<String>, _options: OptionMap) -> Vec<u32> {
        vec![u32::try_from(items.len()).unwrap() - 1]
    }
}

async fn agent(lab: &Lab, yes: bool) -> (Connection, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::default();
    let address = lab.device.address();
    let builder = zbus::connection::Builder::address(address.as_str());
    let builder = builder.serve_at("/agent", Agent { yes, asked: Arc::clone(&asked) });
    let connection = builder.build().await.unwrap();
    let manager = ManagerProxy::new(&connection).await.unwrap();
    manager.register_agent("/agent".try_into().unwrap(), Options::new()).await.unwrap();
    (connection, asked)
}

#[test]
fn an_agent_says_yes_or_no_and_goes_with_its_connection() {
    let lab = Lab::new("consent = ['install']");
    block_on(async {
        let job = lab.install(APP, Options::new()).await;
        lab.waits_for(&job, "consent of the user, who did not answer: scomoctl approve 1").await;
        let (connection, asked) = agent(&lab, false).await;
        let (code, why) = lab.end_of(&job).await;
        assert_eq!((code, why.as_str()), (1401, "the user did not agree"));
        let question = asked.lock().unwrap()[0].clone();
        assert!(question.contains("app 1") && question.contains("Install it now?"), "{question}");
        assert_eq!(lab.device().await.agents, 1);
        // The newest one is asked.
        let (newest, _) = agent(&lab, true).await;
        let job = lab.install(APP, Options::new()).await;
        assert_eq!(lab.end_of(&job).await.0, 1200);
        newest.close().await.unwrap();
        connection.close().await.unwrap();
        lab.until(path::ROOT, |manager: &Manager| manager.agents == 0).await;
    });
}

/// Proves SCOMO-S-002-O, SCOMO-S-003-O, SCOMO-S-004-O, SCOMO-S-005-O.
#[test]
fn a_front_end_asks_people_and_gets_the_default_when_nobody_answers() {
    let lab = Lab::new("");
    block_on(async {
        let manager = lab.manager().await;
        let confirm = || Options::from([("default", Variant::from(true))]);
        let alone = manager.ask_user("confirm", "Now?", &[], confirm()).await.unwrap();
        assert_eq!(alone["Answered"], OwnedVariant::from(false));
        assert_eq!(alone["Yes"], OwnedVariant::from(true));
        let (_connection, asked) = agent(&lab, false).await;
        let asked_now = manager.ask_user("confirm", "Now?", &[], confirm()).await.unwrap();
        assert_eq!(asked_now["Answered"], OwnedVariant::from(true));
        assert_eq!(asked_now["Yes"], OwnedVariant::from(false));
        manager.ask_user("display", "Hello", &[], Options::new()).await.unwrap();
        assert_eq!(asked.lock().unwrap()[1], "Hello");
        let input = Options::from([("default", Variant::from("Bob"))]);
        let text = manager.ask_user("input", "Name?", &[], input).await.unwrap();
        assert_eq!(String::try_from(text["Text"].try_clone().unwrap()).unwrap(), "Bob");
        let chosen = manager.ask_user("choice", "Which?", &["a", "b"], Options::new()).await.unwrap();
        assert_eq!(Vec::<u32>::try_from(chosen["Chosen"].try_clone().unwrap()).unwrap(), [1]);
        for (kind, items, options) in [
            ("wish", vec![], Options::new()),
            ("choice", vec![], Options::new()),
            ("confirm", vec!["a"], Options::new()),
            ("choice", vec!["a"], Options::from([("default", Variant::from(vec![1u32]))])),
            ("display", vec![], Options::from([("timeout-s", Variant::from(601u32))])),
        ] {
            let error = Error::from(manager.ask_user(kind, "?", &items, options).await.unwrap_err());
            assert!(matches!(error, Error::InvalidArgument(_)), "{kind}: {error}");
        }
    });
}

#[test]
fn the_shipped_bus_policy_lets_the_daemon_ask_an_agent() {
    if !is_root("the_shipped_bus_policy_lets_the_daemon_ask_an_agent") {
        return;
    }
    let mut device = Device::new(Policy::Shipped, "[policy]\nconsent = ['install']\n");
    device.start();
    let connection = connect(&device);
    let lab = Lab { device, connection };
    block_on(async {
        let (_connection, _) = agent(&lab, true).await;
        let job = lab.install(APP, Options::new()).await;
        assert_eq!(lab.end_of(&job).await.0, 1200);
    });
    let look = ["call", "org.scomo1", path::ROOT, "org.scomo1.Manager", "Policy", "a{sv}", "0"];
    let (code, text) = run(&mut lab.device.busctl_as_nobody(None, &look));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_policy_that_is_not_right_is_refused_with_the_reason() {
    let device = Device::new(Policy::Open, "");
    for (policy, said) in [
        ("windows = ['Sunday 1-2']", "'Sunday 1-2' is not a maintenance window"),
        ("time_zone = 'Mars'", "does not know the time zone 'Mars'"),
        ("install = 'tomorrow'", "tomorrow"),
        ("colour = 'red'", "colour"),
    ] {
        fs::write(device.path().join("scomo.toml"), format!("[policy]\n{policy}\n")).unwrap();
        let (code, text) = run(&mut device.command());
        assert!(code == 1 && text.contains(said), "{policy}: {code} {text}");
    }
}
