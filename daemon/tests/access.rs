//! Who may do what: the shipped bus policy, polkit, and the group without polkit, with real users.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod harness;

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use harness::{Device, GROUP, PATIENCE, Policy, is_root, run};
use scomo_dbus::{Error, ManagerProxy, Options, TreeProxy, path};
use tokio::sync::oneshot;
use zbus::OwnedVariant;

const ROOT: [&str; 2] = ["org.scomo1", "/org/scomo1"];

/// The methods that everybody may call.
const OPEN: [&str; 7] = [
    "org.scomo1.Manager.History",
    "org.scomo1.Manager.Policy",
    "org.scomo1.Tree.Get",
    "org.scomo1.Tree.GetProperty",
    "org.scomo1.Tree.List",
    "org.scomo1.Tree.Export",
    "org.scomo1.Reports.List",
];

/// A call of a method of the entry.
fn call<'a>(method: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["call", ROOT[0], ROOT[1], "org.scomo1.Manager", method], args].concat()
}

fn install() -> Vec<&'static str> {
    call("Install", &["sa{sv}", "sim:app@1", "0"])
}

fn add_download() -> Vec<&'static str> {
    call("AddDownload", &["ssa{sv}", "app", "sim:app@1", "0"])
}

/// Every method of our interfaces: its full name, and what `busctl` needs to call it on an object that exists.
fn methods() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (interface, xml) in scomo_dbus::xml::INTERFACES {
        let object = match interface {
            "org.scomo1.Download" => path::download("new").to_string(),
            "org.scomo1.DeliveryPackage" => path::delivered("app").to_string(),
            "org.scomo1.DeploymentComponent" => path::deployed("app").to_string(),
            "org.scomo1.Job" => path::job(1).to_string(),
            _ => path::ROOT.to_owned(),
        };
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(xml, options).unwrap();
        for method in document.descendants().filter(|n| n.has_tag_name("method")) {
            let name = method.attribute("name").unwrap();
            let inputs = method.children().filter(|n| n.attribute("direction") == Some("in"));
            // busctl sends no file descriptors; the bus policy does not look at types.
            let types =
                inputs.map(|n| n.attribute("type").unwrap()).map(|ty| if ty == "h" { "u" } else { ty });
            let types: Vec<&str> = types.collect();
            let values = types.iter().map(|ty| match *ty {
                "s" | "o" => "/x",
                "b" => "false",
                // Numbers, empty arrays and dictionaries.
                _ => "0",
            });
            let values = values.map(str::to_owned);
            let mut call =
                ["call", ROOT[0], &object, interface, name, &types.concat()].map(str::to_owned).to_vec();
            call.extend(values);
            found.push((format!("{interface}.{name}"), call));
        }
    }
    found
}

/// Runs something on a thread that is the user nobody.
#[allow(unsafe_code, reason = "the safe calls change the user of the whole process")]
fn as_nobody<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: without the wrappers of libc these change the calling thread only, and take plain numbers.
            let done = unsafe {
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>())
                    | libc::syscall(libc::SYS_setresgid, gid, gid, gid)
                    | libc::syscall(libc::SYS_setresuid, uid, uid, uid)
            };
            assert_eq!(done, 0);
            body()
        });
        thread.join().unwrap()
    })
}

/// Hands a file over, which busctl cannot.
fn push(device: &Device, data: BorrowedFd<'_>, by_uri: bool) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = zbus::connection::Builder::address(device.address().as_str()).build().await?;
        if by_uri {
            let tree = TreeProxy::new(&connection).await?;
            tree.replace_data("./SCOMO/Inventory/Delivered/p/Data", data.into(), Options::new()).await?;
        } else {
            let manager = ManagerProxy::new(&connection).await?;
            manager.deliver("pushed", data.into(), Options::new()).await?;
        }
        Ok(())
    })
}

