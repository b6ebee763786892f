//! The daemon on a private bus, as clients see it.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use harness::{Device, HANGING_FETCH, PATIENCE, Policy, run, slow_world, wait_for_end};
use scomo_dbus::{
    DeliveryPackageProxy, DownloadProxy, Error, Job, JobProxy, ManagerProxy, OptionMap, Options,
    Properties as _, path,
};
use zbus::fdo::{ObjectManagerProxy, PropertiesProxy};
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, Variant};

fn block_on<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, body).await.expect("in time") })
}

async fn connect(device: &Device) -> Connection {
    zbus::connection::Builder::address(device.address().as_str()).build().await.unwrap()
}

async fn manager(connection: &Connection) -> ManagerProxy<'static> {
    ManagerProxy::builder(connection).cache_properties(CacheProperties::No).build().await.unwrap()
}

async fn job(connection: &Connection, path: &OwnedObjectPath) -> JobProxy<'static> {
    let builder = JobProxy::builder(connection).path(path.clone()).cache_properties(CacheProperties::No);
    builder.build().await.unwrap()
}

async fn properties(connection: &Connection, path: &str) -> Job {
    let proxy = PropertiesProxy::builder(connection)
        .destination(scomo_dbus::BUS_NAME)
        .path(path)
        .build()
        .await
        .unwrap();
    let map: OptionMap = proxy.get_all(Job::INTERFACE.try_into().unwrap()).await.unwrap();
    Job::from_map(&map).unwrap()
}

/// Everything that the daemon says from now on.
async fn signals(connection: &Connection) -> MessageStream {
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender(scomo_dbus::BUS_NAME)
        .path_namespace(path::ROOT)
        .build()
        .unwrap();
    MessageStream::for_match_rule(rule, connection, std::num::NonZeroUsize::new(1000)).await.unwrap()
}

/// Reads signals until the job has ended. Gives its result and code.
async fn wait_for_end_of(stream: &mut MessageStream, job: &OwnedObjectPath) -> (String, u32) {
    loop {
        let message = stream.next().await.unwrap().unwrap();
        if message.header().member().is_some_and(|m| m == "JobRemoved") {
            let (path, result, code): (OwnedObjectPath, String, u32) = message.body().deserialize().unwrap();
            if path == *job {
                return (result, code);
            }
        }
    }
}

async fn install(connection: &Connection, source: &str) -> Result<OwnedObjectPath, Error> {
    Ok(manager(connection).await.install(source, Options::new()).await?)
}

async fn install_and_wait(connection: &Connection, source: &str) -> (String, u32) {
    let mut stream = signals(connection).await;
    let job = install(connection, source).await.unwrap();
    wait_for_end_of(&mut stream, &job).await
}

/// Waits until the job is in a phase.
async fn wait_for_phase(connection: &Connection, job: &OwnedObjectPath, phase: &str) {
    let mut stream = signals(connection).await;
    while properties(connection, job.as_str()).await.phase != phase {
        stream.next().await.unwrap().unwrap();
    }
}

#[test]
fn live_introspection_is_the_xml() {
    let device = Device::started();
    block_on(async {
        let connection = connect(&device).await;
        assert_eq!(install_and_wait(&connection, "sim:app@1").await, ("done".to_owned(), 1200));
        manager(&connection).await.add_download("new", "sim:new@1", Options::new()).await.unwrap();
        let objects = [
            path::ROOT.to_owned(),
            path::download("new").to_string(),
            path::delivered("app").to_string(),
            path::deployed("app").to_string(),
            path::job(1).to_string(),
            path::ROOT.to_owned(),
        ];
        for ((interface, xml), object) in scomo_dbus::xml::INTERFACES.into_iter().zip(objects) {
            let proxy = zbus::fdo::IntrospectableProxy::builder(&connection)
                .destination(scomo_dbus::BUS_NAME)
                .path(object)
                .build()
                .await
                .unwrap();
            let live = proxy.introspect().await.unwrap();
            assert_eq!(members(&live, interface), members(xml, interface), "{interface}");
        }
    });
}

