//! Add and Replace: nodes that are made and values that change.

use super::{Given, Step, new_place, not_allowed, package};
use crate::command::{Command, PackageLeaves};
use crate::id::PackageId;
use crate::tree::acl::{Acl, Subject};
use crate::tree::base64;
use crate::tree::error::TreeError;
use crate::tree::nodes::{Access, Format, Occurrence, PLACEHOLDER};
use crate::tree::overlay::{LEAF_BYTES_MAX, Stored, Write};
use crate::tree::params::install_params;
use crate::tree::place::{Instance, Place};
use crate::tree::read::{Tree, takes};
use crate::tree::uri::{Query, Uri, node_id};
use crate::tree::value::Value;

/// Longest `Type` of a node below an Ext.
const MIME_BYTES_MAX: usize = 255;

pub(super) fn add(tree: &Tree<'_>, uri: &Uri, given: &Given) -> Result<Vec<Step>, TreeError> {
    let parent =
        uri.segments.split_last().map(|(_, above)| Uri { segments: above.to_vec(), query: Query::Value });
    let Some(parent_uri) = parent else { return Err(TreeError::Exists(tree.full(""))) };
    if let Some((place, path)) = tree.world.find(&uri.segments) {
        return add_existing(tree, uri, &place, path, given);
    }
    let (parent, parent_path) = tree.find(&parent_uri)?;
    if !parent.is_interior() {
        return Err(not_allowed(tree, uri, "Add", "its parent is a leaf"));
    }
    let path = uri.path();
    let name = uri.segments.last().map(String::as_str).unwrap_or_default();
    let force = tree.in_force(&parent_path);
    if parent.is_open() {
        tree.permit(&force, Access::ADD, "Add", uri)?;
        let format = given.format.unwrap_or(Format::Chr);
        return put_free(tree, uri, path, format, &given.mime, given.value.clone()).map(|mut writes| {
            writes.extend(makers_acl(tree, &force, &uri.path(), format));
            vec![Step::Write(writes)]
        });
    }
    let branch = parent.branch.child(name, tree.world.settings.version);
    let unknown = || not_allowed(tree, uri, "Add", "SCOMO has no such node; add your own below an Ext");
    let branch = branch.filter(|branch| branch.node.takes().allows(Access::ADD)).ok_or_else(unknown)?;
    tree.permit(&force, Access::ADD, "Add", uri)?;
    let place = new_place(&parent, branch);
    if place.is_interior() {
        interior(tree, uri, &place, given).map(|mut steps| {
            let mut writes: Vec<Write> = makers_acl(tree, &force, &path, Format::Node).into_iter().collect();
            writes.push(Write::Touch { path });
            steps.push(Step::Write(writes));
            steps
        })
    } else {
        leaf(tree, uri, &place, path, given)
    }
}

pub(super) fn replace(tree: &Tree<'_>, uri: &Uri, given: &Given) -> Result<Vec<Step>, TreeError> {
    let (place, path) = tree.open(uri, Access::REPLACE, "Replace")?;
    if place.is_interior() {
        return Err(not_allowed(tree, uri, "Replace", "an interior node has no value"));
    }
    let Some(stored) = place.stored else { return leaf(tree, uri, &place, path, given) };
    let format = given.format.unwrap_or(stored.format);
    if format == Format::Node {
        return Err(not_allowed(tree, uri, "Replace", "a leaf does not become an interior node"));
    }
    let mime = if given.mime.is_empty() { &stored.mime } else { &given.mime };
    put_free(tree, uri, path, format, mime, given.value.clone()).map(|writes| vec![Step::Write(writes)])
}

/// Adding a node that the device made by itself and that nobody wrote to is as good as making it: servers differ in
/// who they expect to make the required children of a package.
fn add_existing(
    tree: &Tree<'_>,
    uri: &Uri,
    place: &Place<'_>,
    path: String,
    given: &Given,
) -> Result<Vec<Step>, TreeError> {
    let exists = || TreeError::Exists(tree.full(&path));
    let overlay = &tree.world.state.tree;
    let untouched =
        overlay.marks(&path).is_none_or(|marks| marks.version == 0) && overlay.node(&path).is_none();
    let made = place.branch.name != PLACEHOLDER && place.branch.node.takes().allows(Access::ADD);
    if !made || !untouched {
        return Err(exists());
    }
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    tree.permit(&tree.in_force(above), Access::ADD, "Add", uri)?;
    let value = tree.world.value(place, &path);
    let same = given.value.is_empty() || value.as_ref().is_some_and(|v| v.to_text() == given.value.to_text());
    if same && place.leaf() != "Data" {
        return Ok(vec![Step::Write(vec![Write::Touch { path }])]);
    }
    let default = match place.instance {
        Instance::Download(id, package) => {
            package.leaves.pkg_id.is_empty() && is_text(value.as_ref(), id.as_str())
        }
        Instance::Delivered(id, package) => {
            package.leaves.pkg_id.is_empty() && is_text(value.as_ref(), id.as_str())
        }
        Instance::Device | Instance::Deployed(..) | Instance::Icon(_) => false,
    };
    let empty = value.is_none_or(|value| value.is_empty());
    if takes(place).allows(Access::REPLACE) && (empty || default) {
        return leaf(tree, uri, place, path, given);
    }
    Err(exists())
}

fn is_text(value: Option<&Value<'_>>, text: &str) -> bool {
    value.is_some_and(|value| value.to_text() == text)
}

/// What a server gets on an interior node that it made without a Replace right on the parent (OMA DM 1.2).
fn makers_acl(tree: &Tree<'_>, force: &Acl, path: &str, format: Format) -> Option<Write> {
    let Subject::Server(server) = tree.subject else { return None };
    let needs = format == Format::Node && !force.permits(tree.subject, Access::REPLACE);
    needs.then(|| Write::Acl { path: path.to_owned(), acl: Acl::of_maker(server) })
}

