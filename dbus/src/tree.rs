//! `org.scomo1.Tree`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{Fd, OwnedFd, ObjectPath, OwnedObjectPath};

use crate::properties::{Properties, PropertyMap, WrongType, put, take};
#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Properties of `org.scomo1.Tree`.
///
/// The SCOMO management object by the URIs of OMA DM (SCOMO 1.0 chapter 7, and the nodes of 1.1).
///
/// Every method knows the option `server` (s): the ServerID on whose behalf it is called; the access control lists of the tree apply then. Without it the caller is somebody on this device, to whom they do not apply.
///
/// Values are text: numbers in decimal digits, bytes in base64. A format is that of OMA DM: `node` for an interior node, `chr`, `int`, `bin`, `null` and so on. An empty type stands for `text/plain` on a leaf and for no type on an interior node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// URI of the SCOMO root in the management tree of the device.
    pub root: String,
    /// Identifier of the management object, for example `urn:oma:mo:oma-scomo:1.1`.
    pub version: String,
}

impl Properties for Tree {
    const INTERFACE: &'static str = "org.scomo1.Tree";

    fn to_map(&self) -> PropertyMap {
        let mut map = PropertyMap::new();
        put(&mut map, "Root", self.root.clone());
        put(&mut map, "Version", self.version.clone());
        map
    }

    fn from_map(map: &OptionMap) -> Result<Self, WrongType> {
        Ok(Self {
            root: take(map, "Root")?,
            version: take(map, "Version")?,
        })
    }
}

/// Client of `org.scomo1.Tree`.
#[zbus::proxy(interface = "org.scomo1.Tree", default_service = "org.scomo1", default_path = "/org/scomo1")]
pub trait Tree {
    /// Reads a node. The value of an interior node is the names of its children, joined by slashes.
    #[zbus(allow_interactive_auth)]
    fn get(&self, uri: &str, options: Options<'_>) -> zbus::Result<(String, String, String)>;

    /// Lists a node and what is below it: URI, format, type and value of each, parents first. What may not be read is left out.
    ///
    /// Option `recursive` (b): the whole sub-tree instead of the node and its children.
    #[zbus(allow_interactive_auth)]
    fn list(&self, uri: &str, options: Options<'_>) -> zbus::Result<Vec<(String, String, String, String)>>;

    /// Makes a node, with the parents that it lacks. An empty format stands for that of the node.
    #[zbus(allow_interactive_auth)]
    fn add(&self, uri: &str, format: &str, value: &str, options: Options<'_>) -> zbus::Result<()>;

    /// Gives a leaf another value. An empty format stands for that of the node.
    #[zbus(allow_interactive_auth)]
    fn replace(&self, uri: &str, format: &str, value: &str, options: Options<'_>) -> zbus::Result<()>;

    /// Adds or replaces the leaf `Data` of a delivered package by what can be read from `data`, a `.scomo` archive. The package is made when it is not there.
    #[zbus(allow_interactive_auth)]
    fn replace_data(&self, uri: &str, data: Fd<'_>, options: Options<'_>) -> zbus::Result<()>;

    /// Deletes a node and all below it. Deleting a package of the Delivered branch is its Remove.
    #[zbus(allow_interactive_auth)]
    fn delete(&self, uri: &str, options: Options<'_>) -> zbus::Result<()>;

    /// Starts the primitive that a leaf below `Operations` stands for. The job is `/` when it was done at once.
    ///
    /// Option `correlator` (s): goes into the report of its end.
    ///
    /// Option `report-to` (s): whom to report the end to, see `org.scomo1.Reports`; without it the `server` is told, if one is given.
    ///
    /// Options `request-id` (s), `retry-failed` (b) and `ignore-window` (b) are those of Manager.Install.
    #[zbus(allow_interactive_auth)]
    fn exec(&self, uri: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;

    /// Makes several changes at once: all of them or none. Each is `Add`, `Replace` or `Delete`, a URI, a format and a value; the latter two are empty for `Delete`.
    #[zbus(allow_interactive_auth)]
    fn apply(&self, changes: Vec<(String, String, String, String)>, options: Options<'_>) -> zbus::Result<()>;

    /// Reads a property of a node: `ACL`, `Format`, `Name`, `Size`, `Title`, `TStamp`, `Type` or `VerNo`.
    #[zbus(allow_interactive_auth)]
    fn get_property(&self, uri: &str, property: &str, options: Options<'_>) -> zbus::Result<String>;

    /// Gives a property of a node another value: `ACL`, `Title` or `Name`.
    #[zbus(allow_interactive_auth)]
    fn set_property(&self, uri: &str, property: &str, value: &str, options: Options<'_>) -> zbus::Result<()>;

    /// The tree as a document: `ddf` (DDF 1.2, what nodes there can be; the URI is not looked at), `device-ddf` (the same with the place of the tree on this device and every command that it takes) or `tnds` (the nodes that there are at and below the URI). For `tnds` the URI may end in `?list=TNDS+ACL+Value`, or `?list=TNDS-Title` for all but that.
    #[zbus(allow_interactive_auth)]
    fn export(&self, form: &str, uri: &str, options: Options<'_>) -> zbus::Result<String>;

    /// URI of the SCOMO root in the management tree of the device.
    #[zbus(property(emits_changed_signal = "const"), name = "Root")]
    fn root(&self) -> zbus::Result<String>;

    /// Identifier of the management object, for example `urn:oma:mo:oma-scomo:1.1`.
    #[zbus(property(emits_changed_signal = "const"), name = "Version")]
    fn version(&self) -> zbus::Result<String>;
}
