//! Writes `docs/generated/configuration.md` from the types of the settings, and holds `packaging/scomo.toml` against
//! them: every setting stands there, with its default or as an example that is right.
//!
//! `UPDATE_EXPECT=1 cargo test -p scomod --bins config::reference` writes the document anew.

use std::fmt::Write as _;

use expect_test::expect_file;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{DaemonConfig, Inputs, PolicyConfig, TreeConfig, WORKER_SECTIONS};

const SHIPPED: &str = include_str!("../../../packaging/scomo.toml");

/// The sections that the daemon itself reads; every setting in them has a default that can be written down.
const OWN: [&str; 3] = ["daemon", "policy", "tree"];

/// A section and the type that reads it.
struct Section {
    name: &'static str,
    reader: &'static str,
    schema: Value,
    default: Value,
    /// What the type makes of a section.
    read: fn(&Value) -> Result<Value, String>,
}

impl Section {
    fn of<T: JsonSchema + Default + Serialize + DeserializeOwned>(
        name: &'static str,
        reader: &'static str,
    ) -> Self {
        let schema: Schema = SchemaGenerator::default().into_root_schema_for::<T>();
        let read = |section: &Value| {
            let typed: T = serde_json::from_value(section.clone()).map_err(|error| error.to_string())?;
            Ok(json!(typed))
        };
        Self { name, reader, schema: schema.to_value(), default: json!(T::default()), read }
    }
}

fn sections() -> Vec<Section> {
    vec![
        Section::of::<DaemonConfig>("daemon", "the daemon"),
        Section::of::<PolicyConfig>("policy", "the daemon"),
        Section::of::<TreeConfig>("tree", "the daemon"),
        Section::of::<scomo_package::Config>("package", "every worker"),
        Section::of::<scomo_container_backend::Config>("container", "`scomo-worker-container`"),
        Section::of::<scomo_files_backend::Config>("files", "`scomo-worker-files`"),
        Section::of::<scomo_ostree_backend::Config>("os", "`scomo-worker-os`"),
    ]
}

/// A table of settings, by the name of its TOML table: `package.keys.<name>`.
struct Table<'a> {
    name: String,
    /// It stands in double brackets.
    is_list: bool,
    schema: &'a Value,
}

impl<'a> Table<'a> {
    fn header(&self) -> String {
        if self.is_list { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }

    fn properties(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let properties = self.schema["properties"].as_object();
        properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
    }

    /// The tables that stand for a setting of this one.
    fn inner(&self, root: &'a Value, name: &str, schema: &'a Value) -> Option<Self> {
        let table = |name, is_list, schema: &'a Value| {
            let schema = resolve(root, schema);
            schema.get("properties").map(|_| Self { name, is_list, schema })
        };
        let name = format!("{}.{name}", self.name);
        let by_name = schema.get("additionalProperties");
        let in_list = schema.get("items");
        by_name
            .and_then(|schema| table(format!("{name}.<name>"), false, schema))
            .or_else(|| in_list.and_then(|schema| table(name.clone(), true, schema)))
            .or_else(|| table(name.clone(), false, schema))
    }
}

/// Follows a reference, if it is one.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str);
    reference.map_or(schema, |reference| root.pointer(reference.trim_start_matches('#')).unwrap())
}

/// All tables of a section, each before those in it.
fn tables(section: &Section) -> Vec<Table<'_>> {
    let mut found = vec![Table { name: section.name.to_owned(), is_list: false, schema: &section.schema }];
    let mut next = 0;
    while next < found.len() {
        let table = &found[next];
        let inner =
            table.properties().filter_map(|(name, schema)| table.inner(&section.schema, name, schema));
        let inner: Vec<_> = inner.collect();
        found.extend(inner);
        next += 1;
    }
    found
}

fn type_of(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(values) = schema.get("oneOf").and_then(Value::as_array) {
        let values: Vec<_> =
            values.iter().map(|value| format!("`{}`", value["const"].as_str().unwrap())).collect();
        return values.join(", ");
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        return format!("names with {} each", type_of(root, values));
    }
    let name = match &schema["type"] {
        Value::Array(types) => types[0].as_str(),
        one => one.as_str(),
    };
    match name {
        Some("string") => "text".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("array") => format!("list of {}", type_of(root, &schema["items"])),
        other => panic!("no words for the type {other:?} in {schema}"),
    }
}