/// What an interface has, without comments and order.
fn members(xml: &str, interface: &str) -> BTreeSet<String> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(xml, options).unwrap();
    let node = document.descendants().find(|n| n.attribute("name") == Some(interface)).expect(interface);
    let describe = |node: roxmltree::Node<'_, '_>| {
        let attributes: BTreeSet<String> =
            node.attributes().map(|a| format!("{}={}", a.name(), a.value())).collect();
        format!("{} {attributes:?}", node.tag_name().name())
    };
    let elements = node.children().filter(roxmltree::Node::is_element);
    elements
        .map(|member| {
            let children = member.children().filter(roxmltree::Node::is_element).map(describe);
            format!("{} {:?}", describe(member), children.collect::<Vec<_>>())
        })
        .collect()
}

#[test]
fn an_unknown_option_is_refused_by_name_and_nothing_happens() {
    let device = Device::started();
    block_on(async {
        let connection = connect(&device).await;
        let manager = manager(&connection).await;
        let options = Options::from([("pkg-id", Variant::from("x")), ("colour", Variant::from("red"))]);
        let error = Error::from(manager.install("sim:app@1", options).await.unwrap_err());
        assert!(matches!(&error, Error::UnknownOption(text) if text.contains("'colour'")), "{error}");
        let options = Options::from([("inactive", Variant::from("yes"))]);
        let error = Error::from(manager.install("sim:app@1", options).await.unwrap_err());
        assert!(matches!(&error, Error::UnknownOption(text) if text.contains("'inactive'")), "{error}");
        let error =
            Error::from(manager.confirm_boot(Options::from([("x", Variant::from(1))])).await.unwrap_err());
        assert!(matches!(&error, Error::UnknownOption(_)), "{error}");
        assert!(manager.jobs().await.unwrap().is_empty());
    });
}

#[test]
fn refusals_have_their_own_names() {
    let device = Device::started();
    block_on(async {
        let connection = connect(&device).await;
        let manager = manager(&connection).await;
        let error =
            |result: zbus::Result<_>| zbus::DBusError::name(&Error::from(result.unwrap_err())).to_string();
        let none = Options::new;
        assert_eq!(error(manager.rollback(none()).await), "org.scomo1.Error.NothingToRollBack");
        assert_eq!(
            error(manager.confirm_boot(none()).await.map(|()| path::job(0))),
            "org.scomo1.Error.NothingToConfirm"
        );
        assert_eq!(error(manager.install("", none()).await), "org.scomo1.Error.InvalidArgument");
        let logs = manager.logs("nobody", none()).await.map(|_| path::job(0));
        assert_eq!(error(logs), "org.scomo1.Error.UnknownComponent");
        let id = "x".repeat(300);
        assert_eq!(
            error(manager.add_download(&id, "sim:x@1", none()).await),
            "org.scomo1.Error.InvalidArgument"
        );
        manager.add_download("twice", "sim:x@1", none()).await.unwrap();
        assert_eq!(error(manager.add_download("twice", "sim:x@1", none()).await), "org.scomo1.Error.Exists");
    });
}

#[test]
fn one_job_at_a_time_and_a_cancelled_one_can_be_given_again() {
    let device = Device::started();
    device.set_world(HANGING_FETCH);
    block_on(async {
        let (one, two) = (connect(&device).await, connect(&device).await);
        let first = install(&one, "sim:app@1").await.unwrap();
        wait_for_phase(&one, &first, "fetching").await;
        let busy = install(&two, "sim:other@1").await.unwrap_err();
        assert!(matches!(&busy, Error::Busy(text) if text.contains("job 1")), "{busy}");
        let mut seen = signals(&one).await;
        job(&two, &first).await.cancel(Options::new()).await.unwrap();
        assert_eq!(wait_for_end_of(&mut seen, &first).await, ("cancelled".to_owned(), 1401));
        let late = Error::from(job(&two, &first).await.cancel(Options::new()).await.unwrap_err());
        assert!(matches!(late, Error::UnknownJob(_)), "{late}");
        assert_eq!(install_and_wait(&one, "sim:app@1").await, ("done".to_owned(), 1200));
    });
}