#[test]
fn the_shipped_policy_lets_everybody_look_and_nobody_else_change() {
    if !is_root("the_shipped_policy_lets_everybody_look_and_nobody_else_change") {
        return;
    }
    let mut device = Device::new(Policy::Shipped, &format!("[daemon]\ngroup = '{GROUP}'\n"));
    device.start();
    for look in [
        vec!["introspect", ROOT[0], ROOT[1]],
        vec!["get-property", ROOT[0], ROOT[1], "org.scomo1.Manager", "Version"],
        vec![
            "call",
            ROOT[0],
            ROOT[1],
            "org.freedesktop.DBus.Properties",
            "GetAll",
            "s",
            "org.scomo1.Manager",
        ],
        vec!["call", ROOT[0], ROOT[1], "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"],
        call("History", &["a{sv}", "0"]),
    ] {
        let (code, text) = run(&mut device.busctl_as_nobody(None, &look));
        assert_eq!(code, 0, "{look:?}: {text}");
    }
    let refused = |text: &str| text.contains("Access denied") || text.contains("Rejected send message");
    for (method, call) in methods() {
        let call: Vec<&str> = call.iter().map(String::as_str).collect();
        let (code, text) = run(&mut device.busctl_as_nobody(None, &call));
        assert_eq!(code != 0 && refused(&text), !OPEN.contains(&method.as_str()), "{method}: {text}");
    }
    let set = ["set-property", ROOT[0], ROOT[1], "org.scomo1.Manager", "Version", "s", "x"];
    let (code, text) = run(&mut device.busctl_as_nobody(None, &set));
    assert!(code == 1 && refused(&text), "{text}");
    let (code, text) = run(&mut device.busctl_as_nobody(Some(GROUP), &add_download()));
    assert_eq!((code, text.as_str()), (0, "o \"/org/scomo1/download/app\"\n"));
    let (code, text) = run(&mut device.busctl(&install()));
    assert_eq!((code, text.as_str()), (0, "o \"/org/scomo1/job/1\"\n"));
}

#[test]
fn the_daemon_refuses_what_a_careless_bus_policy_lets_through() {
    if !is_root("the_daemon_refuses_what_a_careless_bus_policy_lets_through") {
        return;
    }
    let device = Device::started();
    let (code, text) = run(&mut device.busctl(&install()));
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&mut device.busctl(&call("AddDownload", &["ssa{sv}", "new", "sim:new@1", "0"])));
    assert_eq!(code, 0, "{text}");
    wait_until(|| run(&mut device.busctl(&["tree", ROOT[0]])).1.contains("deployed/app"));
    let file = std::fs::File::open("/dev/null").unwrap();
    for by_uri in [false, true] {
        let error = as_nobody(|| push(&device, file.as_fd(), by_uri)).unwrap_err();
        let refused = |text: &str| text.contains("nobody may only look");
        assert!(matches!(&error, Error::AccessDenied(text) if refused(text)), "{error}");
    }
    let files = ["org.scomo1.Manager.Deliver", "org.scomo1.Tree.ReplaceData"];
    let by_busctl = |method: &str| !OPEN.contains(&method) && !files.contains(&method);
    for (method, call) in methods().into_iter().filter(|(method, _)| by_busctl(method)) {
        let call: Vec<&str> = call.iter().map(String::as_str).collect();
        let (code, text) = run(&mut device.busctl_as_nobody(None, &call));
        assert_eq!(code, 1, "{method}: {text}");
        assert!(text.contains("nobody may only look") && text.contains("'scomo'"), "{method}: {text}");
    }
    assert!(device.spooled().is_empty());
}

#[test]
fn members_of_the_group_may_change_things_without_polkit() {
    if !is_root("members_of_the_group_may_change_things_without_polkit") {
        return;
    }
    let mut device = Device::new(Policy::Open, &format!("[daemon]\ngroup = '{GROUP}'\n"));
    device.start();
    let (code, text) = run(&mut device.busctl_as_nobody(None, &add_download()));
    assert_eq!(code, 1, "{text}");
    let (code, text) = run(&mut device.busctl_as_nobody(Some(GROUP), &add_download()));
    assert_eq!((code, text.as_str()), (0, "o \"/org/scomo1/download/app\"\n"));
}

