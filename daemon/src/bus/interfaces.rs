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
        self.properties.version.clone()
    }

    #[zbus(property, name = "SafeMode")]
    fn safe_mode(&self) -> String {
        self.properties.safe_mode.clone()
    }

    #[zbus(property, name = "Booted")]
    fn booted(&self) -> String {
        self.properties.booted.clone()
    }

    #[zbus(property, name = "PendingReboot")]
    fn pending_reboot(&self) -> bool {
        self.properties.pending_reboot
    }

    #[zbus(property, name = "RollbackPossible")]
    fn rollback_possible(&self) -> bool {
        self.properties.rollback_possible
    }

    #[zbus(property, name = "Jobs")]
    fn jobs(&self) -> Vec<OwnedObjectPath> {
        self.properties.jobs.clone()
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
        self.properties.pkg_id.clone()
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.properties.name.clone()
    }

    #[zbus(property, name = "PkgURL")]
    fn pkg_url(&self) -> String {
        self.properties.pkg_url.clone()
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.properties.description.clone()
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.properties.env_type.clone()
    }

    #[zbus(property, name = "PkgType")]
    fn pkg_type(&self) -> String {
        self.properties.pkg_type.clone()
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.properties.status
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.properties.status_name.clone()
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
        self.properties.pkg_id.clone()
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.properties.name.clone()
    }

    #[zbus(property, name = "Version")]
    fn version(&self) -> String {
        self.properties.version.clone()
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.properties.description.clone()
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.properties.env_type.clone()
    }

    #[zbus(property, name = "PkgType")]
    fn pkg_type(&self) -> String {
        self.properties.pkg_type.clone()
    }

    #[zbus(property, name = "Source")]
    fn source(&self) -> String {
        self.properties.source.clone()
    }

    #[zbus(property, name = "Digest")]
    fn digest(&self) -> String {
        self.properties.digest.clone()
    }

    #[zbus(property, name = "SignedBy")]
    fn signed_by(&self) -> String {
        self.properties.signed_by.clone()
    }

    #[zbus(property, name = "Components")]
    fn components(&self) -> Vec<String> {
        self.properties.components.clone()
    }

    #[zbus(property, name = "State")]
    fn state(&self) -> i32 {
        self.properties.state
    }

    #[zbus(property, name = "StateName")]
    fn state_name(&self) -> String {
        self.properties.state_name.clone()
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.properties.status
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.properties.status_name.clone()
    }

    #[zbus(property, name = "License")]
    fn license(&self) -> String {
        self.properties.license.clone()
    }

    #[zbus(property, name = "Copyright")]
    fn copyright(&self) -> String {
        self.properties.copyright.clone()
    }

    #[zbus(property, name = "Manufacturer")]
    fn manufacturer(&self) -> String {
        self.properties.manufacturer.clone()
    }

    #[zbus(property, name = "Creator")]
    fn creator(&self) -> String {
        self.properties.creator.clone()
    }

    #[zbus(property, name = "CreationDate")]
    fn creation_date(&self) -> String {
        self.properties.creation_date.clone()
    }

    #[zbus(property, name = "ReleaseDate")]
    fn release_date(&self) -> String {
        self.properties.release_date.clone()
    }

    #[zbus(property, name = "ReleaseNotes")]
    fn release_notes(&self) -> String {
        self.properties.release_notes.clone()
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
        self.properties.id.clone()
    }

    #[zbus(property, name = "PkgIDRef")]
    fn pkg_id_ref(&self) -> String {
        self.properties.pkg_id_ref.clone()
    }

    #[zbus(property, name = "Name")]
    fn name(&self) -> String {
        self.properties.name.clone()
    }

    #[zbus(property, name = "Description")]
    fn description(&self) -> String {
        self.properties.description.clone()
    }

    #[zbus(property, name = "Version")]
    fn version(&self) -> String {
        self.properties.version.clone()
    }

    #[zbus(property, name = "ComponentType")]
    fn component_type(&self) -> String {
        self.properties.component_type.clone()
    }

    #[zbus(property, name = "EnvType")]
    fn env_type(&self) -> String {
        self.properties.env_type.clone()
    }

    #[zbus(property, name = "Release")]
    fn release(&self) -> String {
        self.properties.release.clone()
    }

    #[zbus(property, name = "PreviousVersion")]
    fn previous_version(&self) -> String {
        self.properties.previous_version.clone()
    }

    #[zbus(property, name = "Size")]
    fn size(&self) -> u64 {
        self.properties.size
    }

    #[zbus(property, name = "Since")]
    fn since(&self) -> u64 {
        self.properties.since
    }

    #[zbus(property, name = "State")]
    fn state(&self) -> i32 {
        self.properties.state
    }

    #[zbus(property, name = "StateName")]
    fn state_name(&self) -> String {
        self.properties.state_name.clone()
    }

    #[zbus(property, name = "Status")]
    fn status(&self) -> i32 {
        self.properties.status
    }

    #[zbus(property, name = "StatusName")]
    fn status_name(&self) -> String {
        self.properties.status_name.clone()
    }

    #[zbus(property, name = "Message")]
    fn message(&self) -> String {
        self.properties.message.clone()
    }

    #[zbus(property, name = "License")]
    fn license(&self) -> String {
        self.properties.license.clone()
    }

    #[zbus(property, name = "Copyright")]
    fn copyright(&self) -> String {
        self.properties.copyright.clone()
    }

    #[zbus(property, name = "Manufacturer")]
    fn manufacturer(&self) -> String {
        self.properties.manufacturer.clone()
    }

    #[zbus(property, name = "Creator")]
    fn creator(&self) -> String {
        self.properties.creator.clone()
    }

    #[zbus(property, name = "CreationDate")]
    fn creation_date(&self) -> String {
        self.properties.creation_date.clone()
    }

    #[zbus(property, name = "ReleaseDate")]
    fn release_date(&self) -> String {
        self.properties.release_date.clone()
    }

    #[zbus(property, name = "ReleaseNotes")]
    fn release_notes(&self) -> String {
        self.properties.release_notes.clone()
    }
}

