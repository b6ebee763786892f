//! The interfaces as the bus sees them; what the methods do is in `methods`.
//!
//! Generated from dbus/xml by dbus/tests/codegen.rs; edit the XML and run
//! `UPDATE_EXPECT=1 cargo test -p scomo-dbus --test codegen`.

use scomo_dbus::{Manager, Download, DeliveryPackage, DeploymentComponent, Job, Error, OptionMap};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, interface};

use super::Served;

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

    #[zbus(property, name = "RollbackPossible")]
    fn rollback_possible(&self) -> bool {
        self.look(|p| p.rollback_possible)
    }

    #[zbus(property, name = "Jobs")]
    fn jobs(&self) -> Vec<OwnedObjectPath> {
        self.look(|p| p.jobs.clone())
    }
}

#[interface(name = "org.scomo1.Download", introspection_docs = false)]
impl Served<Download> {
    #[zbus(out_args("job"))]
    async fn download(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_download(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn download_install(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_download_install(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn download_install_inactive(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_download_install_inactive(options, &header).await
    }

    async fn delete(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_delete(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "PkgID")]
    fn pkg_id(&self) -> String {
        self.look(|p| p.pkg_id.clone())
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.look(|p| p.name.clone())
    }

    #[zbus(property, name = "PkgURL")]
    fn pkg_url(&self) -> String {
        self.look(|p| p.pkg_url.clone())
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.look(|p| p.description.clone())
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.look(|p| p.env_type.clone())
    }

    #[zbus(property, name = "PkgType")]
    fn pkg_type(&self) -> String {
        self.look(|p| p.pkg_type.clone())
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.look(|p| p.status)
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.look(|p| p.status_name.clone())
    }
}

#[interface(name = "org.scomo1.DeliveryPackage", introspection_docs = false)]
impl Served<DeliveryPackage> {
    #[zbus(out_args("job"))]
    async fn install(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_install(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn install_inactive(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_install_inactive(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn remove(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_remove(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "PkgID")]
    fn pkg_id(&self) -> String {
        self.look(|p| p.pkg_id.clone())
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.look(|p| p.name.clone())
    }

    #[zbus(property, name = "Version")]
    fn version(&self) -> String {
        self.look(|p| p.version.clone())
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.look(|p| p.description.clone())
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.look(|p| p.env_type.clone())
    }

    #[zbus(property, name = "PkgType")]
    fn pkg_type(&self) -> String {
        self.look(|p| p.pkg_type.clone())
    }

    #[zbus(property, name = "Source")]
    fn source(&self) -> String {
        self.look(|p| p.source.clone())
    }

    #[zbus(property, name = "Digest")]
    fn digest(&self) -> String {
        self.look(|p| p.digest.clone())
    }

    #[zbus(property, name = "SignedBy")]
    fn signed_by(&self) -> String {
        self.look(|p| p.signed_by.clone())
    }

    #[zbus(property, name = "Components")]
    fn components(&self) -> Vec<String> {
        self.look(|p| p.components.clone())
    }

    #[zbus(property, name = "State")]
    fn state(&self) -> i32 {
        self.look(|p| p.state)
    }

    #[zbus(property, name = "StateName")]
    fn state_name(&self) -> String {
        self.look(|p| p.state_name.clone())
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.look(|p| p.status)
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.look(|p| p.status_name.clone())
    }

    #[zbus(property, name = "License")]
    fn license(&self) -> String {
        self.look(|p| p.license.clone())
    }

    #[zbus(property, name = "Copyright")]
    fn copyright(&self) -> String {
        self.look(|p| p.copyright.clone())
    }

    #[zbus(property, name = "Manufacturer")]
    fn manufacturer(&self) -> String {
        self.look(|p| p.manufacturer.clone())
    }

    #[zbus(property, name = "Creator")]
    fn creator(&self) -> String {
        self.look(|p| p.creator.clone())
    }

    #[zbus(property, name = "CreationDate")]
    fn creation_date(&self) -> String {
        self.look(|p| p.creation_date.clone())
    }

    #[zbus(property, name = "ReleaseDate")]
    fn release_date(&self) -> String {
        self.look(|p| p.release_date.clone())
    }

    #[zbus(property, name = "ReleaseNotes")]
    fn release_notes(&self) -> String {
        self.look(|p| p.release_notes.clone())
    }
}

#[interface(name = "org.scomo1.DeploymentComponent", introspection_docs = false)]
impl Served<DeploymentComponent> {
    #[zbus(out_args("job"))]
    async fn activate(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_activate(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn deactivate(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_deactivate(options, &header).await
    }

    #[zbus(out_args("job"))]
    async fn remove(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        self.on_remove(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "ID")]
    fn id(&self) -> String {
        self.look(|p| p.id.clone())
    }

    #[zbus(property, name = "PkgIDRef")]
    fn pkg_id_ref(&self) -> String {
        self.look(|p| p.pkg_id_ref.clone())
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.look(|p| p.name.clone())
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.look(|p| p.description.clone())
    }

    #[zbus(property, name = "Version")]
    fn version(&self) -> String {
        self.look(|p| p.version.clone())
    }

    #[zbus(property, name = "ComponentType")]
    fn component_type(&self) -> String {
        self.look(|p| p.component_type.clone())
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.look(|p| p.env_type.clone())
    }

    #[zbus(property, name = "Release")]
    fn release(&self) -> String {
        self.look(|p| p.release.clone())
    }

    #[zbus(property, name = "PreviousVersion")]
    fn previous_version(&self) -> String {
        self.look(|p| p.previous_version.clone())
    }

    #[zbus(property, name = "Size")]
    fn size(&self) -> u64 {
        self.look(|p| p.size)
    }

    #[zbus(property, name = "Since")]
    fn since(&self) -> u64 {
        self.look(|p| p.since)
    }

    #[zbus(property, name = "State")]
    fn state(&self) -> i32 {
        self.look(|p| p.state)
    }

    #[zbus(property, name = "StateName")]
    fn state_name(&self) -> String {
        self.look(|p| p.state_name.clone())
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.look(|p| p.status)
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.look(|p| p.status_name.clone())
    }

    #[zbus(property, name = "Message")]
    fn message(&self) -> String {
        self.look(|p| p.message.clone())
    }

    #[zbus(property, name = "License")]
    fn license(&self) -> String {
        self.look(|p| p.license.clone())
    }

    #[zbus(property, name = "Copyright")]
    fn copyright(&self) -> String {
        self.look(|p| p.copyright.clone())
    }

    #[zbus(property, name = "Manufacturer")]
    fn manufacturer(&self) -> String {
        self.look(|p| p.manufacturer.clone())
    }

    #[zbus(property, name = "Creator")]
    fn creator(&self) -> String {
        self.look(|p| p.creator.clone())
    }

    #[zbus(property, name = "CreationDate")]
    fn creation_date(&self) -> String {
        self.look(|p| p.creation_date.clone())
    }

    #[zbus(property, name = "ReleaseDate")]
    fn release_date(&self) -> String {
        self.look(|p| p.release_date.clone())
    }

    #[zbus(property, name = "ReleaseNotes")]
    fn release_notes(&self) -> String {
        self.look(|p| p.release_notes.clone())
    }
}

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