/// Doc comments are wrapped and may hold links of rustdoc.
fn one_line(text: &str) -> String {
    text.replace('\n', " ").replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

fn docs(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_else(|| panic!("a setting without a doc comment: {schema}"))
}

fn meaning(root: &Value, schema: &Value) -> String {
    let mut text = one_line(docs(schema));
    let values = resolve(root, schema).get("oneOf").and_then(Value::as_array);
    for value in values.into_iter().flatten() {
        write!(text, "<br>`{}`: {}", value["const"].as_str().unwrap(), one_line(docs(value))).unwrap();
    }
    text
}

fn default_of(schema: &Value) -> String {
    match schema.get("default") {
        None | Some(Value::Null) => "–".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn document(sections: &[Section]) -> String {
    let mut out = "# Reference of the configuration\n\nGenerated from the types of the settings; see \
                   [configuration.md](../configuration.md) for where the files are and how they are merged.\n\
                   A dash stands for a setting that has no default.\n"
        .to_owned();
    for section in sections {
        for table in tables(section) {
            let level = if table.name == section.name { "##" } else { "###" };
            let docs = docs(table.schema).replace("[`", "`").replace("`]", "`");
            write!(out, "\n{level} `{}`\n\n{docs}\n", table.header()).unwrap();
            if level == "##" {
                writeln!(out, "\nRead by {}.", section.reader).unwrap();
            }
            let is_value =
                |(name, schema): &(&str, &Value)| table.inner(&section.schema, name, schema).is_none();
            let mut rows = String::new();
            for (name, schema) in table.properties().filter(is_value) {
                let (ty, default) = (type_of(&section.schema, schema), default_of(schema));
                writeln!(rows, "| `{name}` | {ty} | {default} | {} |", meaning(&section.schema, schema))
                    .unwrap();
            }
            if !rows.is_empty() {
                write!(out, "\n| Setting | Type | Default | Meaning |\n|---|---|---|---|\n{rows}").unwrap();
            }
        }
    }
    out
}

#[test]
fn the_reference_is_up_to_date() {
    expect_file!["../../../docs/generated/configuration.md"].assert_eq(&document(&sections()));
}

#[test]
fn every_section_is_in_the_reference() {
    let names: Vec<_> = sections().iter().map(|section| section.name).collect();
    assert_eq!(names, [OWN.as_slice(), &WORKER_SECTIONS].concat());
}

fn shipped(text: &str) -> Value {
    let mut inputs = Inputs::default();
    inputs.add(std::path::Path::new("packaging/scomo.toml"), text).unwrap();
    Value::Object(inputs.0)
}

#[test]
fn the_shipped_file_holds_the_defaults_of_every_section() {
    let shipped = shipped(SHIPPED);
    for section in sections() {
        assert_eq!((section.read)(&shipped[section.name]), Ok(section.default), "{}", section.name);
    }
}

/// The shipped file with its examples switched on: they begin with a `#` and no space.
fn with_examples() -> String {
    let plain = |line: &str| match line.strip_prefix('#') {
        Some(example) if !example.starts_with(' ') => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    SHIPPED.lines().map(plain).collect()
}

#[test]
fn the_examples_in_the_shipped_file_are_right() {
    let shipped = shipped(&with_examples());
    for section in sections() {
        let read = (section.read)(&shipped[section.name]);
        assert!(
            read.is_ok_and(|read| read != section.default || OWN.contains(&section.name)),
            "{}",
            section.name
        );
    }
}

/// What is at a part of a table's name; `<name>`: whatever is there.
fn below<'a>(place: &'a Value, part: &str) -> Vec<&'a Value> {
    match (part, place) {
        ("<name>", Value::Object(map)) => map.values().collect(),
        (part, place) => place.get(part).into_iter().collect(),
    }
}

#[test]
fn the_shipped_file_names_every_setting() {
    let shipped = shipped(&with_examples());
    for section in sections() {
        for table in tables(&section) {
            // Below the names of an example, whatever those are.
            let mut places = vec![&shipped];
            for part in table.name.split('.') {
                places = places.into_iter().flat_map(|place| below(place, part)).collect();
            }
            let lists = places.iter().copied().flat_map(|place| place.as_array().into_iter().flatten());
            let places: Vec<&Value> = if table.is_list { lists.collect() } else { places };
            for (name, _) in table.properties() {
                let named = places.iter().any(|place| place.get(name).is_some());
                assert!(named, "packaging/scomo.toml does not show '{name}' of {}", table.header());
            }
        }
    }
}
