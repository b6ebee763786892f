//! Generates the property types, the client proxies, the server's interfaces and the reference from `xml/`, and fails
//! when what is checked in differs. `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: ending is reporting"
)]

use std::fmt::Write as _;

use expect_test::expect_file;

/// The interfaces in the order of the reference.
const INTERFACES: [&str; 7] = [
    include_str!("../xml/org.scomo1.Manager.xml"),
    include_str!("../xml/org.scomo1.Download.xml"),
    include_str!("../xml/org.scomo1.DeliveryPackage.xml"),
    include_str!("../xml/org.scomo1.DeploymentComponent.xml"),
    include_str!("../xml/org.scomo1.Job.xml"),
    include_str!("../xml/org.scomo1.Tree.xml"),
    include_str!("../xml/org.scomo1.Reports.xml"),
];

/// What clients serve and the daemon calls.
const AGENT: &str = include_str!("../xml/org.scomo1.Agent.xml");

const NOTICE: &str = "Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run\n\
                      //! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.";

struct Arg {
    name: String,
    signature: String,
    out: bool,
}

struct Member {
    name: String,
    docs: Vec<String>,
    args: Vec<Arg>,
}

struct Property {
    name: String,
    docs: Vec<String>,
    signature: String,
    constant: bool,
}

struct Interface {
    name: String,
    docs: Vec<String>,
    methods: Vec<Member>,
    signals: Vec<Member>,
    properties: Vec<Property>,
}

fn parse(xml: &str) -> Interface {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(xml, options).unwrap();
    let node = document.descendants().find(|n| n.has_tag_name("interface")).unwrap();
    let members = |tag: &'static str| {
        let found = node.children().filter(move |n| n.has_tag_name(tag));
        found.map(|n| Member { name: name_of(n), docs: docs_of(n), args: args_of(n) }).collect()
    };
    let properties = node.children().filter(|n| n.has_tag_name("property")).map(|n| Property {
        name: name_of(n),
        docs: docs_of(n),
        signature: n.attribute("type").unwrap().to_owned(),
        constant: n.children().any(|a| a.attribute("value") == Some("const")),
    });
    Interface {
        name: name_of(node),
        docs: docs_of(node),
        methods: members("method"),
        signals: members("signal"),
        properties: properties.collect(),
    }
}

fn name_of(node: roxmltree::Node<'_, '_>) -> String {
    node.attribute("name").unwrap().to_owned()
}

/// The comment before an element, as paragraphs.
fn docs_of(node: roxmltree::Node<'_, '_>) -> Vec<String> {
    let comment = node.prev_siblings().skip(1).find(|n| !n.is_text()).filter(|n| n.is_comment());
    let text = comment.and_then(|c| c.text()).unwrap_or_else(|| panic!("{} has no comment", name_of(node)));
    let join = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(join).filter(|p| !p.is_empty()).collect()
}

fn args_of(node: roxmltree::Node<'_, '_>) -> Vec<Arg> {
    let args = node.children().filter(|n| n.has_tag_name("arg"));
    args.map(|n| Arg {
        name: name_of(n),
        signature: n.attribute("type").unwrap().to_owned(),
        out: n.attribute("direction") == Some("out"),
    })
    .collect()
}

/// `PkgIDRef` becomes `pkg_id_ref`.
fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i > 0 && chars[i - 1].is_lowercase();
        let ends_acronym = i > 0 && chars.get(i + 1).is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && (after_lower || ends_acronym) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

impl Interface {
    fn short(&self) -> &str {
        self.name.rsplit('.').next().unwrap()
    }
}

fn owned_type(signature: &str) -> &'static str {
    match signature {
        "s" => "String",
        "i" => "i32",
        "u" => "u32",
        "t" => "u64",
        "b" => "bool",
        "o" => "OwnedObjectPath",
        "h" => "OwnedFd",
        "as" => "Vec<String>",
        "a(ssss)" => "Vec<(String, String, String, String)>",
        "au" => "Vec<u32>",
        "a(sssuut)" => "Vec<(String, String, String, u32, u32, u64)>",
        "ao" => "Vec<OwnedObjectPath>",
        "a{sv}" => "OptionMap",
        "aa{sv}" => "Vec<OptionMap>",
        other => panic!("no Rust type for D-Bus type {other}"),
    }
}

