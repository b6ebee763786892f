//! `org.scomo1.Tree` as the bus sees it; what the methods do is elsewhere.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#![allow(unused_imports, reason = "not every interface uses every type")]

use scomo_dbus::{Tree, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::super::Served;

#[interface(name = "org.scomo1.Tree", introspection_docs = false)]
impl Served<Tree> {
    #[zbus(out_args("format", "type", "value"))]
    async fn get(&self, uri: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(String, String, String), Error> {
        self.on_get(uri, options, &header).await
    }

    #[zbus(out_args("nodes"))]
    async fn list(&self, uri: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<Vec<(String, String, String, String)>, Error> {
        self.on_list(uri, options, &header).await
    }

    async fn add(&self, uri: String, format: String, value: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_add(uri, format, value, options, &header).await
    }

    async fn replace(&self, uri: String, format: String, value: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_replace(uri, format, value, options, &header).await
    }

    async fn replace_data(&self, uri: String, data: OwnedFd, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_replace_data(uri, data, options, &header).await
    }

    async fn delete(&self, uri: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_delete(uri, options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn exec(&self, uri: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_exec(uri, options, &header).await
    }

    async fn apply(&self, changes: Vec<(String, String, String, String)>, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_apply(changes, options, &header).await
    }

    #[zbus(out_args("value"))]
    async fn get_property(&self, uri: String, property: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<String, Error> {
        self.on_get_property(uri, property, options, &header).await
    }

    async fn set_property(&self, uri: String, property: String, value: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_set_property(uri, property, value, options, &header).await
    }

    #[zbus(out_args("document"))]
    async fn export(&self, form: String, uri: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<String, Error> {
        self.on_export(form, uri, options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Root")]
    fn root(&self) -> String {
        self.look(|p| p.root.clone())
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Version")]
    fn version(&self) -> String {
        self.look(|p| p.version.clone())
    }
}