/// What a fake polkit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    /// To every action but this one.
    YesBut(&'static str),
    No,
    Challenge,
    Dismissed,
    Error,
    Never,
}

/// What it was asked: action, user interaction allowed, name of the question.
type Asked = Arc<Mutex<Vec<(String, bool, String)>>>;

struct Authority {
    answer: Answer,
    asked: Asked,
    cancelled: Arc<Mutex<Vec<String>>>,
}

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Authority {
    async fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action_id: String,
        _details: HashMap<String, String>,
        flags: u32,
        cancellation_id: String,
    ) -> zbus::fdo::Result<((bool, bool, HashMap<String, String>),)> {
        assert_eq!(subject.0, "system-bus-name");
        assert!(String::try_from(subject.1["name"].try_clone().unwrap()).unwrap().starts_with(":1."));
        self.asked.lock().unwrap().push((action_id.clone(), flags == 1, cancellation_id));
        let none = HashMap::new();
        let answer = match self.answer {
            Answer::Yes => (true, false, none),
            Answer::YesBut(action) => (action != action_id, false, none),
            Answer::No => (false, false, none),
            Answer::Challenge => (false, true, none),
            Answer::Dismissed => {
                (false, true, HashMap::from([("polkit.dismissed".to_owned(), "true".to_owned())]))
            }
            Answer::Error => return Err(zbus::fdo::Error::Failed("polkit is unwell".to_owned())),
            Answer::Never => std::future::pending().await,
        };
        Ok((answer,))
    }

    fn cancel_check_authorization(&self, cancellation_id: String) {
        self.cancelled.lock().unwrap().push(cancellation_id);
    }
}

/// A fake polkit on the bus of a device, until it is dropped.
struct Polkit {
    asked: Asked,
    cancelled: Arc<Mutex<Vec<String>>>,
    _end: oneshot::Sender<()>,
}

impl Polkit {
    fn on(device: &Device, answer: Answer) -> Self {
        let (asked, cancelled) = (Asked::default(), Arc::default());
        let authority = Authority { answer, asked: Arc::clone(&asked), cancelled: Arc::clone(&cancelled) };
        let ((end, ended), (ready, is_ready)) = (oneshot::channel(), oneshot::channel());
        let address = device.address();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let connection = zbus::connection::Builder::address(address.as_str())
                    .serve_at("/org/freedesktop/PolicyKit1/Authority", authority)
                    .name("org.freedesktop.PolicyKit1");
                let _connection = connection.build().await.unwrap();
                ready.send(()).unwrap();
                let _: Result<(), _> = ended.await;
            });
        });
        is_ready.blocking_recv().unwrap();
        Self { asked, cancelled, _end: end }
    }

    fn asked(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut *self.asked.lock().unwrap()).into_iter().map(|(a, b, _)| (a, b)).collect()
    }
}