/// How a property's value is copied out of its struct.
fn copied(signature: &str, field: &str) -> String {
    if matches!(signature, "i" | "u" | "t" | "b") { field.to_owned() } else { format!("{field}.clone()") }
}

fn argument_type(signature: &str) -> &'static str {
    match signature {
        "s" => "&str",
        "h" => "Fd<'_>",
        "o" => "ObjectPath<'_>",
        "as" => "&[&str]",
        "a{sv}" => "Options<'_>",
        other => owned_type(other),
    }
}

fn write_docs(out: &mut String, indent: &str, docs: &[String]) {
    for (i, paragraph) in docs.iter().enumerate() {
        if i > 0 {
            writeln!(out, "{indent}///").unwrap();
        }
        writeln!(out, "{indent}/// {}", paragraph.replace('<', "\\<")).unwrap();
    }
}

fn output_type(member: &Member) -> String {
    let outputs: Vec<&str> = member.args.iter().filter(|a| a.out).map(|a| owned_type(&a.signature)).collect();
    match outputs.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("({})", several.join(", ")),
    }
}

/// The property type and the proxy of one interface.
fn client(interface: &Interface) -> String {
    let mut out = format!("//! `{}`.\n//!\n//! {NOTICE}\n\n", interface.name);
    client_imports(&mut out, interface);
    if !interface.properties.is_empty() {
        client_properties(&mut out, interface);
    }
    client_proxy(&mut out, interface);
    out
}

fn client_imports(out: &mut String, interface: &Interface) {
    let fd = interface.methods.iter().any(|m| m.args.iter().any(|a| a.signature == "h"));
    let fds = if fd { "Fd, OwnedFd, " } else { "" };
    out.push_str("#[allow(unused_imports, reason = \"not every interface uses every type\")]\n");
    writeln!(out, "use zbus::{{{fds}ObjectPath, OwnedObjectPath}};\n").unwrap();
    if !interface.properties.is_empty() {
        out.push_str("use crate::properties::{Properties, PropertyMap, WrongType, put, take};\n");
    }
    out.push_str("#[allow(unused_imports, reason = \"not every interface uses every type\")]\n");
    out.push_str("use crate::options::{OptionMap, Options};\n\n");
}

fn client_properties(out: &mut String, interface: &Interface) {
    let short = interface.short();
    writeln!(out, "/// Properties of `{}`.\n///", interface.name).unwrap();
    write_docs(out, "", &interface.docs);
    writeln!(out, "#[derive(Debug, Clone, Default, PartialEq, Eq)]\npub struct {short} {{").unwrap();
    for property in &interface.properties {
        write_docs(out, "    ", &property.docs);
        writeln!(out, "    pub {}: {},", snake(&property.name), owned_type(&property.signature)).unwrap();
    }
    writeln!(out, "}}\n\nimpl Properties for {short} {{").unwrap();
    writeln!(out, "    const INTERFACE: &'static str = \"{}\";\n", interface.name).unwrap();
    out.push_str("    fn to_map(&self) -> PropertyMap {\n        let mut map = PropertyMap::new();\n");
    for p in &interface.properties {
        let value = copied(&p.signature, &format!("self.{}", snake(&p.name)));
        writeln!(out, "        put(&mut map, \"{}\", {value});", p.name).unwrap();
    }
    out.push_str("        map\n    }\n\n");
    out.push_str("    fn from_map(map: &OptionMap) -> Result<Self, WrongType> {\n        Ok(Self {\n");
    for p in &interface.properties {
        writeln!(out, "            {}: take(map, \"{}\")?,", snake(&p.name), p.name).unwrap();
    }
    out.push_str("        })\n    }\n}\n\n");
}

