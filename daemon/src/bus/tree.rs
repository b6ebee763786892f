//! The SCOMO tree by URI: reading is a look at the newest snapshot, writing is a command.
//!
//! What nodes there are, and who may do what with them, is in [`scomo_core::tree`]; here are the bus and its types.

use std::os::fd::OwnedFd as StdFd;

use scomo_core::command::{Command, ReportTo, Terms};
use scomo_core::tree::edit::{Edit, Given, Step, What, data_of, plan};
use scomo_core::tree::uri::{List, Selection};
use scomo_core::tree::{Format, Property, Query, Reading, Subject, Tree, TreeError, Value, base64, export};
use scomo_dbus::{Error, OptionMap, OptionReader};
use zbus::message::Header;
use zbus::{OwnedFd, OwnedObjectPath};

use super::methods::Answer;
use super::{Door, Served, wishes};
use crate::refusal::of_tree;

/// What the bus calls a job that was done before the answer.
const NO_JOB: &str = "/";
/// A value that nobody said the type of.
const PLAIN: &str = "text/plain";

/// A node as `List` gives it: URI, format, type, value.
type Listed = (String, String, String, String);

fn subject(reader: &mut OptionReader<'_>) -> Answer<Subject> {
    let server: Option<String> = reader.get("server")?;
    Ok(server.map_or(Subject::Local, Subject::Server))
}

/// The options of a method that knows `server` only.
fn only_subject(options: &OptionMap) -> Answer<Subject> {
    let mut reader = OptionReader::new(options);
    let subject = subject(&mut reader)?;
    reader.finish()?;
    Ok(subject)
}

fn given(format: &str, value: String) -> Answer<Given> {
    let unknown =
        || Error::InvalidArgument(format!("'{format}' is no format of OMA DM; give chr, int, bin …"));
    let format = match format {
        "" => None,
        name => Some(Format::from_name(name).ok_or_else(unknown)?),
    };
    let value = match format {
        Some(Format::Node | Format::Null) => Value::Null,
        Some(Format::Bin | Format::B64) => {
            let bytes = base64::decode(&value);
            let bytes = bytes.ok_or_else(|| Error::InvalidArgument("the value is not base64".to_owned()))?;
            Value::Bytes(bytes.into())
        }
        _ => Value::Text(value.into()),
    };
    Ok(Given { format, mime: String::new(), value })
}

fn property(name: &str) -> Answer<Property> {
    let unknown = || Error::NoSuchProperty(format!("nodes have no property '{name}'"));
    Property::from_name(name).ok_or_else(unknown)
}

fn shown_type(mime: &str) -> String {
    if mime == PLAIN { String::new() } else { mime.to_owned() }
}

impl Door {
    /// Looks at the tree as the subject of the options sees it.
    fn look_at_tree<R>(
        &self,
        subject: &Subject,
        look: impl FnOnce(&Tree<'_>) -> Result<R, TreeError>,
    ) -> Answer<R> {
        let view = self.view();
        look(&Tree::new(&view.state, &self.tree, subject)).map_err(|error| of_tree(&error))
    }

    fn edits(&self, subject: Subject, edits: Vec<Edit>) -> Command {
        Command::Tree { settings: Box::new(self.tree.clone()), subject, edits }
    }

    /// Makes the edits. Whether the caller may comes first: what is wrong with them is nobody else's business.
    async fn edit(
        &self,
        header: &Header<'_>,
        options: &OptionMap,
        edits: impl FnOnce() -> Answer<Vec<Edit>>,
    ) -> Answer<()> {
        let caller = self.access.may_call(header).await?;
        let command = self.edits(only_subject(options)?, edits()?);
        self.submit(caller, Terms::default(), command).await?;
        Ok(())
    }
}

fn read(tree: &Tree<'_>, text: &str) -> Result<(String, String, String), TreeError> {
    let uri = tree.uri(text)?;
    if let Query::Property(property) = uri.query {
        let format = Format::Chr.as_str().to_owned();
        return Ok((format, String::new(), tree.property(&uri, property)?));
    }
    Ok(match tree.get(&uri)? {
        Reading::Children(names) => {
            let mime = tree.property(&uri, Property::Type)?;
            (Format::Node.as_str().to_owned(), mime, names.join("/"))
        }
        Reading::Leaf(format, mime, value) => {
            (format.as_str().to_owned(), shown_type(&mime), value.to_text().into_owned())
        }
    })
}

fn list(tree: &Tree<'_>, text: &str, recursive: bool) -> Result<Vec<Listed>, TreeError> {
    let uri = tree.uri(text)?;
    let levels = if recursive { usize::MAX } else { 1 };
    let mut nodes = Vec::new();
    tree.walk_to(&uri, levels, &mut |node| {
        let value = node.value.as_ref().map(|value| value.to_text().into_owned()).unwrap_or_default();
        nodes.push((node.uri.to_owned(), node.format.as_str().to_owned(), shown_type(node.mime()), value));
    })?;
    Ok(nodes)
}

fn tnds(tree: &Tree<'_>, text: &str) -> Result<String, TreeError> {
    let uri = tree.uri(text)?;
    match &uri.query {
        Query::List(List::Tnds(selection)) => export::tnds(tree, &uri, selection),
        _ => export::tnds(tree, &uri, &Selection::default()),
    }
}

impl Served<scomo_dbus::Tree> {
    pub(super) async fn on_get(
        &self,
        uri: String,
        options: OptionMap,
        _header: &Header<'_>,
    ) -> Answer<(String, String, String)> {
        let subject = only_subject(&options)?;
        self.door.look_at_tree(&subject, |tree| read(tree, &uri))
    }

