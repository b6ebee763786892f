//! The tree as documents of OMA DM 1.2: its description (DDF) and its content (TNDS), both XML.

mod xml;

use std::collections::BTreeSet;

use super::base64;
use super::error::TreeError;
use super::nodes::{Access, Branch, Format, Occurrence, PLACEHOLDER, TreeVersion};
use super::read::{Tree, Visit};
use super::settings::Settings;
use super::uri::{Property, Selection, Uri};
use super::value::Value;
use xml::Xml;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const DDF_TYPE: &str = "<!DOCTYPE MgmtTree PUBLIC \"-//OMA//DTD-DM-DDF 1.2//EN\" \
    \"http://www.openmobilealliance.org/tech/DTD/DM_DDF-V1_2.dtd\">\n";

/// The description of the management object as it is specified. Titles are ours; they are informative.
#[must_use]
pub fn ddf(version: TreeVersion) -> String {
    describe(version, None)
}

/// The description of the management object as this device has it: with its place in the management tree and every
/// command that it takes.
#[must_use]
pub fn device_ddf(settings: &Settings) -> String {
    describe(settings.version, Some(settings))
}

fn describe(version: TreeVersion, device: Option<&Settings>) -> String {
    let mut xml = Xml::new(DECLARATION.to_owned() + DDF_TYPE);
    xml.open("MgmtTree");
    xml.text("VerDTD", "1.2");
    describe_node(&mut xml, Branch::root(), version, device);
    xml.close();
    xml.finish()
}

fn describe_node(xml: &mut Xml, branch: &'static Branch, version: TreeVersion, device: Option<&Settings>) {
    let node = branch.node;
    let root = node.path.is_empty();
    xml.open("Node");
    match device
        .filter(|_| root)
        .map(|settings| settings.root.rsplit_once('/').unwrap_or((".", &settings.root)))
    {
        Some((above, name)) => {
            xml.text("NodeName", name);
            xml.text("Path", above);
        }
        None => xml.text("NodeName", if branch.name == PLACEHOLDER { "" } else { branch.name }),
    }
    xml.comment(if node.required { "Status: Required" } else { "Status: Optional" });
    xml.open("DFProperties");
    xml.open("AccessType");
    let access: Access = if device.is_some() { node.takes() } else { node.access };
    access.names().for_each(|name| xml.empty(name));
    xml.close();
    xml.choice("DFFormat", node.format.as_str());
    let occurrence: Occurrence = if device.is_some() { node.occurs_here() } else { node.occurrence };
    xml.choice("Occurrence", occurrence.as_str());
    if device.is_some() {
        let built_in = !node.path.contains(PLACEHOLDER) && !node.takes().allows(Access::DELETE);
        xml.choice("Scope", if built_in { "Permanent" } else { "Dynamic" });
    }
    xml.text("DFTitle", node.title);
    xml.open("DFType");
    match node.format {
        Format::Node => xml.text("DDFName", if root { version.mo_id() } else { "" }),
        _ => xml.text("MIME", "text/plain"),
    }
    xml.close();
    xml.close();
    for child in branch.children(version) {
        describe_node(xml, child, version, device);
    }
    xml.close();
}

/// The node at a URI and all below it that the subject may read, serialized.
pub fn tnds(tree: &Tree<'_>, uri: &Uri, selection: &Selection) -> Result<String, TreeError> {
    let mut xml = Xml::new(DECLARATION.to_owned());
    xml.open_with("MgmtTree", "xmlns=\"syncml:dmddf1.2\"");
    xml.text("VerDTD", "1.2");
    let outside = xml.depth();
    let shown: BTreeSet<Property> = selection.properties.iter().copied().collect();
    let first = uri.segments.len();
    tree.walk(uri, &mut |node| {
        // Every node between this one's parent and the last one is complete.
        while xml.depth() > outside + (node.depth - first) {
            xml.close();
        }
        serialize_node(&mut xml, node, &shown, selection.values, node.depth == first);
    })?;
    Ok(xml.finish())
}

/// Leaves the element of the node open.
fn serialize_node(
    xml: &mut Xml,
    node: &Visit<'_, '_>,
    shown: &BTreeSet<Property>,
    values: bool,
    is_first: bool,
) {
    xml.open("Node");
    xml.text("NodeName", &node.property(Property::Name).unwrap_or_default());
    if is_first {
        xml.text("Path", node.uri.rsplit_once('/').map_or(".", |(above, _)| above));
    }
    xml.open("RTProperties");
    for property in Property::ALL.into_iter().filter(|property| shown.contains(property)) {
        let Some(value) = node.property(property) else { continue };
        match property {
            Property::Acl if value.is_empty() => {}
            Property::Size if node.format == Format::Node => {}
            Property::Format => xml.choice("Format", shown_format(node).as_str()),
            Property::Type => {
                xml.open("Type");
                xml.text(if node.format == Format::Node { "DDFName" } else { "MIME" }, &value);
                xml.close();
            }
            property => xml.text(property.as_str(), &value),
        }
    }
    xml.close();
    if let Some(value) = node.value.as_ref().filter(|value| values && **value != Value::Null) {
        match value {
            Value::Bytes(bytes) => xml.text("Value", &base64::encode(bytes)),
            value => xml.text("Value", &value.to_text()),
        }
    }
}

/// Bytes are written in base64, and said to be.
fn shown_format(node: &Visit<'_, '_>) -> Format {
    if node.format == Format::Bin { Format::B64 } else { node.format }
}
