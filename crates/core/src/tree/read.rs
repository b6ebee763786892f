//! Reading the tree: values, names of children, properties and whole sub-trees, as far as the reader may.

use super::acl::{Acl, Subject};
use super::error::TreeError;
use super::nodes::{Access, Format};
use super::place::{Instance, Place, World, unescaped};
use super::settings::Settings;
use super::stamp::stamp;
use super::uri::{Property, Uri};
use super::value::Value;
use crate::state::State;

/// The tree as one subject sees it.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    pub(super) world: World<'a>,
    pub(super) subject: &'a Subject,
}

/// What reading a node gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<'a> {
    /// The names of the children of an interior node.
    Children(Vec<String>),
    /// The value of a leaf, with its format and MIME type.
    Leaf(Format, String, Value<'a>),
}

/// A node met while walking through a sub-tree.
#[derive(Debug)]
pub struct Visit<'a, 'w> {
    /// Its full URI.
    pub uri: &'w str,
    /// How far it is below the SCOMO root.
    pub depth: usize,
    /// Its name in normal form, as in the URI.
    pub name: &'w str,
    /// Its format.
    pub format: Format,
    /// Its value, if it is a leaf that can be read.
    pub value: Option<Value<'a>>,
    tree: &'w Tree<'a>,
    place: &'w Place<'a>,
    path: &'w str,
}

impl Visit<'_, '_> {
    /// Its MIME type, or the identifier of a management object.
    #[must_use]
    pub fn mime(&self) -> &str {
        self.tree.mime(self.place)
    }

    /// One of its properties; None: it has no value for it.
    #[must_use]
    pub fn property(&self, property: Property) -> Option<String> {
        self.tree.property_at(self.place, self.path, property)
    }
}

impl<'a> Tree<'a> {
    /// The tree of a state.
    #[must_use]
    pub fn new(state: &'a State, settings: &'a Settings, subject: &'a Subject) -> Self {
        Self { world: World { state, settings }, subject }
    }

    /// A URI of this tree.
    pub fn uri(&self, text: &str) -> Result<Uri, TreeError> {
        Ok(Uri::parse(&self.world.settings.root, text)?)
    }

    /// The node at a URI: its value or the names of its children.
    pub fn get(&self, uri: &Uri) -> Result<Reading<'a>, TreeError> {
        let (place, mut path) = self.open(uri, Access::GET, "Get")?;
        if let Some(value) = self.world.value(&place, &path) {
            return Ok(Reading::Leaf(place.format(), self.mime(&place).to_owned(), value));
        }
        let mut names = Vec::new();
        self.world.children(&place, &mut path, &mut |_, path, start| {
            names.push(path.get(start..).map(unescaped).unwrap_or_default());
        });
        Ok(Reading::Children(names))
    }

    /// A property of the node at a URI.
    pub fn property(&self, uri: &Uri, property: Property) -> Result<String, TreeError> {
        let (place, path) = self.find(uri)?;
        self.permit(&self.in_force(&path), Access::GET, "Get", uri)?;
        let none = || TreeError::NoProperty { uri: self.full(&path), property: property.as_str() };
        self.property_at(&place, &path, property).ok_or_else(none)
    }

    /// Calls `visit` with the node at a URI and every node below it that the subject may read, parents first. A node
    /// that it may not read is left out with all below it.
    pub fn walk(&self, uri: &Uri, visit: &mut dyn FnMut(&Visit<'a, '_>)) -> Result<(), TreeError> {
        self.walk_to(uri, usize::MAX, visit)
    }

    /// The same, but nothing that is more than `levels` below the node is looked at.
    pub fn walk_to(
        &self,
        uri: &Uri,
        levels: usize,
        visit: &mut dyn FnMut(&Visit<'a, '_>),
    ) -> Result<(), TreeError> {
        let (place, path) = self.open(uri, Access::GET, "Get")?;
        let above = path.rsplit_once('/').map(|(above, _)| above.to_owned());
        let force = match &above {
            Some(above) => self.in_force(above),
            None => Acl::of_root(),
        };
        let start = above.map_or(0, |above| above.len() + 1);
        let depth = uri.segments.len();
        let deepest = depth.saturating_add(levels);
        let mut walk = Walk { tree: self, visit, full: self.full(""), depth, deepest };
        let mut path = path;
        walk.node(&place, &mut path, start, &force);
        Ok(())
    }

    /// The full URI of a path below the root.
    pub(super) fn full(&self, path: &str) -> String {
        let root = &self.world.settings.root;
        if path.is_empty() { root.clone() } else { format!("{root}/{path}") }
    }

    /// The node at a URI.
    pub(super) fn find(&self, uri: &Uri) -> Result<(Place<'a>, String), TreeError> {
        self.world.find(&uri.segments).ok_or_else(|| TreeError::NotFound(self.full(&uri.path())))
    }

    /// The node at a URI, which takes `command`, and the subject may give it.
    pub(super) fn open(
        &self,
        uri: &Uri,
        command: Access,
        name: &'static str,
    ) -> Result<(Place<'a>, String), TreeError> {
        let (place, path) = self.find(uri)?;
        if !takes(&place).allows(command) {
            let why = "the node does not take this command";
            return Err(TreeError::NotAllowed { command: name, uri: self.full(&path), why });
        }
        self.permit(&self.in_force(&path), command, name, uri)?;
        Ok((place, path))
    }

    /// Whether a list permits a command to the subject.
    pub(super) fn permit(
        &self,
        acl: &Acl,
        command: Access,
        name: &'static str,
        uri: &Uri,
    ) -> Result<(), TreeError> {
        let denied = || TreeError::Denied { command: name, uri: self.full(&uri.path()) };
        acl.permits(self.subject, command).then_some(()).ok_or_else(denied)
    }

    /// The list in force at a path, whether a node is there or not: that of the nearest node that has one.
    pub(super) fn in_force(&self, path: &str) -> Acl {
        own_or_above(self.world.state, path).cloned().unwrap_or_else(Acl::of_root)
    }

    fn mime(&self, place: &Place<'a>) -> &'a str {
        let root = place.branch.node.path.is_empty();
        match place.stored {
            Some(stored) if stored.format == Format::Node || !stored.mime.is_empty() => &stored.mime,
            None if root => self.world.settings.version.mo_id(),
            None if place.is_interior() => "",
            _ => "text/plain",
        }
    }

    fn property_at(&self, place: &Place<'a>, path: &str, property: Property) -> Option<String> {
        let marks = self.world.marks(place, path);
        Some(match property {
            Property::Acl => marks.map(|marks| marks.acl.to_string()).unwrap_or_default(),
            Property::Format => place.format().as_str().to_owned(),
            Property::Name => match path.rsplit('/').next() {
                Some(name) if !name.is_empty() => unescaped(name),
                _ => self.world.settings.root.rsplit('/').next().map(unescaped)?,
            },
            Property::Size => self.world.value(place, path)?.size().to_string(),
            Property::Title => match marks.and_then(|marks| marks.title.as_ref()) {
                Some(title) => title.clone(),
                None if place.stored.is_some() => String::new(),
                None => place.branch.node.title.to_owned(),
            },
            Property::TStamp => match (marks.and_then(|marks| marks.changed), place.instance) {
                (Some(at), _) => stamp(at),
                (None, Instance::Deployed(_, component)) => stamp(component.since),
                (None, _) => return None,
            },
            Property::Type => self.mime(place).to_owned(),
            Property::VerNo => marks.map_or(0, |marks| marks.version).to_string(),
        })
    }
}