#[interface(name = "org.scomo1.Job", introspection_docs = false)]
impl Served<Job> {
    async fn cancel(&self, options: OptionMap, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        self.on_cancel(options, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Id")]
    fn id(&self) -> u64 {
        self.properties.id
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Primitive")]
    fn primitive(&self) -> String {
        self.properties.primitive.clone()
    }

    #[zbus(property(emits_changed_signal = "const"), name = "TargetKind")]
    fn target_kind(&self) -> String {
        self.properties.target_kind.clone()
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Target")]
    fn target(&self) -> String {
        self.properties.target.clone()
    }

    #[zbus(property(emits_changed_signal = "const"), name = "User")]
    fn user(&self) -> String {
        self.properties.user.clone()
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Uid")]
    fn uid(&self) -> u32 {
        self.properties.uid
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Started")]
    fn started(&self) -> u64 {
        self.properties.started
    }

    #[zbus(property, name = "Finished")]
    fn finished(&self) -> u64 {
        self.properties.finished
    }

    #[zbus(property, name = "Phase")]
    fn phase(&self) -> String {
        self.properties.phase.clone()
    }

    #[zbus(property, name = "Component")]
    fn component(&self) -> String {
        self.properties.component.clone()
    }

    #[zbus(property, name = "Attempt")]
    fn attempt(&self) -> u32 {
        self.properties.attempt
    }

    #[zbus(property, name = "RetryAt")]
    fn retry_at(&self) -> u64 {
        self.properties.retry_at
    }

    #[zbus(property, name = "Percent")]
    fn percent(&self) -> u32 {
        self.properties.percent
    }

    #[zbus(property, name = "BytesDone")]
    fn bytes_done(&self) -> u64 {
        self.properties.bytes_done
    }

    #[zbus(property, name = "BytesTotal")]
    fn bytes_total(&self) -> u64 {
        self.properties.bytes_total
    }

    #[zbus(property, name = "BytesReused")]
    fn bytes_reused(&self) -> u64 {
        self.properties.bytes_reused
    }

    #[zbus(property, name = "Message")]
    fn message(&self) -> String {
        self.properties.message.clone()
    }

    #[zbus(property, name = "RebootNeeded")]
    fn reboot_needed(&self) -> bool {
        self.properties.reboot_needed
    }

    #[zbus(property, name = "Result")]
    fn result(&self) -> String {
        self.properties.result.clone()
    }

    #[zbus(property, name = "FailureKind")]
    fn failure_kind(&self) -> String {
        self.properties.failure_kind.clone()
    }

    #[zbus(property, name = "ResultCode")]
    fn result_code(&self) -> u32 {
        self.properties.result_code
    }

    #[zbus(property, name = "Changed")]
    fn changed(&self) -> Vec<String> {
        self.properties.changed.clone()
    }
}
