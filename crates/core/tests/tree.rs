//! The SCOMO tree's behaviour: what can be read, what an edit does, and what happens to nodes while jobs run.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Life, World, component, package};
use scomo_core::command::{Command, Rejection};
use scomo_core::tree::edit::{Edit, Given, What};
use scomo_core::tree::{Reading, Settings, Subject, Tree, TreeError, TreeVersion, Value};

/// A device and those who use its tree.
struct Device {
    life: Life,
    settings: Settings,
}

fn device() -> Device {
    let mut world = World::default();
    world.offer("p1", &[("db", "1"), ("web", "1")]);
    world.offer("p2", &[("db", "2"), ("web", "2")]);
    world.offer("os1", &[("os", "1")]);
    Device { life: Life::new(world), settings: Settings::default() }
}

fn add(uri: &str, value: &str) -> Edit {
    Edit { uri: format!("./SCOMO/{uri}"), what: What::Add(Given::value(value)) }
}

fn add_interior(uri: &str) -> Edit {
    Edit { uri: format!("./SCOMO/{uri}"), what: What::Add(Given::interior()) }
}

fn replace(uri: &str, value: &str) -> Edit {
    Edit { uri: format!("./SCOMO/{uri}"), what: What::Replace(Given::value(value)) }
}

fn delete(uri: &str) -> Edit {
    Edit { uri: format!("./SCOMO/{uri}"), what: What::Delete }
}

fn exec(uri: &str) -> Edit {
    Edit { uri: format!("./SCOMO/{uri}"), what: What::Exec { correlator: "c1".into() } }
}

fn server(id: &str) -> Subject {
    Subject::Server(id.into())
}

impl Device {
    fn edits_as(&mut self, subject: &Subject, edits: &[Edit]) -> Result<(), (usize, u16)> {
        let command = Command::Tree {
            settings: Box::new(self.settings.clone()),
            subject: subject.clone(),
            edits: edits.to_vec(),
        };
        let before = self.life.state.clone();
        self.life.command(command).map_err(|rejection| {
            assert_eq!(self.life.state, before, "a refusal changes nothing");
            match rejection {
                Rejection::Tree { index, error } => (index, error.status()),
                other => panic!("{other}"),
            }
        })
    }

    fn edit_as(&mut self, subject: &Subject, edit: Edit) -> u16 {
        self.edits_as(subject, &[edit]).map_or_else(|(_, status)| status, |()| 200)
    }

    /// The status of an edit by somebody on the device.
    fn edit(&mut self, edit: Edit) -> u16 {
        self.edit_as(&Subject::Local, edit)
    }

    fn get_as(&self, subject: &Subject, uri: &str) -> Result<String, u16> {
        let tree = Tree::new(&self.life.state, &self.settings, subject);
        let uri = format!("./SCOMO/{uri}");
        let read = tree.uri(uri.trim_end_matches('/')).and_then(|uri| tree.get(&uri));
        match read.map_err(|error| error.status())? {
            Reading::Children(names) => Ok(names.join(" ")),
            Reading::Leaf(_, _, value) => Ok(value.to_text().into_owned()),
        }
    }

    fn get(&self, uri: &str) -> Result<String, u16> {
        self.get_as(&Subject::Local, uri)
    }

    fn uris(&self) -> Vec<String> {
        let subject = Subject::Local;
        let tree = Tree::new(&self.life.state, &self.settings, &subject);
        let mut uris = Vec::new();
        tree.walk(&tree.uri("./SCOMO").unwrap(), &mut |node| uris.push(node.uri.to_owned())).unwrap();
        uris
    }

    fn is(&self, uri: &str, expected: &str) {
        assert_eq!(self.get(uri).as_deref(), Ok(expected), "{uri}");
    }
}

#[test]
fn an_empty_device_has_the_required_nodes() {
    let device = device();
    device.is("", "Download Inventory Ext");
    device.is("Download", "Whitelist Blacklist Ext");
    device.is("Inventory", "Delivered Deployed Blacklisted Whitelisted Ext");
    device.is("Inventory/Delivered", "Ext");
    assert_eq!(device.get("Inventory/Nothing"), Err(404));
}

#[test]
fn a_server_makes_a_package_and_starts_it() {
    let mut device = device();
    assert_eq!(device.edit(add_interior("Download/p1")), 200);
    assert_eq!(device.edit(add_interior("Download/p1")), 418);
    device.is("Download/p1", "PkgID PkgURL Status Operations Ext");
    device.is("Download/p1/Operations", "Download DownloadInstall DownloadInstallInactive Ext");
    device.is("Download/p1/PkgID", "p1");
    device.is("Download/p1/Status", "10");
    assert_eq!(device.edit(exec("Download/p1/Operations/DownloadInstall")), 412, "there is no PkgURL");
    assert_eq!(device.edit(add("Download/p1/PkgURL", "test:p1")), 200, "it is empty until somebody sets it");
    assert_eq!(device.edit(add("Download/p1/PkgURL", "test:p1")), 418);
    assert_eq!(device.edit(replace("Download/p1/Name", "N")), 404);
    assert_eq!(device.edit(add("Download/p1/Name", "N")), 200);
    assert_eq!(device.edit(exec("Download/p1/Operations/DownloadInstall")), 200);
    device.is("Download/p1/Status", "30");
    device.life.settle();
    assert_eq!(device.get("Download/p1"), Err(404));
    device.is("Inventory/Deployed", "db web Ext");
    device.is("Inventory/Delivered/p1/Name", "N");
    assert_eq!(device.get("Inventory/Delivered/p1/Data"), Err(405));
}
