//! Where a path leads: the row of the table, the package or component it belongs to, and what the overlay says there.
//! Existence is decided here and nowhere else. Nothing here asks who is asking.

use std::collections::BTreeSet;

use super::leaves;
use super::nodes::{Branch, Format, PLACEHOLDER};
use super::overlay::{Marks, Overlay, Stored};
use super::settings::Settings;
use super::uri::{node_id, node_name, push_segment, unescape};
use super::value::Value;
use crate::id::{ComponentId, PackageId};
use crate::spec::Icon;
use crate::state::{Component, Delivered, Download, State};

/// The state of the device as a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    pub state: &'a State,
    pub settings: &'a Settings,
}

/// A node that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The row that describes it, or that of the Ext above it.
    pub branch: &'static Branch,
    /// What it belongs to.
    pub instance: Instance<'a>,
    /// Below an Ext: the node itself.
    pub stored: Option<&'a Stored>,
    /// The overlay says nothing about this instance: a short cut for listing.
    pub quiet: bool,
}

/// What a node belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instance<'a> {
    /// The device.
    Device,
    /// `Download/<X>`.
    Download(&'a PackageId, &'a Download),
    /// `Inventory/Delivered/<X>`.
    Delivered(&'a PackageId, &'a Delivered),
    /// `Inventory/Deployed/<X>`.
    Deployed(&'a ComponentId, &'a Component),
    /// `Icon/<X>` of a component, from its package.
    Icon(&'a Icon),
}

const DOWNLOAD: &str = "Download/<X>";
const DELIVERED: &str = "Inventory/Delivered/<X>";
const DEPLOYED: &str = "Inventory/Deployed/<X>";

impl Place<'_> {
    /// Its format.
    pub fn format(&self) -> Format {
        self.stored.map_or(self.branch.node.format, |stored| stored.format)
    }

    pub fn is_interior(&self) -> bool {
        self.format() == Format::Node
    }

    /// Whether anything may be added below it.
    pub fn is_open(&self) -> bool {
        self.branch.node.is_ext() && self.is_interior()
    }

    /// The path of its row below its instance.
    pub fn leaf(&self) -> &'static str {
        let path = self.branch.node.path;
        let above = match self.instance {
            Instance::Device => return path,
            Instance::Download(..) => DOWNLOAD,
            Instance::Delivered(..) => DELIVERED,
            Instance::Deployed(..) | Instance::Icon(_) => DEPLOYED,
        };
        path.strip_prefix(above).unwrap_or_default().trim_start_matches('/')
    }
}

