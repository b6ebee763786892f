//! The leaves whose values the engine knows: what a package, a component and the device say of themselves.
//!
//! Each function gets the path of a leaf below its instance. None: there is no such leaf on this instance, or the
//! engine has nothing for it.

use super::settings::Settings;
use super::value::Value;
use super::{lists, stamp};
use crate::command::PackageLeaves;
use crate::id::{ComponentId, PackageId};
use crate::spec::{ComponentKind, Metadata, PackageInfo, Payload};
use crate::state::{Component, Delivered, Download, State};
use crate::status::ComponentState;

/// What is left of `size` when it must be an `int` of 32 bits.
fn int_size(size: u64) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

/// The leaves that a package has in both branches.
fn package<'a>(leaf: &str, id: &'a PackageId, leaves: &'a PackageLeaves) -> Option<Value<'a>> {
    match leaf {
        "PkgID" => Some(Value::Text(leaves.pkg_id(id).into())),
        "Name" => Value::filled(&leaves.name),
        "InstallParams" => Value::filled(&leaves.install_params),
        "Description" => Value::filled(&leaves.description),
        "EnvType" => Value::filled(&leaves.env_type),
        "PkgType" => Value::filled(&leaves.pkg_type),
        _ => None,
    }
}

/// Below `Download/<X>`.
pub(super) fn download<'a>(leaf: &str, id: &'a PackageId, package: &'a Download) -> Option<Value<'a>> {
    match leaf {
        "PkgURL" => Some(Value::Text(package.source.as_str().into())),
        "Reboot" => package.leaves.reboot.map(Value::Int),
        "Status" => Some(Value::Int(package.status.value())),
        "Operations/Download" | "Operations/DownloadInstall" | "Operations/DownloadInstallInactive" => {
            Some(Value::Null)
        }
        leaf => self::package(leaf, id, &package.leaves),
    }
}

/// Below `Inventory/Delivered/<X>`. What whoever added the package says stands above what the package says itself:
/// the values must be those of the Download branch (SCOMO 1.0 section 7.4).
pub(super) fn delivered<'a>(leaf: &str, id: &'a PackageId, package: &'a Delivered) -> Option<Value<'a>> {
    let info = package.content.as_ref().map(|content| &content.info);
    let said = |text: fn(&PackageInfo) -> &String| info.and_then(|info| Value::filled(text(info)));
    match leaf {
        "Data" | "Operations/Install" | "Operations/InstallInactive" | "Operations/Remove" => {
            Some(Value::Null)
        }
        "Status" => Some(Value::Int(package.status.value())),
        "State" => Some(Value::Int(package.state.value())),
        leaf => self::package(leaf, id, &package.leaves).or_else(|| match leaf {
            "Name" => said(|info| &info.name),
            "Description" => said(|info| &info.description),
            "EnvType" => said(|info| &info.env_type),
            leaf => metadata(leaf.strip_prefix("MetaData/")?, &info?.metadata),
        }),
    }
}

/// Below `Inventory/Deployed/<X>`.
pub(super) fn deployed<'a>(leaf: &str, id: &'a ComponentId, component: &'a Component) -> Option<Value<'a>> {
    let spec = &component.release.spec;
    if let Some(operation) = leaf.strip_prefix("Operations/") {
        return supports(component, operation).then_some(Value::Null);
    }
    match leaf {
        "ID" => Some(Value::Text(id.as_str().into())),
        "PkgIDRef" => Some(Value::Text(pkg_id_ref(component).into())),
        "Name" => Value::filled(&spec.name),
        "Description" => Value::filled(&spec.description),
        "Version" => Some(Value::Text(spec.version.as_str().into())),
        "AvailableVersion" => Some(Value::Text("".into())),
        "State" => Some(Value::Int(component.state.value())),
        "Status" => Some(Value::Int(component.status.value())),
        "Size" => Some(Value::Int(int_size(component.release.size))),
        "InstalledLocation" => Some(Value::Text(location(component).into())),
        "EnvType" => Value::filled(&spec.env_type),
        "ComponentType" => Some(Value::Text(component_type(spec.kind).into())),
        "MetaData/LastUpdated" if spec.metadata.last_updated.is_empty() => {
            Some(Value::Text(stamp::stamp(component.since).into()))
        }
        leaf => metadata(leaf.strip_prefix("MetaData/")?, &spec.metadata),
    }
}

/// `PkgIDRef`: empty when the component came by other means.
fn pkg_id_ref(component: &Component) -> &str {
    let package = component.package.as_ref().map_or("", PackageId::as_str);
    if component.pkg_id.is_empty() { package } else { &component.pkg_id }
}

/// Whether a primitive can ever succeed on this instance: the active OS can only be replaced.
fn supports(component: &Component, operation: &str) -> bool {
    let os = component.release.spec.kind == ComponentKind::Os;
    let active = component.state == ComponentState::Active;
    match operation {
        "Deactivate" | "Remove" => !(os && active),
        "Activate" | "Blacklist" | "Whitelist" => true,
        _ => false,
    }
}

/// Where the device keeps a component: the name of its content in the store of its kind.
fn location(component: &Component) -> String {
    let spec = &component.release.spec;
    match &spec.payload {
        Payload::Ostree { commit, .. } => format!("{}:{commit}", spec.kind.as_str()),
        Payload::Image { digest, .. } => format!("{}:{digest}", spec.kind.as_str()),
    }
}

/// MIME type of what a component of this kind is made of.
fn component_type(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Os => "application/vnd.scomo.ostree-commit",
        ComponentKind::Container => "application/vnd.oci.image.manifest.v1+json",
        ComponentKind::Files => "application/vnd.scomo.files",
    }
}

fn metadata<'a>(leaf: &str, metadata: &'a Metadata) -> Option<Value<'a>> {
    let text = match leaf {
        "License" => &metadata.license,
        "Copyright" => &metadata.copyright,
        "ValidityPeriod" => &metadata.validity_period,
        "LicensedUserName" => &metadata.licensed_user_name,
        "Manufacturer" => &metadata.manufacturer,
        "Creator" => &metadata.creator,
        "CreationDate" => &metadata.creation_date,
        "ReleaseDate" => &metadata.release_date,
        "LastUpdated" => &metadata.last_updated,
        "ComponentOwner" => &metadata.component_owner,
        "ReleaseNotes" => &metadata.release_notes,
        "ManagementScope" => return metadata.management_scope.map(Value::Int),
        _ => return None,
    };
    Value::filled(text)
}

/// Leaves that belong to no instance, by their whole path.
pub(super) fn device(path: &str, state: &State, settings: &Settings) -> Option<Value<'static>> {
    let list = |branch| Some(Value::Text(lists::names(&state.tree, branch, settings.list_separator).into()));
    match path {
        "Inventory/Blacklisted" => list(lists::BLACKLIST),
        "Inventory/Whitelisted" => list(lists::WHITELIST),
        _ => None,
    }
}