    pub(super) async fn on_list(
        &self,
        uri: String,
        options: OptionMap,
        _header: &Header<'_>,
    ) -> Answer<Vec<Listed>> {
        let mut reader = OptionReader::new(&options);
        let (subject, recursive) =
            (subject(&mut reader)?, reader.get::<bool>("recursive")?.unwrap_or_default());
        reader.finish()?;
        self.door.look_at_tree(&subject, |tree| list(tree, &uri, recursive))
    }

    pub(super) async fn on_add(
        &self,
        uri: String,
        format: String,
        value: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<()> {
        let edits = || Ok(vec![Edit { uri, what: What::Add(given(&format, value)?) }]);
        self.door.edit(header, &options, edits).await
    }

    pub(super) async fn on_replace(
        &self,
        uri: String,
        format: String,
        value: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<()> {
        let edits = || Ok(vec![Edit { uri, what: What::Replace(given(&format, value)?) }]);
        self.door.edit(header, &options, edits).await
    }

    pub(super) async fn on_replace_data(
        &self,
        uri: String,
        data: OwnedFd,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<()> {
        let caller = self.door.access.may_call(header).await?;
        let subject = only_subject(&options)?;
        let empty = Edit { uri: uri.clone(), what: What::Replace(Given::value("")) };
        let id = self.door.look_at_tree(&subject, |tree| Ok(data_of(tree, &empty)))?;
        let id = id.ok_or_else(|| {
            Error::NotPossible(format!("'{uri}' is not the Data of a package in Inventory/Delivered"))
        })?;
        let command = |source| {
            let what = What::Data { source };
            self.door.edits(subject, vec![Edit { uri, what }])
        };
        self.door.spool_then(caller, id.as_str(), StdFd::from(data), command).await
    }

    pub(super) async fn on_delete(&self, uri: String, options: OptionMap, header: &Header<'_>) -> Answer<()> {
        self.door.edit(header, &options, || Ok(vec![Edit { uri, what: What::Delete }])).await
    }

    pub(super) async fn on_exec(
        &self,
        uri: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.door.access.may_call(header).await?;
        let mut reader = OptionReader::new(&options);
        let subject = subject(&mut reader)?;
        let correlator: String = reader.get("correlator")?.unwrap_or_default();
        let report_to: Option<String> = reader.get("report-to")?;
        let mut wishes = wishes::of_exec(&mut reader)?;
        reader.finish()?;
        let edit = Edit { uri: uri.clone(), what: What::Exec { correlator: correlator.clone() } };
        let steps = self.door.look_at_tree(&subject, |tree| plan(tree, &edit))?;
        let [Step::Command(command, report)] = steps.as_slice() else {
            // It changes lists of the tree and nothing else.
            self.door.change(header, self.door.edits(subject, vec![edit])).await?;
            return OwnedObjectPath::try_from(NO_JOB).map_err(|e| Error::Failed(e.to_string()));
        };
        let told = report_to.map(|to| ReportTo { to, uri, correlator });
        wishes.report = told.or_else(|| report.clone());
        self.door.start(header, wishes, Command::clone(command)).await
    }

    pub(super) async fn on_apply(
        &self,
        changes: Vec<Listed>,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<()> {
        let edit = |(what, uri, format, value): Listed| {
            let what = match what.as_str() {
                "Add" => What::Add(given(&format, value)?),
                "Replace" => What::Replace(given(&format, value)?),
                "Delete" => What::Delete,
                other => {
                    let text = format!("'{other}' is no change; give Add, Replace or Delete");
                    return Err(Error::InvalidArgument(text));
                }
            };
            Ok(Edit { uri, what })
        };
        self.door.edit(header, &options, || changes.into_iter().map(edit).collect()).await
    }

    pub(super) async fn on_get_property(
        &self,
        uri: String,
        name: String,
        options: OptionMap,
        _header: &Header<'_>,
    ) -> Answer<String> {
        let (subject, property) = (only_subject(&options)?, property(&name)?);
        self.door.look_at_tree(&subject, |tree| tree.property(&tree.uri(&uri)?, property))
    }

    pub(super) async fn on_set_property(
        &self,
        uri: String,
        name: String,
        value: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<()> {
        let edits = || Ok(vec![Edit { uri, what: What::Set { property: property(&name)?, value } }]);
        self.door.edit(header, &options, edits).await
    }

    pub(super) async fn on_export(
        &self,
        form: String,
        uri: String,
        options: OptionMap,
        _header: &Header<'_>,
    ) -> Answer<String> {
        let subject = only_subject(&options)?;
        match form.as_str() {
            "ddf" => Ok(export::ddf(self.door.tree.version)),
            "device-ddf" => Ok(export::device_ddf(&self.door.tree)),
            "tnds" => self.door.look_at_tree(&subject, |tree| tnds(tree, &uri)),
            other => {
                Err(Error::InvalidArgument(format!("'{other}' is no form; give ddf, device-ddf or tnds")))
            }
        }
    }
}
