//! What happens to the overlay when packages and components come and go: access control lists are copied to new nodes
//! (SCOMO 1.0 sections 8.2 and 8.3), and what was written below a node goes with it.

use super::acl::Acl;
use super::read::own_or_above;
use super::uri::{is_fixed, node_id, node_name, push_segment};
use crate::id::{ComponentId, PackageId};
use crate::state::{Change, Component, JobTarget, Primitive, State};

const DOWNLOAD: &str = "Download";
const DELIVERED: &str = "Inventory/Delivered";
const DEPLOYED: &str = "Inventory/Deployed";

fn path(branch: &str, id: &str) -> String {
    let mut path = branch.to_owned();
    push_segment(&mut path, &node_name(id));
    path
}

/// The node of a component.
pub(super) fn component_path(id: &ComponentId) -> String {
    path(DEPLOYED, id.as_str())
}

/// A package was downloaded: its node in the Delivered branch is new, even when it replaces a namesake.
pub(crate) fn delivered(state: &mut State, id: &PackageId, primitive: Primitive) {
    let new = path(DELIVERED, id.as_str());
    state.tree.remove(&new);
    copy(state, &path(DOWNLOAD, id.as_str()), primitive, &new, &["Install", "InstallInactive", "Remove"]);
}

/// Components were deployed, by a job that was begun on `target`.
pub(crate) fn deployed(state: &mut State, target: &JobTarget, primitive: Primitive, changes: &[Change]) {
    for change in changes.iter().filter(|change| change.after.is_some()) {
        let new = component_path(&change.id);
        let release = |component: &Option<Component>| component.as_ref().map(|c| c.release.id.clone());
        if release(&change.before) != release(&change.after) {
            // What a server said of the next version is history.
            state.tree.remove(&format!("{new}/AvailableVersion"));
        }
        if let (None, JobTarget::Package(package)) = (&change.before, target) {
            let branch = if primitive.downloads() { DOWNLOAD } else { DELIVERED };
            let operations = ["Activate", "Deactivate", "Remove", "Blacklist", "Whitelist"];
            copy(state, &path(branch, package.as_str()), primitive, &new, &operations);
        }
    }
}

/// Adds the rights on the old node to those that the new one inherits, and the rights on the invoked primitive to
/// those of every primitive of the new one.
fn copy(state: &mut State, old: &str, primitive: Primitive, new: &str, operations: &[&str]) {
    if state.tree.is_empty() {
        return;
    }
    let own = |state: &State, path: &str| {
        let acl = state.tree.marks(path).map(|marks| marks.acl.clone());
        acl.filter(|acl| !acl.is_empty())
    };
    let added = |state: &State, path: &str, acl: &Acl| {
        own_or_above(state, path).cloned().unwrap_or_else(Acl::of_root).with(acl)
    };
    if let Some(acl) = own(state, old) {
        let acl = added(state, new, &acl);
        state.tree.widen(new, &acl);
    }
    if let Some(acl) = own(state, &format!("{old}/Operations/{}", primitive.as_str())) {
        for operation in operations {
            let path = format!("{new}/Operations/{operation}");
            let acl = added(state, &path, &acl);
            state.tree.widen(&path, &acl);
        }
    }
}

/// Forgets what was written below packages and components that are gone.
pub(crate) fn prune(state: &mut State) {
    if state.tree.is_empty() {
        return;
    }
    let State { tree, downloads, delivered, components, .. } = state;
    let package = |name: &str| PackageId::new(node_id(name)).ok();
    tree.retain_instances(DOWNLOAD, &|name| {
        is_fixed(name) || package(name).is_some_and(|id| downloads.contains_key(&id))
    });
    tree.retain_instances(DELIVERED, &|name| {
        is_fixed(name) || package(name).is_some_and(|id| delivered.contains_key(&id))
    });
    tree.retain_instances(DEPLOYED, &|name| {
        is_fixed(name) || ComponentId::new(node_id(name)).is_ok_and(|id| components.contains_key(&id))
    });
}
