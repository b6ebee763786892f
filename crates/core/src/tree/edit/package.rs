//! Leaves of packages: an edit of one is a command that sets them all.

use super::Step;
use crate::command::{Command, PackageLeaves};
use crate::id::PackageId;
use crate::state::State;
use crate::tree::place::{Instance, Place};
use crate::tree::value::Value;

/// The command that gives a leaf of a package a value, or none. No command: the engine does not know such a leaf.
pub(super) fn set(place: &Place<'_>, value: Option<&Value<'_>>) -> Vec<Step> {
    let command = match place.instance {
        Instance::Download(id, package) => {
            let (mut leaves, mut source) = (package.leaves.clone(), package.source.clone());
            let known = match place.leaf() {
                "PkgURL" => {
                    source = value.map(|value| value.to_text().into_owned()).unwrap_or_default();
                    true
                }
                leaf => set_leaf(&mut leaves, id, leaf, value),
            };
            known.then(|| Command::SetDownload { id: id.clone(), source, leaves })
        }
        Instance::Delivered(id, package) => {
            let mut leaves = package.leaves.clone();
            let known = set_leaf(&mut leaves, id, place.leaf(), value);
            known.then(|| Command::SetDelivered { id: id.clone(), leaves })
        }
        Instance::Device | Instance::Deployed(..) | Instance::Icon(_) => None,
    };
    command.into_iter().map(Step::command).collect()
}

fn set_leaf(leaves: &mut PackageLeaves, id: &PackageId, leaf: &str, value: Option<&Value<'_>>) -> bool {
    let text = value.map(|value| value.to_text().into_owned()).unwrap_or_default();
    match leaf {
        "PkgID" => leaves.pkg_id = if text == id.as_str() { String::new() } else { text },
        "Name" => leaves.name = text,
        "InstallParams" => leaves.install_params = text,
        "Description" => leaves.description = text,
        "EnvType" => leaves.env_type = text,
        "PkgType" => leaves.pkg_type = text,
        "Reboot" => {
            leaves.reboot = match value {
                Some(Value::Int(number)) => Some(*number),
                _ => None,
            }
        }
        _ => return false,
    }
    true
}

/// Whether another package has that `PkgID`.
pub(super) fn pkg_id_taken(state: &State, id: &PackageId, pkg_id: &str) -> bool {
    let downloads = state.downloads.iter().map(|(other, package)| (other, &package.leaves));
    let delivered = state.delivered.iter().map(|(other, package)| (other, &package.leaves));
    downloads.chain(delivered).any(|(other, leaves)| other != id && leaves.pkg_id(other) == pkg_id)
}