/// The list of the nearest node that has one; None: no node has.
pub(super) fn own_or_above<'a>(state: &'a State, path: &str) -> Option<&'a Acl> {
    let mut path = Some(path);
    while let Some(here) = path {
        if let Some(marks) = state.tree.marks(here).filter(|marks| !marks.acl.is_empty()) {
            return Some(&marks.acl);
        }
        path =
            if here.is_empty() { None } else { Some(here.rsplit_once('/').map_or("", |(above, _)| above)) };
    }
    None
}

/// The commands that a node takes, whoever gives them.
pub(super) fn takes(place: &Place<'_>) -> Access {
    if place.stored.is_some() {
        return Access::GET.and(Access::ADD).and(Access::REPLACE).and(Access::DELETE);
    }
    place.branch.node.takes()
}

/// One walk through a sub-tree.
struct Walk<'t, 'a, 'v> {
    tree: &'t Tree<'a>,
    visit: &'v mut dyn FnMut(&Visit<'a, '_>),
    /// The full URI of the node; grows and shrinks.
    full: String,
    depth: usize,
    /// Nodes below this depth are not looked at.
    deepest: usize,
}

impl<'a> Walk<'_, 'a, '_> {
    /// `start`: where the name begins in the path; `force`: the list in force at the parent.
    fn node(&mut self, place: &Place<'a>, path: &mut String, start: usize, force: &Acl) {
        let world = self.tree.world;
        let own = world.marks(place, path).map(|marks| &marks.acl).filter(|acl| !acl.is_empty());
        let force = own.unwrap_or(force);
        if !force.permits(self.tree.subject, Access::GET) {
            return;
        }
        let root = world.settings.root.len();
        self.full.truncate(root);
        if !path.is_empty() {
            self.full.push('/');
            self.full.push_str(path);
        }
        let value = world.value(place, path).filter(|_| takes(place).allows(Access::GET));
        let name = if path.is_empty() { world.settings.root.rsplit('/').next() } else { path.get(start..) };
        (self.visit)(&Visit {
            uri: &self.full,
            depth: self.depth,
            name: name.unwrap_or_default(),
            format: place.format(),
            value,
            tree: self.tree,
            place,
            path,
        });
        if place.is_interior() && self.depth < self.deepest {
            self.depth += 1;
            world.children(place, path, &mut |child, path, start| self.node(child, path, start, force));
            self.depth -= 1;
        }
    }
}