fn client_proxy(out: &mut String, interface: &Interface) {
    let short = interface.short();
    let root = matches!(short, "Manager" | "Tree" | "Reports");
    let path = if root { ", default_path = \"/org/scomo1\"" } else { "" };
    let service = if short == "Agent" { "" } else { ", default_service = \"org.scomo1\"" };
    let attributes = format!("interface = \"{}\"{service}{path}", interface.name);
    let assume = if path.is_empty() { ", assume_defaults = false" } else { "" };
    writeln!(out, "/// Client of `{}`.\n#[zbus::proxy({attributes}{assume})]", interface.name).unwrap();
    writeln!(out, "pub trait {short} {{").unwrap();
    for method in &interface.methods {
        write_docs(out, "    ", &method.docs);
        let inputs = method.args.iter().filter(|a| !a.out);
        let inputs: String =
            inputs.map(|a| format!(", {}: {}", a.name, argument_type(&a.signature))).collect();
        let output = output_type(method);
        // So that polkit may ask whoever sits at the device for a password.
        out.push_str("    #[zbus(allow_interactive_auth)]\n");
        writeln!(out, "    fn {}(&self{inputs}) -> zbus::Result<{output}>;\n", snake(&method.name)).unwrap();
    }
    for signal in &interface.signals {
        write_docs(out, "    ", &signal.docs);
        let args = signal.args.iter().map(|a| format!(", {}: {}", a.name, argument_type(&a.signature)));
        let args: String = args.collect();
        writeln!(
            out,
            "    #[zbus(signal)]\n    fn {}(&self{args}) -> zbus::Result<()>;\n",
            snake(&signal.name)
        )
        .unwrap();
    }
    for property in &interface.properties {
        write_docs(out, "    ", &property.docs);
        writeln!(out, "    {}", property_attribute(property)).unwrap();
        let ty = owned_type(&property.signature);
        writeln!(out, "    fn {}(&self) -> zbus::Result<{ty}>;\n", snake(&property.name)).unwrap();
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n}\n");
}

fn property_attribute(property: &Property) -> String {
    let changes = if property.constant { "(emits_changed_signal = \"const\")" } else { "" };
    format!("#[zbus(property{changes}, name = \"{}\")]", property.name)
}

/// The server side of an interface: getters, and methods that hand on to what the daemon's people wrote.
///
/// A module each: the macro makes a trait for the signals, and names it after the type without its argument.
fn server(interface: &Interface) -> String {
    let short = interface.short();
    let mut out = format!(
        "//! `{}` as the bus sees it; what the methods do is elsewhere.\n//!\n//! {NOTICE}\n\n",
        interface.name
    );
    out.push_str("#![allow(unused_imports, reason = \"not every interface uses every type\")]\n\n");
    writeln!(out, "use scomo_dbus::{{{short}, Error, OptionMap}};").unwrap();
    out.push_str("use zbus::message::Header;\nuse zbus::object_server::SignalEmitter;\n");
    out.push_str(
        "use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};\n\nuse super::super::Served;\n",
    );
    writeln!(out, "\n#[interface(name = \"{}\", introspection_docs = false)]", interface.name).unwrap();
    writeln!(out, "impl Served<{short}> {{").unwrap();
    for method in &interface.methods {
        server_method(&mut out, method);
    }
    for signal in &interface.signals {
        let args = signal.args.iter().map(|a| format!(", {}: {}", a.name, argument_type(&a.signature)));
        let args: String = args.collect();
        let name = snake(&signal.name);
        writeln!(out, "    #[zbus(signal)]\n    pub async fn {name}(emitter: &SignalEmitter<'_>{args}) -> zbus::Result<()>;\n")
            .unwrap();
    }
    for property in &interface.properties {
        let (field, ty) = (snake(&property.name), owned_type(&property.signature));
        writeln!(out, "    {}", property_attribute(property)).unwrap();
        let value = copied(&property.signature, &format!("p.{field}"));
        writeln!(out, "    fn {field}(&self) -> {ty} {{\n        self.look(|p| {value})\n    }}\n").unwrap();
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n}\n");
    out
}