/// A device on whose bus polkit gives this answer, and nobody is in the group.
fn device(config: &str, answer: Answer) -> (Device, Polkit) {
    let mut device = Device::new(Policy::Open, config);
    let polkit = Polkit::on(&device, answer);
    device.start();
    (device, polkit)
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

const QUIET: &str = "--allow-interactive-authorization=no";

#[test]
fn polkit_decides_where_it_is() {
    if !is_root("polkit_decides_where_it_is") {
        return;
    }
    let (device, polkit) = device("", Answer::Yes);
    let (code, text) = run(&mut device.busctl_as_nobody(None, &add_download()));
    assert_eq!((code, text.as_str()), (0, "o \"/org/scomo1/download/app\"\n"));
    assert_eq!(polkit.asked(), [("org.scomo1.download".to_owned(), true)]);
    let quiet = [vec![QUIET], call("Logs", &["sa{sv}", "app", "0"])].concat();
    let (_, text) = run(&mut device.busctl_as_nobody(None, &quiet));
    assert!(text.contains("there is no component 'app'"), "{text}");
    assert_eq!(polkit.asked(), [("org.scomo1.logs".to_owned(), false)]);
    let only_fetch = call("Install", &["sa{sv}", "sim:app@1", "1", "download-only", "b", "true"]);
    run(&mut device.busctl_as_nobody(None, &only_fetch));
    assert_eq!(polkit.asked(), [("org.scomo1.download".to_owned(), true)]);
    // Root and those who only look are not a matter for polkit.
    let (code, text) = run(&mut device.busctl(&call("AddDownload", &["ssa{sv}", "x", "sim:x@1", "0"])));
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&mut device.busctl_as_nobody(None, &call("History", &["a{sv}", "0"])));
    assert_eq!(code, 0, "{text}");
    assert_eq!(polkit.asked(), []);
}

#[test]
fn what_polkit_does_not_allow_is_refused_with_the_reason() {
    if !is_root("what_polkit_does_not_allow_is_refused_with_the_reason") {
        return;
    }
    for (answer, options, reason) in [
        (Answer::No, None, "polkit's rules forbid it"),
        (Answer::Challenge, None, "nothing can ask for it"),
        (Answer::Challenge, Some(QUIET), "call again and allow interaction"),
        (Answer::Dismissed, None, "was dismissed"),
        (Answer::Error, None, "polkit is unwell"),
    ] {
        let (device, polkit) = device(&format!("[daemon]\ngroup = '{GROUP}'\n"), answer);
        let args: Vec<&str> = options.into_iter().chain(install()).collect();
        // Membership of the group does not count where polkit decides.
        let (code, text) = run(&mut device.busctl_as_nobody(Some(GROUP), &args));
        assert_eq!(code, 1, "{answer:?}: {text}");
        let begin = "nobody may not install software (org.scomo1.install): ";
        assert!(text.contains(begin) && text.contains(reason), "{answer:?}: {text}");
        assert_eq!(polkit.asked(), [("org.scomo1.install".to_owned(), options.is_none())]);
        let (_, text) = run(&mut device.busctl(&["tree", ROOT[0]]));
        assert!(!text.contains("job/"), "{text}");
    }
}

#[test]
fn what_takes_more_than_the_verb_is_asked_for_too() {
    if !is_root("what_takes_more_than_the_verb_is_asked_for_too") {
        return;
    }
    let config = "[[package.policies]]\nsource = 'sim:'\nsignature = 'insecure-accept-unsigned'\n";
    let (device, polkit) = device(config, Answer::YesBut("org.scomo1.untrusted-source"));
    let (code, text) = run(&mut device.busctl_as_nobody(None, &install()));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("install software that nobody signed (org.scomo1.untrusted-source)"), "{text}");
    let asked: Vec<String> = polkit.asked().into_iter().map(|(action, _)| action).collect();
    assert_eq!(asked, ["org.scomo1.install", "org.scomo1.untrusted-source"]);
}

