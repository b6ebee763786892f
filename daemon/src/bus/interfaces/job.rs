//! `org.scomo1.Job` as the bus sees it; what the methods do is elsewhere.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#![allow(unused_imports, reason = "not every interface uses every type")]

use scomo_dbus::{Job, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::super::Served;

#[interface(name = "org.scomo1.Job", introspection_docs = false)]
impl Served<Job> {
    async fn cancel(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_cancel(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Id")]
    fn id(&self) -> u64 {
        self.look(|p| p.id)
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Primitive")]
    fn primitive(&self) -> String {
        self.look(|p| p.primitive.clone())
    }

    #[zbus(property(emits_changed_signal = "const"), name = "TargetKind")]
    fn target_kind(&self) -> String {
        self.look(|p| p.target_kind.clone())
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Target")]
    fn target(&self) -> String {
        self.look(|p| p.target.clone())
    }

    #[zbus(property(emits_changed_signal = "const"), name = "User")]
    fn user(&self) -> String {
        self.look(|p| p.user.clone())
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Uid")]
    fn uid(&self) -> u32 {
        self.look(|p| p.uid)
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Started")]
    fn started(&self) -> u64 {
        self.look(|p| p.started)
    }

    #[zbus(property, name = "Finished")]
    fn finished(&self) -> u64 {
        self.look(|p| p.finished)
    }

    #[zbus(property, name = "Phase")]
    fn phase(&self) -> String {
        self.look(|p| p.phase.clone())
    }

    #[zbus(property, name = "Component")]
    fn component(&self) -> String {
        self.look(|p| p.component.clone())
    }

    #[zbus(property, name = "Attempt")]
    fn attempt(&self) -> u32 {
        self.look(|p| p.attempt)
    }

    #[zbus(property, name = "RetryAt")]
    fn retry_at(&self) -> u64 {
        self.look(|p| p.retry_at)
    }

    #[zbus(property, name = "Percent")]
    fn percent(&self) -> u32 {
        self.look(|p| p.percent)
    }

    #[zbus(property, name = "BytesDone")]
    fn bytes_done(&self) -> u64 {
        self.look(|p| p.bytes_done)
    }

    #[zbus(property, name = "BytesTotal")]
    fn bytes_total(&self) -> u64 {
        self.look(|p| p.bytes_total)
    }

    #[zbus(property, name = "BytesReused")]
    fn bytes_reused(&self) -> u64 {
        self.look(|p| p.bytes_reused)
    }

    #[zbus(property, name = "Message")]
    fn message(&self) -> String {
        self.look(|p| p.message.clone())
    }

    #[zbus(property, name = "WaitingFor")]
    fn waiting_for(&self) -> String {
        self.look(|p| p.waiting_for.clone())
    }

    #[zbus(property, name = "RebootNeeded")]
    fn reboot_needed(&self) -> bool {
        self.look(|p| p.reboot_needed)
    }

    #[zbus(property, name = "Result")]
    fn result(&self) -> String {
        self.look(|p| p.result.clone())
    }

    #[zbus(property, name = "FailureKind")]
    fn failure_kind(&self) -> String {
        self.look(|p| p.failure_kind.clone())
    }

    #[zbus(property, name = "ResultCode")]
    fn result_code(&self) -> u32 {
        self.look(|p| p.result_code)
    }

    #[zbus(property, name = "Changed")]
    fn changed(&self) -> Vec<String> {
        self.look(|p| p.changed.clone())
    }
}
