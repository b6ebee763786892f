//! `org.scomo1.Agent`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#[allow(unused_imports, reason = "not every interface uses every type")]
use zbus::{ObjectPath, OwnedObjectPath};

#[allow(unused_imports, reason = "not every interface uses every type")]
use crate::options::{OptionMap, Options};

/// Client of `org.scomo1.Agent`.
#[zbus::proxy(interface = "org.scomo1.Agent", assume_defaults = false)]
pub trait Agent {
    /// Shows a text. Answers when it is shown, or when the user has seen it.
    #[zbus(allow_interactive_auth)]
    fn display(&self, text: &str, options: Options<'_>) -> zbus::Result<()>;

    /// Asks a question that is answered with yes or no.
    #[zbus(allow_interactive_auth)]
    fn confirm(&self, text: &str, options: Options<'_>) -> zbus::Result<bool>;

    /// Asks for a text.
    ///
    /// Options `hidden` (b): do not show what is typed; `max-length` (u): most characters.
    #[zbus(allow_interactive_auth)]
    fn input(&self, text: &str, options: Options<'_>) -> zbus::Result<String>;

    /// Asks to choose. The answer holds the chosen items by their position, from 0.
    ///
    /// Option `multiple` (b): any number of items; without it exactly one.
    #[zbus(allow_interactive_auth)]
    fn choice(&self, text: &str, items: &[&str], options: Options<'_>) -> zbus::Result<Vec<u32>>;
}
