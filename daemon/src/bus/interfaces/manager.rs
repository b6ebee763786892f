//! `org.scomo1.Manager` as the bus sees it; what the methods do is elsewhere.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

#![allow(unused_imports, reason = "not every interface uses every type")]

use scomo_dbus::{Manager, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::super::Served;

#[interface(name = "org.scomo1.Manager", introspection_docs = false)]
impl Served<Manager> {
    #[zbus(out_args("download"))]
    async fn add_download(&self, pkg_id: String, url: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_add_download(pkg_id, url, options, &header).await
    }

    #[zbus(out_args("package"))]
    async fn deliver(&self, pkg_id: String, data: OwnedFd, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_deliver(pkg_id, data, options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn install(&self, source: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_install(source, options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn rollback(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_rollback(options, &header).await
    }

    async fn confirm_boot(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_confirm_boot(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn collect_garbage(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_collect_garbage(options, &header).await
    }

    #[zbus(out_args("text"))]
    async fn logs(&self, component: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<String, Error> {
        self.on_logs(component, options, &header).await
    }

    #[zbus(out_args("entries"))]
    async fn history(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<Vec<OptionMap>, Error> {
        self.on_history(options, &header).await
    }

    #[zbus(out_args("lock"))]
    async fn inhibit(&self, what: String, why: String, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedFd, Error> {
        self.on_inhibit(what, why, options, &header).await
    }

    async fn register_agent(&self, path: OwnedObjectPath, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_register_agent(path, options, &header).await
    }

    #[zbus(out_args("answer"))]
    async fn ask_user(&self, kind: String, text: String, choices: Vec<String>, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OptionMap, Error> {
        self.on_ask_user(kind, text, choices, options, &header).await
    }

    async fn approve(&self, job: u64, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_approve(job, options, &header).await
    }

    async fn refuse(&self, job: u64, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_refuse(job, options, &header).await
    }

    async fn reboot(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_reboot(options, &header).await
    }

    #[zbus(out_args("policy"))]
    async fn policy(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OptionMap, Error> {
        self.on_policy(options, &header).await
    }

    #[zbus(signal)]
    pub async fn job_new(emitter: &SignalEmitter<'_>, job: ObjectPath<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub async fn job_removed(emitter: &SignalEmitter<'_>, job: ObjectPath<'_>, result: &str, code: u32) -> zbus::Result<()>;

    #[zbus(property(emits_changed_signal = "const"), name = "Version")]
    fn version(&self) -> String {
        self.look(|p| p.version.clone())
    }

    #[zbus(property, name = "SafeMode")]
    fn safe_mode(&self) -> String {
        self.look(|p| p.safe_mode.clone())
    }

    #[zbus(property, name = "StoreTrouble")]
    fn store_trouble(&self) -> String {
        self.look(|p| p.store_trouble.clone())
    }

    #[zbus(property, name = "Booted")]
    fn booted(&self) -> String {
        self.look(|p| p.booted.clone())
    }

    #[zbus(property, name = "PendingReboot")]
    fn pending_reboot(&self) -> bool {
        self.look(|p| p.pending_reboot)
    }

    #[zbus(property, name = "RebootWanted")]
    fn reboot_wanted(&self) -> bool {
        self.look(|p| p.reboot_wanted)
    }

    #[zbus(property, name = "RebootWaitsFor")]
    fn reboot_waits_for(&self) -> String {
        self.look(|p| p.reboot_waits_for.clone())
    }

    #[zbus(property, name = "Inhibitors")]
    fn inhibitors(&self) -> Vec<(String, String, String, u32, u32, u64)> {
        self.look(|p| p.inhibitors.clone())
    }

    #[zbus(property, name = "Agents")]
    fn agents(&self) -> u32 {
        self.look(|p| p.agents)
    }

    #[zbus(property, name = "RollbackPossible")]
    fn rollback_possible(&self) -> bool {
        self.look(|p| p.rollback_possible)
    }

    #[zbus(property, name = "Jobs")]
    fn jobs(&self) -> Vec<OwnedObjectPath> {
        self.look(|p| p.jobs.clone())
    }
}