/// An interior node of the table is made.
fn interior(tree: &Tree<'_>, uri: &Uri, place: &Place<'_>, given: &Given) -> Result<Vec<Step>, TreeError> {
    if given.format.is_some_and(|format| format != Format::Node) || !given.value.is_empty() {
        return Err(TreeError::Format {
            uri: tree.full(&uri.path()),
            expected: "absent: the node is interior",
        });
    }
    let name = uri.segments.last().map(String::as_str).unwrap_or_default();
    let id = || PackageId::new(node_id(name)).map_err(|_| TreeError::NotFound(tree.full(&uri.path())));
    let (source, leaves) = (String::new(), PackageLeaves::default());
    let command = match place.branch.node.path {
        "Download/<X>" => Command::AddDownload { id: id()?, source, leaves },
        "Inventory/Delivered/<X>" => Command::AddDelivered { id: id()?, source, leaves },
        _ => {
            let put = Write::Put { path: uri.path(), node: Stored::interior() };
            return Ok(vec![Step::Write(vec![put])]);
        }
    };
    Ok(vec![Step::command(command)])
}

/// A leaf of the table gets a value.
fn leaf(
    tree: &Tree<'_>,
    uri: &Uri,
    place: &Place<'_>,
    path: String,
    given: &Given,
) -> Result<Vec<Step>, TreeError> {
    let node = place.branch.node;
    if place.leaf() == "Data" {
        return Err(TreeError::NeedsFile);
    }
    let bad = |expected| TreeError::Format { uri: tree.full(&uri.path()), expected };
    if given.format.is_some_and(|format| format != node.format) {
        return Err(bad(node.format.as_str()));
    }
    check_size(&given.value)?;
    let value = given.value.clone().shaped(node.format).ok_or_else(|| bad(node.format.as_str()))?;
    if let Some(expected) = unfit(tree, place, &value) {
        return Err(bad(expected));
    }
    if is_taken(tree, place, &value) {
        return Err(TreeError::Exists(value.to_text().into_owned()));
    }
    let mut steps = package::set(place, Some(&value));
    // The engine takes an empty text for none; that the leaf is there all the same is for the overlay.
    let kept = steps.is_empty() || (value.is_empty() && node.occurrence != Occurrence::One);
    steps.push(Step::Write(vec![if kept {
        Write::Put { path, node: Stored { format: node.format, mime: String::new(), value } }
    } else {
        Write::Touch { path }
    }]));
    Ok(steps)
}

/// What a value must be, when it is not, for leaves that only take some values.
fn unfit(tree: &Tree<'_>, place: &Place<'_>, value: &Value<'_>) -> Option<&'static str> {
    let settings = tree.world.settings;
    match (place.branch.name, value) {
        ("Reboot", Value::Int(number)) if !settings.reboot_values.contains(number) => {
            Some("a number to which the settings of the device give a meaning")
        }
        ("InstallParams", Value::Text(text)) if install_params(text).is_none() => {
            Some("key=value pairs, separated by ';'")
        }
        ("Algorithm", Value::Int(number)) if !settings.sha256_numbers.contains(number) => {
            Some("the number of a hash algorithm that the settings of the device name")
        }
        ("Value", Value::Text(text)) => {
            let hex = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
            let hash = hex || base64::decode(text).is_some_and(|bytes| bytes.len() == 32);
            (!hash).then_some("a SHA-256 hash in hexadecimal or base64")
        }
        ("CheckUpdateFreq", Value::Int(days)) if *days < 0 => Some("a number of days"),
        ("ID" | "MOID" | "MOLocation", value) if value.is_empty() => Some("a text that is not empty"),
        _ => None,
    }
}

/// Whether a value must be there only once and is.
fn is_taken(tree: &Tree<'_>, place: &Place<'_>, value: &Value<'_>) -> bool {
    let state = tree.world.state;
    let text = value.to_text();
    match (place.instance, place.leaf()) {
        (Instance::Download(id, _) | Instance::Delivered(id, _), "PkgID") => {
            let pkg_id = if text.is_empty() { id.as_str() } else { &text };
            package::pkg_id_taken(state, id, pkg_id)
        }
        (Instance::Deployed(id, _), "ID") => {
            let mut others = state.components.keys().filter(|other| *other != id);
            others.any(|other| super::super::shown_id(state, other) == text)
        }
        _ => false,
    }
}

/// A node below an Ext gets a value.
fn put_free(
    tree: &Tree<'_>,
    uri: &Uri,
    path: String,
    format: Format,
    mime: &str,
    value: Value<'static>,
) -> Result<Vec<Write>, TreeError> {
    check_size(&value)?;
    if mime.len() > MIME_BYTES_MAX {
        return Err(TreeError::TooLarge { what: "a type", max: MIME_BYTES_MAX });
    }
    let bad = |expected| TreeError::Format { uri: tree.full(&uri.path()), expected };
    if mime.chars().any(char::is_control) {
        return Err(bad("of a type without control characters"));
    }
    let value = match format {
        Format::Node if value.is_empty() => Value::Null,
        Format::Node => return Err(bad("absent: the node is interior")),
        format => value.shaped(format).ok_or_else(|| bad(format.as_str()))?,
    };
    Ok(vec![Write::Put { path, node: Stored { format, mime: mime.to_owned(), value } }])
}

fn check_size(value: &Value<'_>) -> Result<(), TreeError> {
    let max = LEAF_BYTES_MAX;
    if value.size() > max { Err(TreeError::TooLarge { what: "a value", max }) } else { Ok(()) }
}