impl<'a> World<'a> {
    fn overlay(&self) -> &'a Overlay {
        &self.state.tree
    }

    pub fn root(&self) -> Place<'a> {
        Place {
            branch: Branch::root(),
            instance: Instance::Device,
            stored: None,
            quiet: self.overlay().is_empty(),
        }
    }

    /// The place that names lead to, with its path in normal form. None: there is no such node.
    pub fn find(&self, segments: &[String]) -> Option<(Place<'a>, String)> {
        let mut path = String::new();
        let mut place = self.root();
        for segment in segments {
            push_segment(&mut path, segment);
            place = self.step(&place, segment, &path)?;
        }
        Some((place, path))
    }

    /// From a node to its child `name` at `path`.
    fn step(&self, from: &Place<'a>, name: &str, path: &str) -> Option<Place<'a>> {
        if from.is_open() {
            return self.overlay().node(path).map(|stored| Place { stored: Some(stored), ..*from });
        }
        if from.stored.is_some() {
            return None;
        }
        let branch = from.branch.child(name, self.settings.version)?;
        match branch.name {
            PLACEHOLDER => self.instance(from, branch, name, path),
            _ => self.fixed(from, branch, path),
        }
    }

    /// A child with a fixed name, if it is there.
    fn fixed(&self, from: &Place<'a>, branch: &'static Branch, path: &str) -> Option<Place<'a>> {
        let place = Place { branch, stored: None, ..*from };
        let there = if branch.node.is_interior() {
            // Two interior nodes are there when somebody put them there; all others always.
            !matches!(branch.name, "MOReferences" | "HashInfo") || self.overlay().node(path).is_some()
        } else {
            self.value(&place, path).is_some()
        };
        there.then_some(place)
    }

    /// A child with a name made at run time, if it is there.
    fn instance(
        &self,
        from: &Place<'a>,
        branch: &'static Branch,
        name: &str,
        path: &str,
    ) -> Option<Place<'a>> {
        let state = self.state;
        let instance = match branch.node.path {
            DOWNLOAD => {
                let (id, package) = state.downloads.get_key_value(&PackageId::new(node_id(name)).ok()?)?;
                Instance::Download(id, package)
            }
            DELIVERED => {
                let (id, package) = state.delivered.get_key_value(&PackageId::new(node_id(name)).ok()?)?;
                Instance::Delivered(id, package)
            }
            DEPLOYED => {
                let (id, component) =
                    state.components.get_key_value(&ComponentId::new(node_id(name)).ok()?)?;
                Instance::Deployed(id, component)
            }
            _ => match self.icons(from).find(|icon| icon.name == name) {
                Some(icon) => Instance::Icon(icon),
                None => self.overlay().node(path).map(|_| from.instance)?,
            },
        };
        let quiet = from.quiet || !self.overlay().knows(path);
        Some(Place { branch, instance, stored: None, quiet })
    }

    /// The icons that a package brought, when the place is the parent of icons.
    fn icons(&self, place: &Place<'a>) -> impl Iterator<Item = &'a Icon> + use<'a> {
        let icons = match place.instance {
            Instance::Deployed(_, component) if place.branch.name == "Icon" => {
                component.release.spec.metadata.icons.as_slice()
            }
            _ => &[],
        };
        icons.iter()
    }

    /// The value of a leaf; None for interior nodes and for leaves that are not there.
    pub fn value(&self, place: &Place<'a>, path: &str) -> Option<Value<'a>> {
        if let Some(stored) = place.stored {
            return Some(borrowed(&stored.value)).filter(|_| stored.format != Format::Node);
        }
        if place.is_interior() {
            return None;
        }
        let stored = || {
            let node = if place.quiet { None } else { self.overlay().node(path) };
            node.map(|node| borrowed(&node.value))
        };
        let leaf = place.leaf();
        match place.instance {
            // What the engine knows of a package stands above a leaf that is there and empty.
            Instance::Download(id, package) => leaves::download(leaf, id, package).or_else(stored),
            Instance::Delivered(id, package) => leaves::delivered(leaf, id, package).or_else(stored),
            Instance::Deployed(id, component) => stored().or_else(|| leaves::deployed(leaf, id, component)),
            Instance::Icon(icon) => stored().or_else(|| Some(Value::Bytes(icon.data.as_slice().into()))),
            Instance::Device => stored().or_else(|| leaves::device(leaf, self.state, self.settings)),
        }
    }

    /// The properties that somebody gave a node.
    pub fn marks(&self, place: &Place<'a>, path: &str) -> Option<&'a Marks> {
        if place.quiet { None } else { self.overlay().marks(path) }
    }

    /// Calls `visit` with the place of every child of a node. `path` is that of the node, and of the child during the
    /// call; the number is where the child's name begins.
    pub fn children(
        &self,
        place: &Place<'a>,
        path: &mut String,
        visit: &mut dyn FnMut(&Place<'a>, &mut String, usize),
    ) {
        let end = path.len();
        let mut enter = |path: &mut String, name: &str, place: &mut dyn FnMut(&str) -> Option<Place<'a>>| {
            push_segment(path, name);
            let start = if end == 0 { 0 } else { end + 1 };
            if let Some(place) = place(path) {
                visit(&place, path, start);
            }
            path.truncate(end);
        };
        if place.stored.is_some() || place.is_open() {
            if place.quiet || !place.is_interior() {
                return;
            }
            for (name, stored) in self.overlay().children(path) {
                let child = Place { stored: Some(stored), ..*place };
                enter(path, &unescaped(name), &mut |_| Some(child));
            }
            return;
        }
        for branch in place.branch.children(self.settings.version) {
            if branch.name != PLACEHOLDER {
                enter(path, branch.name, &mut |path| self.fixed(place, branch, path));
                continue;
            }
            let state = self.state;
            let quiet = |path: &str| place.quiet || !self.overlay().knows(path);
            let made =
                |instance, path: &str| Some(Place { branch, instance, stored: None, quiet: quiet(path) });
            match branch.node.path {
                DOWNLOAD => state.downloads.iter().for_each(|(id, package)| {
                    let instance = Instance::Download(id, package);
                    enter(path, &node_name(id.as_str()), &mut |path| made(instance, path));
                }),
                DELIVERED => state.delivered.iter().for_each(|(id, package)| {
                    let instance = Instance::Delivered(id, package);
                    enter(path, &node_name(id.as_str()), &mut |path| made(instance, path));
                }),
                DEPLOYED => state.components.iter().for_each(|(id, component)| {
                    let instance = Instance::Deployed(id, component);
                    enter(path, &node_name(id.as_str()), &mut |path| made(instance, path));
                }),
                _ => {
                    for name in self.made_names(place, path) {
                        enter(path, &name, &mut |path| self.instance(place, branch, &name, path));
                    }
                }
            }
        }
    }

    /// Names of instances that packages brought or somebody put there.
    fn made_names(&self, place: &Place<'a>, path: &str) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.icons(place).map(|icon| icon.name.clone()).collect();
        if !place.quiet {
            let fixed = |name: &str| place.branch.children.iter().any(|child| child.name == name);
            let stored = self.overlay().children(path).filter(|(name, _)| !fixed(name));
            names.extend(stored.map(|(name, _)| unescaped(name)));
        }
        names
    }
}

/// A name as it is, from its normal form.
pub(super) fn unescaped(name: &str) -> String {
    unescape(name).unwrap_or_else(|| name.to_owned())
}

fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Null => Value::Null,
        Value::Text(text) => Value::Text(std::borrow::Cow::Borrowed(text)),
        Value::Int(number) => Value::Int(*number),
        Value::Bytes(bytes) => Value::Bytes(std::borrow::Cow::Borrowed(bytes)),
    }
}