#[test]
fn an_older_version_that_shows_only_later_ends_the_job() {
    if !is_root("an_older_version_that_shows_only_later_ends_the_job") {
        return;
    }
    let (device, polkit) = device("", Answer::YesBut("org.scomo1.downgrade"));
    let install = |source| call("Install", &["sa{sv}", source, "0"]);
    let job = |number: u64, property: &str| {
        let object = format!("/org/scomo1/job/{number}");
        run(&mut device.busctl(&["get-property", ROOT[0], &object, "org.scomo1.Job", property])).1
    };
    let (code, text) = run(&mut device.busctl_as_nobody(None, &install("sim:app@2")));
    assert_eq!(code, 0, "{text}");
    wait_until(|| job(1, "Result") == "s \"done\"\n");
    polkit.asked();
    let (code, text) = run(&mut device.busctl_as_nobody(None, &install("sim:app@1")));
    assert_eq!(code, 0, "{text}");
    // The second one is asked without a word to the user.
    let asked = [("org.scomo1.install".to_owned(), true), ("org.scomo1.downgrade".to_owned(), false)];
    assert_eq!(polkit.asked(), asked);
    wait_until(|| job(2, "Result") == "s \"failed\"\n");
    assert!(job(2, "Message").contains("1 is older than what is deployed"), "{}", job(2, "Message"));
    let (code, text) = run(&mut device.busctl(&install("sim:app@1")));
    assert_eq!(code, 0, "{text}");
    wait_until(|| job(3, "Result") == "s \"done\"\n");
}

#[test]
fn a_polkit_that_hangs_refuses_and_only_so_many_questions_are_open() {
    if !is_root("a_polkit_that_hangs_refuses_and_only_so_many_questions_are_open") {
        return;
    }
    let (device, polkit) = device("", Answer::Never);
    let args = [vec![QUIET], install()].concat();
    let hanging: Vec<Child> = (0..4)
        .map(|_| {
            let mut call = device.busctl_as_nobody(None, &args);
            call.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    wait_until(|| polkit.asked.lock().unwrap().len() == 4);
    let (code, text) = run(&mut device.busctl_as_nobody(None, &args));
    assert!(code == 1 && text.contains("too many calls of yours"), "{text}");
    // Nobody else waits for them.
    let (code, text) = run(&mut device.busctl(&add_download()));
    assert_eq!(code, 0, "{text}");
    for child in hanging {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("polkit did not answer within 10 s"), "{text}");
    }
    wait_until(|| polkit.cancelled.lock().unwrap().len() == 4);
    let mut asked: Vec<_> = polkit.asked.lock().unwrap().iter().map(|(_, _, name)| name.clone()).collect();
    let mut cancelled = polkit.cancelled.lock().unwrap().clone();
    asked.sort();
    cancelled.sort();
    assert_eq!(asked, cancelled);
}

#[test]
fn the_setting_says_whether_polkit_is_asked() {
    if !is_root("the_setting_says_whether_polkit_is_asked") {
        return;
    }
    let config = |polkit: &str| format!("[daemon]\ngroup = '{GROUP}'\npolkit = '{polkit}'\n");
    let (never, polkit) = device(&config("never"), Answer::No);
    let (code, text) = run(&mut never.busctl_as_nobody(Some(GROUP), &add_download()));
    assert_eq!(code, 0, "{text}");
    assert_eq!(polkit.asked(), []);
    let mut always = Device::new(Policy::Open, &config("always"));
    always.start();
    let (code, text) = run(&mut always.busctl_as_nobody(Some(GROUP), &add_download()));
    assert!(code == 1 && text.contains("polkit does not answer"), "{text}");
    let (code, text) = run(&mut always.busctl(&add_download()));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_polkit_that_the_bus_can_start_counts_as_there() {
    if !is_root("a_polkit_that_the_bus_can_start_counts_as_there") {
        return;
    }
    let mut device = Device::new(Policy::Open, &format!("[daemon]\ngroup = '{GROUP}'\n"));
    let service = "[D-BUS Service]\nName=org.freedesktop.PolicyKit1\nExec=/bin/false\nUser=root\n";
    std::fs::write(device.path().join("services/org.freedesktop.PolicyKit1.service"), service).unwrap();
    let reload = ["call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ReloadConfig"];
    let (code, text) = run(&mut device.busctl(&reload));
    assert_eq!(code, 0, "{text}");
    device.start();
    let (code, text) = run(&mut device.busctl_as_nobody(Some(GROUP), &add_download()));
    assert!(code == 1 && text.contains("polkit does not answer"), "{text}");
}
