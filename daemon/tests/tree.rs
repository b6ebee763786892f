//! The SCOMO tree on the bus, as a management server's front-end and as people use it.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod harness;

use std::io::{Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use harness::{Device, HANGING_FETCH, PATIENCE, Policy};
use scomo_dbus::{Error, JobProxy, ManagerProxy, Options, ReportsProxy, TreeProxy};
use zbus::proxy::CacheProperties;
use zbus::{Connection, Variant};

fn on_bus<T>(device: &Device, body: impl AsyncFnOnce(Connection, TreeProxy<'static>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let work = async {
        let connection = zbus::connection::Builder::address(device.address().as_str()).build().await.unwrap();
        let tree =
            TreeProxy::builder(&connection).cache_properties(CacheProperties::No).build().await.unwrap();
        body(connection, tree).await
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("in time") })
}

async fn get(tree: &TreeProxy<'_>, uri: &str) -> Result<String, Error> {
    tree.get(uri, Options::new()).await.map(|(_, _, value)| value).map_err(Error::from)
}

/// The value of a node once it is this.
async fn until(tree: &TreeProxy<'_>, uri: &str, wanted: &str) {
    while get(tree, uri).await.as_deref().ok() != Some(wanted) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn gone(tree: &TreeProxy<'_>, uri: &str) {
    while get(tree, uri).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn as_server(id: &str) -> Options<'_> {
    Options::from([("server", Variant::from(id))])
}

/// Proves SCOMO-T-001-M, SCOMO-C-002-O, SCOMO-C-003-O, SCOMO-C-004-O, SCOMO-C-037-M, SCOMO-C-030-O, SCOMO-S-001-M.
/// Proves SCOMO-DMS-001-M, SCOMO-DMS-003-M, SCOMO-DMS-005-O, SCOMO-DMS-005-M.
#[test]
fn a_server_downloads_and_installs_by_uri() {
    let device = Device::started();
    on_bus(&device, async |connection, tree| {
        assert_eq!(tree.root().await.unwrap(), "./SCOMO");
        let kind = tree.get_property("./SCOMO", "Type", Options::new()).await.unwrap();
        assert_eq!(kind, "urn:oma:mo:oma-scomo:1.1");
        assert_eq!(kind, tree.version().await.unwrap());
        // The parents are made on the way; the other leaves come with them.
        for (leaf, value) in
            [("PkgID", "urn:shop"), ("PkgURL", "sim:none@1"), ("Name", "Shop"), ("PkgType", "x")]
        {
            tree.add(&format!("./SCOMO/Download/p/{leaf}"), "", value, Options::new()).await.unwrap();
        }
        tree.replace("./SCOMO/Download/p/PkgURL", "chr", "sim:shop@1?web", Options::new()).await.unwrap();
        assert_eq!(get(&tree, "./SCOMO/Download/p/Status").await.unwrap(), "10");
        let options = Options::from([("server", Variant::from("s1")), ("correlator", Variant::from("c7"))]);
        let exec = "./SCOMO/Download/p/Operations/DownloadInstall";
        tree.set_property("./SCOMO", "ACL", "Get=*&Add=*&Exec=s1", Options::new()).await.unwrap();
        tree.exec(exec, options).await.unwrap();
        until(&tree, "./SCOMO/Inventory/Deployed/web/State", "20").await;
        gone(&tree, "./SCOMO/Download/p").await;
        for (node, value) in [
            ("Delivered/p/PkgID", "urn:shop"),
            ("Delivered/p/PkgType", "x"),
            ("Delivered/p/State", "20"),
            ("Deployed/web/PkgIDRef", "urn:shop"),
            ("Deployed/web/ID", "web"),
            ("Deployed/web/Version", "1"),
        ] {
            assert_eq!(get(&tree, &format!("./SCOMO/Inventory/{node}")).await.unwrap(), value, "{node}");
        }
        let reports = ReportsProxy::new(&connection).await.unwrap();
        let told = reports.list(Options::new()).await.unwrap();
        let text = |name: &str| String::try_from(told[0][name].try_clone().unwrap()).unwrap();
        assert_eq!((text("To"), text("Uri"), text("Correlator")), ("s1".into(), exec.into(), "c7".into()));
        assert_eq!(text("Identifier"), "urn:shop");
    });
}

/// Proves SCOMO-C-020-O.
#[test]
fn a_client_that_polls_sees_the_status_of_a_download() {
    let device = Device::started();
    device.set_world(HANGING_FETCH);
    on_bus(&device, async |connection, tree| {
        tree.add("./SCOMO/Download/p/PkgURL", "", "sim:shop@1?web", Options::new()).await.unwrap();
        let job =
            tree.exec("./SCOMO/Download/p/Operations/DownloadInstallInactive", Options::new()).await.unwrap();
        until(&tree, "./SCOMO/Download/p/Status", "30").await;
        let builder = JobProxy::builder(&connection).path(job).cache_properties(CacheProperties::No);
        let job = builder.build().await.unwrap();
        // Not before the download hangs, so that the next one does not.
        while job.phase().await.unwrap() != "fetching" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        job.cancel(Options::new()).await.unwrap();
        until(&tree, "./SCOMO/Download/p/Status", "20").await;
        tree.exec("./SCOMO/Download/p/Operations/DownloadInstallInactive", Options::new()).await.unwrap();
        until(&tree, "./SCOMO/Inventory/Deployed/web/State", "10").await;
    });
}

/// Proves SCOMO-C-005-O, SCOMO-C-006-O, SCOMO-C-007-O, SCOMO-C-028-O.
#[test]
fn the_data_of_a_package_is_pushed_and_cannot_be_read() {
    let device = Device::started();
    on_bus(&device, async |_, tree| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a package").unwrap();
        file.rewind().unwrap();
        let data = "./SCOMO/Inventory/Delivered/p/Data";
        tree.replace_data(data, file.as_fd().into(), Options::new()).await.unwrap();
        assert_eq!(get(&tree, "./SCOMO/Inventory/Delivered/p/State").await.unwrap(), "10");
        assert!(matches!(get(&tree, data).await, Err(Error::NotPossible(_))));
        assert_eq!(device.spooled().len(), 1);
        // Other bytes take the place of the first.
        file.rewind().unwrap();
        tree.replace_data(data, file.as_fd().into(), Options::new()).await.unwrap();
        file.rewind().unwrap();
        let other = tree.replace_data("./SCOMO/Download/p/PkgURL", file.as_fd().into(), Options::new()).await;
        assert!(matches!(other.map_err(Error::from), Err(Error::NotPossible(_))));
        tree.delete("./SCOMO/Inventory/Delivered/p", Options::new()).await.unwrap();
        gone(&tree, "./SCOMO/Inventory/Delivered/p").await;
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    while !device.spooled().is_empty() {
        assert!(std::time::Instant::now() < deadline, "the spool is not swept");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn changes_that_are_made_together_are_all_made_or_none() {
    let device = Device::started();
    on_bus(&device, async |_, tree| {
        let change = |what: &str, uri: &str, value: &str| {
            (what.to_owned(), uri.to_owned(), String::new(), value.to_owned())
        };
        let bad = vec![
            change("Add", "./SCOMO/Download/p/PkgURL", "sim:shop@1"),
            change("Replace", "./SCOMO/Inventory/Deployed/none/ID", "x"),
        ];
        assert!(tree.apply(bad, Options::new()).await.is_err());
        assert!(matches!(get(&tree, "./SCOMO/Download/p").await, Err(Error::UnknownNode(_))));
        let good = vec![
            change("Add", "./SCOMO/Download/p/PkgURL", "sim:shop@1"),
            change("Add", "./SCOMO/Download/Blacklist/b/Name", "web"),
        ];
        tree.apply(good, Options::new()).await.unwrap();
        assert_eq!(get(&tree, "./SCOMO/Download/Blacklist/b/Name").await.unwrap(), "web");
    });
}

/// Proves SCOMO-C-035-O, SCOMO-DMS-004-O, SCOMO-C-024-O.
#[test]
fn what_is_refused_has_a_name_for_each_status_code() {
    let device = Device::new(Policy::Open, "[policy]\nenv_types = ['urn:here']\n");
    let mut device = device;
    device.start();
    on_bus(&device, async |connection, tree| {
        let uri = |text: &str| format!("./SCOMO/{text}");
        assert!(matches!(get(&tree, "./Other").await, Err(Error::UnknownNode(_))));
        let long = format!("./SCOMO/{}", "x".repeat(10_000));
        assert!(matches!(get(&tree, &long).await, Err(Error::UriTooLong(_))));
        assert!(matches!(get(&tree, "./SCOMO?prop=Colour").await, Err(Error::NoSuchProperty(_))));
        tree.add(&uri("Download/p/PkgURL"), "", "sim:shop@1?web", Options::new()).await.unwrap();
        let again = tree.add(&uri("Download/p/PkgURL"), "", "sim:x@1", Options::new()).await;
        assert!(matches!(again.map_err(Error::from), Err(Error::Exists(_))));
        let wrong = tree.replace(&uri("Download/p/Status"), "", "20", Options::new()).await;
        assert!(matches!(wrong.map_err(Error::from), Err(Error::NotPossible(_))));
        let text = tree.add(&uri("Download/p/Reboot"), "int", "soon", Options::new()).await;
        assert!(matches!(text.map_err(Error::from), Err(Error::WrongFormat(_))));
        let denied = tree.delete(&uri("Download/p"), as_server("s1")).await;
        assert!(matches!(denied.map_err(Error::from), Err(Error::AclDenied(_))));
        // An environment that is not this one: the primitive runs, and ends with its code.
        tree.add(&uri("Download/p/EnvType"), "", "urn:there", Options::new()).await.unwrap();
        assert_eq!(get(&tree, &uri("Download/p/EnvType")).await.unwrap(), "urn:there");
        tree.exec(&uri("Download/p/Operations/Download"), Options::new()).await.unwrap();
        let manager = ManagerProxy::new(&connection).await.unwrap();
        let history = manager.history(Options::new()).await.unwrap();
        assert_eq!(u32::try_from(history[0]["ResultCode"].try_clone().unwrap()).unwrap(), 1413);
    });
}

/// Proves SCOMO-T-002-M, SCOMO-T-003-O, SCOMO-T-004-M.
#[test]
fn the_tree_is_listed_and_exported() {
    let device = Device::started();
    on_bus(&device, async |connection, tree| {
        let manager = ManagerProxy::new(&connection).await.unwrap();
        manager.install("sim:shop@1?web", Options::new()).await.unwrap();
        until(&tree, "./SCOMO/Inventory/Deployed/web/State", "20").await;
        let children = tree.list("./SCOMO", Options::new()).await.unwrap();
        let names: Vec<&str> = children.iter().map(|(uri, ..)| uri.as_str()).collect();
        assert!(names.starts_with(&["./SCOMO", "./SCOMO/Download", "./SCOMO/Inventory"]), "{names:?}");
        assert!(!names.contains(&"./SCOMO/Inventory/Deployed"));
        let all = Options::from([("recursive", Variant::from(true))]);
        let nodes = tree.list("./SCOMO", all).await.unwrap();
        let of = |uri: &str| nodes.iter().find(|node| node.0 == uri).unwrap_or_else(|| panic!("{uri}"));
        assert_eq!(of("./SCOMO/Inventory/Deployed/web/State").3, "20");
        for required in ["AvailableVersion", "MetaData", "Size", "Operations", "PkgIDRef", "Version"] {
            of(&format!("./SCOMO/Inventory/Deployed/web/{required}"));
        }
        let ddf = tree.export("ddf", "", Options::new()).await.unwrap();
        assert_eq!(ddf.matches("<Node>").count(), 107);
        let tnds = tree.export("tnds", "./SCOMO/Inventory/Deployed/web", Options::new()).await.unwrap();
        assert!(tnds.contains("<NodeName>web</NodeName>"), "{tnds}");
        assert!(tree.export("pdf", "", Options::new()).await.is_err());
    });
    let device = Device::new(Policy::Open, "[tree]\nversion = '1.0'\nroot = './SCM'\n");
    let mut device = device;
    device.start();
    on_bus(&device, async |_, tree| {
        let kind = tree.get_property("./SCM", "Type", Options::new()).await.unwrap();
        assert_eq!(kind, "urn:oma:mo:oma-scomo:1.0");
        assert!(get(&tree, "./SCM/Inventory/CheckUpdateFreq").await.is_err());
        assert_eq!(tree.export("ddf", "", Options::new()).await.unwrap().matches("<Node>").count(), 54);
    });
}

#[test]
fn what_was_written_survives_a_restart() {
    let mut device = Device::started();
    on_bus(&device, async |_, tree| {
        tree.add("./SCOMO/Ext/Vendor/Colour", "chr", "blue", Options::new()).await.unwrap();
        tree.set_property("./SCOMO/Ext", "ACL", "Get=s1", Options::new()).await.unwrap();
    });
    device.kill();
    device.start();
    on_bus(&device, async |_, tree| {
        assert_eq!(get(&tree, "./SCOMO/Ext/Vendor/Colour").await.unwrap(), "blue");
        let other = tree.get("./SCOMO/Ext/Vendor/Colour", as_server("s2")).await.map_err(Error::from);
        assert!(matches!(other, Err(Error::AclDenied(_))));
        let own = tree.get("./SCOMO/Ext/Vendor/Colour", as_server("s1")).await.unwrap();
        assert_eq!(own.2, "blue");
    });
}