#[test]
fn every_client_is_told_in_order_and_100_comes_last() {
    let device = Device::started();
    device.set_world(&slow_world(Duration::from_millis(50)));
    block_on(async {
        let (one, two) = (connect(&device).await, connect(&device).await);
        let mut seen = signals(&two).await;
        let job = install(&one, "sim:app@1?web&db").await.unwrap();
        let (mut percents, mut added, mut new) = (Vec::new(), BTreeSet::new(), false);
        loop {
            let message = seen.next().await.unwrap().unwrap();
            let header = message.header();
            match header.member().unwrap().as_str() {
                "JobNew" => {
                    assert!(added.contains(job.as_str()), "the object is there before its signal");
                    new = true;
                }
                "InterfacesAdded" => {
                    let (path, _): (OwnedObjectPath, std::collections::HashMap<String, OptionMap>) =
                        message.body().deserialize().unwrap();
                    added.insert(path.to_string());
                }
                "PropertiesChanged" if header.path().unwrap().as_str() == job.as_str() => {
                    let (_, changed, _): (String, OptionMap, Vec<String>) =
                        message.body().deserialize().unwrap();
                    let job = Job::from_map(&changed).unwrap();
                    if changed.contains_key("Percent") {
                        percents.push((job.percent, job.result));
                    }
                }
                "JobRemoved" => break assert!(new),
                _ => {}
            }
        }
        assert!(percents.windows(2).all(|pair| pair[0].0 < pair[1].0), "{percents:?}");
        assert!(percents.len() > 3, "{percents:?}");
        let last = percents.pop().unwrap();
        assert_eq!(last, (100, "done".to_owned()));
        for id in ["web", "db"] {
            assert!(added.contains(path::deployed(id).as_str()), "{added:?}");
        }
    });
}

#[test]
fn progress_is_announced_at_most_five_times_a_second() {
    let device = Device::started();
    device.set_world(&slow_world(Duration::from_millis(300)));
    block_on(async {
        let connection = connect(&device).await;
        let mut seen = signals(&connection).await;
        let job = install(&connection, "sim:app@1").await.unwrap();
        let (mut last, mut progress) = (None::<tokio::time::Instant>, 0);
        loop {
            let message = seen.next().await.unwrap().unwrap();
            if message.header().member().unwrap() == "JobRemoved" {
                break;
            }
            if message.header().member().unwrap() != "PropertiesChanged"
                || message.header().path().unwrap().as_str() != job.as_str()
            {
                continue;
            }
            let (_, changed, _): (String, OptionMap, Vec<String>) = message.body().deserialize().unwrap();
            let now = tokio::time::Instant::now();
            if !changed.contains_key("Phase") && !changed.contains_key("Result") {
                progress += 1;
                // Some slack for the way here.
                assert!(last.is_none_or(|last| now - last > Duration::from_millis(150)), "{changed:?}");
            }
            last = Some(now);
        }
        assert!(progress > 0);
    });
}

#[test]
fn the_same_request_is_carried_out_once() {
    let device = Device::started();
    block_on(async {
        let connection = connect(&device).await;
        let manager = manager(&connection).await;
        let options = || Options::from([("request-id", Variant::from("r-1"))]);
        let mut stream = signals(&connection).await;
        let first = manager.install("sim:app@1", options()).await.unwrap();
        wait_for_end_of(&mut stream, &first).await;
        assert_eq!(manager.install("sim:app@1", options()).await.unwrap(), first);
        assert_eq!(manager.history(Options::new()).await.unwrap().len(), 1);
    });
}