fn server_method(out: &mut String, method: &Member) {
    let inputs: Vec<&Arg> = method.args.iter().filter(|a| !a.out).collect();
    let list: String = inputs.iter().map(|a| format!("{}: {}, ", a.name, owned_type(&a.signature))).collect();
    let pass: String = inputs.iter().map(|a| format!("{}, ", a.name)).collect();
    let name = snake(&method.name);
    let names: Vec<String> =
        method.args.iter().filter(|a| a.out).map(|a| format!("\"{}\"", a.name)).collect();
    if !names.is_empty() {
        writeln!(out, "    #[zbus(out_args({}))]", names.join(", ")).unwrap();
    }
    let ty = output_type(method);
    writeln!(
        out,
        "    async fn {name}(&self, {list}#[zbus(header)] header: Header<'_>) -> Result<{ty}, Error> {{"
    )
    .unwrap();
    writeln!(out, "        self.on_{name}({pass}&header).await\n    }}\n").unwrap();
}

/// The reference for people.
fn reference<'a>(interfaces: impl Iterator<Item = &'a Interface>) -> String {
    let mut out = String::from(
        "# Reference of the D-Bus interfaces\n\nGenerated from `dbus/xml`, the source of truth; see [dbus.md](../dbus.md) \
         for how to use them.\nThe type of every value is given in D-Bus notation.\n",
    );
    for interface in interfaces {
        writeln!(out, "\n## {}\n\n{}", interface.name, interface.docs.join("\n\n")).unwrap();
        for method in &interface.methods {
            let side = |is_out| {
                let args = method.args.iter().filter(move |a| a.out == is_out);
                args.map(|a| format!("{} {}", a.signature, a.name)).collect::<Vec<_>>().join(", ")
            };
            let returns = if side(true).is_empty() { String::new() } else { format!(" → {}", side(true)) };
            writeln!(out, "\n### {}({}){returns}\n\n{}", method.name, side(false), method.docs.join("\n\n"))
                .unwrap();
        }
        for signal in &interface.signals {
            let args: Vec<String> =
                signal.args.iter().map(|a| format!("{} {}", a.signature, a.name)).collect();
            writeln!(
                out,
                "\n### Signal {}({})\n\n{}",
                signal.name,
                args.join(", "),
                signal.docs.join("\n\n")
            )
            .unwrap();
        }
        if !interface.properties.is_empty() {
            out.push_str("\n| Property | Type | Meaning |\n|---|---|---|\n");
        }
        for property in &interface.properties {
            let docs = property.docs.join(" ").replace('|', "\\|");
            let constant = if property.constant { " Never changes." } else { "" };
            writeln!(out, "| `{}` | `{}` | {docs}{constant} |", property.name, property.signature).unwrap();
        }
    }
    out
}

#[test]
fn what_is_generated_is_checked_in() {
    let interfaces: Vec<Interface> = INTERFACES.iter().map(|xml| parse(xml)).collect();
    let types = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let servers = concat!(env!("CARGO_MANIFEST_DIR"), "/../daemon/src/bus/interfaces");
    for interface in &interfaces {
        let file = format!("{}.rs", snake(interface.short()));
        expect_file![format!("{types}/{file}")].assert_eq(&client(interface));
        expect_file![format!("{servers}/{file}")].assert_eq(&server(interface));
    }
    let agent = parse(AGENT);
    expect_file!["../src/agent.rs"].assert_eq(&client(&agent));
    expect_file!["../../docs/generated/dbus.md"].assert_eq(&reference(interfaces.iter().chain([&agent])));
}

#[test]
fn names_become_snake_case() {
    let names =
        ["PkgID", "PkgIDRef", "PkgURL", "ID", "Id", "DownloadInstallInactive", "StateName", "EnvType"];
    let snakes: Vec<String> = names.iter().map(|n| snake(n)).collect();
    assert_eq!(
        snakes,
        [
            "pkg_id",
            "pkg_id_ref",
            "pkg_url",
            "id",
            "id",
            "download_install_inactive",
            "state_name",
            "env_type"
        ]
    );
}

#[test]
fn every_method_ends_in_options_and_every_change_is_announced() {
    for interface in INTERFACES.iter().chain([&AGENT]).map(|xml| parse(xml)) {
        for method in &interface.methods {
            let last = method.args.iter().rfind(|a| !a.out);
            assert_eq!(last.map(|a| a.signature.as_str()), Some("a{sv}"), "{}", method.name);
        }
        assert!(interface.name.starts_with("org.scomo1."));
    }
}
