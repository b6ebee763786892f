//! A device as those see it who use its tree.

use scomo_core::command::{Command, Rejection, Then};
use scomo_core::failure::ResultCode;
use scomo_core::tree::edit::{Edit, Given, What};
use scomo_core::tree::export::tnds;
use scomo_core::tree::uri::Selection;
use scomo_core::tree::{Property, Reading, Settings, Subject, Tree};

use super::{Life, World, install_from};

/// A device and the settings of its tree.
pub struct Device {
    pub life: Life,
    pub settings: Settings,
}

pub fn device() -> Device {
    let mut world = World::default();
    world.offer("p1", &[("db", "1"), ("web", "1")]);
    world.offer("p2", &[("db", "2"), ("web", "2")]);
    world.offer("os1", &[("os", "1")]);
    Device { life: Life::new(world), settings: Settings::default() }
}

fn edit(uri: &str, what: What) -> Edit {
    Edit { uri: full(uri), what }
}

pub fn add(uri: &str, value: &str) -> Edit {
    edit(uri, What::Add(Given::value(value)))
}

pub fn add_interior(uri: &str) -> Edit {
    edit(uri, What::Add(Given::interior()))
}

pub fn replace(uri: &str, value: &str) -> Edit {
    edit(uri, What::Replace(Given::value(value)))
}

pub fn delete(uri: &str) -> Edit {
    edit(uri, What::Delete)
}

pub fn exec(uri: &str) -> Edit {
    edit(uri, What::Exec { correlator: "c1".into() })
}

pub fn set(uri: &str, property: Property, value: &str) -> Edit {
    edit(uri, What::Set { property, value: value.into() })
}

pub fn server(id: &str) -> Subject {
    Subject::Server(id.into())
}

impl Device {
    /// Err: which edit was refused, and its status.
    pub fn edits_as(&mut self, subject: &Subject, edits: &[Edit]) -> Result<(), (usize, u16)> {
        let settings = Box::new(self.settings.clone());
        let command = Command::Tree { settings, subject: subject.clone(), edits: edits.to_vec() };
        let before = self.life.state.clone();
        self.life.command(command).map_err(|rejection| {
            assert_eq!(self.life.state, before, "a refusal changes nothing");
            match rejection {
                Rejection::Tree { index, error } => (index, error.status()),
                other => panic!("{other}"),
            }
        })
    }

    pub fn edit_as(&mut self, subject: &Subject, edit: Edit) -> u16 {
        self.edits_as(subject, &[edit]).map_or_else(|(_, status)| status, |()| 200)
    }

    /// The status of an edit by somebody on the device.
    pub fn edit(&mut self, edit: Edit) -> u16 {
        self.edit_as(&Subject::Local, edit)
    }

    pub fn get_as(&self, subject: &Subject, uri: &str) -> Result<String, u16> {
        let tree = Tree::new(&self.life.state, &self.settings, subject);
        let read = tree.uri(&full(uri)).and_then(|uri| tree.get(&uri));
        match read.map_err(|error| error.status())? {
            Reading::Children(names) => Ok(names.join(" ")),
            Reading::Leaf(_, _, value) => Ok(value.to_text().into_owned()),
        }
    }

    /// The value of a leaf, or the names of the children of an interior node.
    pub fn get(&self, uri: &str) -> Result<String, u16> {
        self.get_as(&Subject::Local, uri)
    }

    pub fn is(&self, uri: &str, expected: &str) {
        assert_eq!(self.get(uri).as_deref(), Ok(expected), "{uri}");
    }

    pub fn property(&self, uri: &str, property: Property) -> Result<String, u16> {
        let tree = Tree::new(&self.life.state, &self.settings, &Subject::Local);
        let read = tree.uri(&full(uri)).and_then(|uri| tree.property(&uri, property));
        read.map_err(|error| error.status())
    }

    pub fn tnds(&self, uri: &str, selection: &Selection) -> String {
        let tree = Tree::new(&self.life.state, &self.settings, &Subject::Local);
        tnds(&tree, &tree.uri(&full(uri)).unwrap(), selection).unwrap()
    }

    /// Every node, parents first.
    pub fn uris(&self) -> Vec<String> {
        let tree = Tree::new(&self.life.state, &self.settings, &Subject::Local);
        let mut uris = Vec::new();
        tree.walk(&tree.uri("./SCOMO").unwrap(), &mut |node| uris.push(node.uri.to_owned())).unwrap();
        uris
    }

    /// Installs from a source, by the way for people.
    pub fn install(&mut self, id: &str) -> ResultCode {
        self.life.command(install_from(id, Then::Install)).unwrap();
        self.life.settle();
        self.life.last().code
    }
}

fn full(uri: &str) -> String {
    if uri.is_empty() { "./SCOMO".into() } else { format!("./SCOMO/{uri}") }
}