#[test]
fn a_delivered_package_is_stored_and_goes_when_it_is_removed() {
    let mut device = Device::new(Policy::Open, "[daemon]\ndeliver_bytes_max = 16\n");
    device.start();
    block_on(async {
        let connection = connect(&device).await;
        let manager = manager(&connection).await;
        let mut file = tempfile::tempfile().unwrap();
        let mut deliver = async |bytes: &[u8]| {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            let result = manager.deliver("pushed", file.as_fd().into(), Options::new()).await;
            result.map_err(Error::from)
        };
        let error = deliver(b"seventeen bytes!!").await.unwrap_err();
        assert!(matches!(&error, Error::TooLong(text) if text.contains("deliver_bytes_max")), "{error}");
        assert!(device.spooled().is_empty());
        let path = deliver(b"package").await.unwrap();
        assert_eq!(path, path::delivered("pushed"));
        assert_eq!(fs::read(&device.spooled()[0]).unwrap(), b"package");
        assert!(matches!(deliver(b"package").await, Err(Error::Exists(_))));
        assert_eq!(device.spooled().len(), 1);
        let (pipe, _writer) = std::io::pipe().unwrap();
        let error = manager
            .deliver("pipe", pipe.as_fd().into(), Options::new())
            .await
            .map_err(Error::from)
            .unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
        // The simulated backend reads no archives: the package stays, as one that failed.
        let package = DeliveryPackageProxy::builder(&connection).path(path).build().await.unwrap();
        let mut stream = signals(&connection).await;
        let job = package.install(Options::new()).await.unwrap();
        assert_eq!(wait_for_end_of(&mut stream, &job).await.0, "failed");
        let job = package.remove(Options::new()).await.unwrap();
        assert_eq!(wait_for_end_of(&mut stream, &job).await, ("done".to_owned(), 1200));
        while !device.spooled().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_download_is_added_fetched_and_forgotten() {
    let device = Device::started();
    block_on(async {
        let connection = connect(&device).await;
        let options = Options::from([("name", Variant::from("The app")), ("pkg-type", Variant::from("x/y"))]);
        let path = manager(&connection).await.add_download("", "sim:app@1", options).await.unwrap();
        assert_eq!(path, path::download("app"));
        let download = DownloadProxy::builder(&connection)
            .path(path)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .unwrap();
        assert_eq!(
            (download.name().await.unwrap().as_str(), download.status().await.unwrap()),
            ("The app", 10)
        );
        let mut stream = signals(&connection).await;
        let job = download.download(Options::new()).await.unwrap();
        assert_eq!(wait_for_end_of(&mut stream, &job).await, ("done".to_owned(), 1200));
        assert!(download.status().await.is_err(), "a fetched package leaves the Download branch");
        let forgotten =
            manager(&connection).await.add_download("x", "sim:x@1", Options::new()).await.unwrap();
        let forgotten = DownloadProxy::builder(&connection).path(forgotten).build().await.unwrap();
        forgotten.delete(Options::new()).await.unwrap();
        let root = ObjectManagerProxy::builder(&connection)
            .destination(scomo_dbus::BUS_NAME)
            .path(path::ROOT)
            .build()
            .await
            .unwrap();
        // Folders of objects are listed too, without an interface of ours.
        let ours = |(_, interfaces): &(_, std::collections::HashMap<zbus::names::OwnedInterfaceName, _>)| {
            interfaces.keys().any(|name| name.starts_with("org.scomo1."))
        };
        let objects: Vec<(_, std::collections::HashMap<_, OptionMap>)> =
            root.get_managed_objects().await.unwrap().into_iter().collect();
        let paths: BTreeSet<String> =
            objects.into_iter().filter(ours).map(|(path, _)| path.to_string()).collect();
        let want = [path::delivered("app").to_string(), path::job(1).to_string()];
        assert_eq!(paths, BTreeSet::from(want));
    });
}

#[test]
fn a_killed_daemon_goes_on_with_the_same_job() {
    let mut device = Device::started();
    device.set_world(HANGING_FETCH);
    let job = block_on(async {
        let connection = connect(&device).await;
        let job = install(&connection, "sim:app@1").await.unwrap();
        wait_for_phase(&connection, &job, "fetching").await;
        // Only looked at: changing it would race with the worker.
        let world = device.path().join("state/world.json");
        while !fs::read_to_string(&world).unwrap().contains("\"faults\":[]") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        job
    });
    device.kill();
    device.start();
    block_on(async {
        let connection = connect(&device).await;
        let mut stream = signals(&connection).await;
        let now = properties(&connection, job.as_str()).await;
        if now.finished == 0 {
            assert_eq!(wait_for_end_of(&mut stream, &job).await, ("done".to_owned(), 1200));
        } else {
            assert_eq!(now.result_code, 1200);
        }
    });
}

#[test]
fn sigterm_ends_it_in_order_and_jobs_that_ended_are_remembered() {
    let mut device = Device::started();
    block_on(async {
        let connection = connect(&device).await;
        assert_eq!(install_and_wait(&connection, "sim:unsigned@1").await, ("failed".to_owned(), 1407));
    });
    assert!(device.terminate().success(), "{}", device.log());
    device.start();
    block_on(async {
        let connection = connect(&device).await;
        let job = properties(&connection, path::job(1).as_str()).await;
        assert_eq!((job.result.as_str(), job.failure_kind.as_str()), ("failed", "untrusted"));
        let history = manager(&connection)
            .await
            .history(Options::from([("limit", Variant::from(1u32))]))
            .await
            .unwrap();
        assert_eq!(Job::from_map(&history[0]).unwrap().message, "no trusted key signed it");
    });
}

#[test]
fn a_damaged_store_means_safe_mode() {
    let mut device = Device::new(Policy::Open, "");
    let state = device.path().join("state");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("facts.db"), "this is no database").unwrap();
    fs::create_dir_all(state.join("spool")).unwrap();
    fs::write(state.join("spool/pushed.scomo"), "a package that the damaged store may know").unwrap();
    device.start();
    block_on(async {
        let connection = connect(&device).await;
        let manager = manager(&connection).await;
        assert!(manager.safe_mode().await.unwrap().contains("store"), "says why");
        let error = Error::from(manager.install("sim:app@1", Options::new()).await.unwrap_err());
        assert!(matches!(error, Error::SafeMode(_)), "{error}");
        let file = tempfile::tempfile().unwrap();
        let error =
            manager.deliver("p", file.as_fd().into(), Options::new()).await.map_err(Error::from).unwrap_err();
        assert!(matches!(error, Error::SafeMode(_)), "{error}");
    });
    assert_eq!(fs::read_to_string(state.join("facts.db")).unwrap(), "this is no database");
    assert_eq!(device.spooled().len(), 1);
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let mut device = Device::new(Policy::Open, "[daemon]\ncolour = 'red'\n");
    let (code, text) = run(&mut device.command());
    assert_eq!(code, 1);
    assert!(text.contains("scomo.toml") && text.contains("colour"), "{text}");
    fs::write(device.path().join("scomo.toml"), "").unwrap();
    device.start();
    let mut second = device.command();
    second.arg("--state-dir").arg(device.path().join("other")).stderr(Stdio::piped());
    let mut second = second.spawn().unwrap();
    assert_eq!(wait_for_end(&mut second).code(), Some(1));
    let text = std::io::read_to_string(second.stderr.take().unwrap()).unwrap();
    assert!(text.contains("does another scomod run?"), "{text}");
    let (code, text) = run(device.command().arg("--colour"));
    assert_eq!(code, 2);
    assert!(text.contains("--colour"), "{text}");
}
