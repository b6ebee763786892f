//! Properties that can be changed: the access control list, the title, and the name of nodes made at run time.

use super::{Step, not_allowed};
use crate::command::Rejection;
use crate::id::PackageId;
use crate::state::JobTarget;
use crate::tree::acl::Acl;
use crate::tree::error::TreeError;
use crate::tree::nodes::{Access, PLACEHOLDER};
use crate::tree::overlay::{TITLE_BYTES_MAX, Write};
use crate::tree::place::{Instance, Place};
use crate::tree::read::Tree;
use crate::tree::uri::{Property, Query, Uri, check_name, node_id};

pub(super) fn set(
    tree: &Tree<'_>,
    uri: &Uri,
    property: Property,
    value: &str,
) -> Result<Vec<Step>, TreeError> {
    let (place, path) = tree.find(uri)?;
    match property {
        Property::Acl => set_acl(tree, uri, &place, path, value),
        Property::Title => {
            tree.permit(&tree.in_force(&path), Access::REPLACE, "Replace", uri)?;
            if value.len() > TITLE_BYTES_MAX {
                return Err(TreeError::TooLarge { what: "a title", max: TITLE_BYTES_MAX });
            }
            if value.chars().any(char::is_control) {
                let expected = "a title without control characters";
                return Err(TreeError::Format { uri: tree.full(&path), expected });
            }
            Ok(vec![Step::Write(vec![Write::Title { path, title: value.to_owned() }])])
        }
        Property::Name => rename(tree, uri, &place, path, value),
        Property::Format | Property::Size | Property::TStamp | Property::Type | Property::VerNo => {
            Err(not_allowed(tree, uri, "Replace", "the device keeps this property itself"))
        }
    }
}

/// Whoever may replace the parent may change the list; of an interior node also whoever may replace the node.
fn set_acl(
    tree: &Tree<'_>,
    uri: &Uri,
    place: &Place<'_>,
    path: String,
    value: &str,
) -> Result<Vec<Step>, TreeError> {
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    let own = place.is_interior() && tree.in_force(&path).permits(tree.subject, Access::REPLACE);
    if !own {
        tree.permit(&tree.in_force(above), Access::REPLACE, "Replace", uri)?;
    }
    let acl: Acl = value.parse()?;
    Ok(vec![Step::Write(vec![Write::Acl { path, acl }])])
}

fn rename(
    tree: &Tree<'_>,
    uri: &Uri,
    place: &Place<'_>,
    path: String,
    name: &str,
) -> Result<Vec<Step>, TreeError> {
    let state = tree.world.state;
    tree.permit(&tree.in_force(&path), Access::REPLACE, "Replace", uri)?;
    check_name(name)?;
    let mut segments = uri.segments.clone();
    if let Some(last) = segments.last_mut() {
        name.clone_into(last);
    }
    let to = Uri { segments, query: Query::Value };
    if tree.world.find(&to.segments).is_some() {
        return Err(TreeError::Exists(tree.full(&to.path())));
    }
    let moved = Write::Move { from: path.clone(), to: to.path() };
    match place.instance {
        Instance::Download(id, _) if place.leaf().is_empty() => {
            if let Some(job) = state.job.as_ref().filter(|job| job.target == JobTarget::Package(id.clone())) {
                let busy = Rejection::Busy { job: job.id, primitive: job.primitive.as_str() };
                return Err(TreeError::Refused(Box::new(busy)));
            }
            let new =
                PackageId::new(node_id(name)).map_err(|_| TreeError::NotFound(tree.full(&to.path())))?;
            Ok(vec![Step::Write(vec![Write::RenameDownload { from: id.clone(), to: new }, moved])])
        }
        _ if place.stored.is_some()
            || (place.branch.name == PLACEHOLDER && state.tree.node(&path).is_some()) =>
        {
            // Below a fixed node another name could be that of a fixed node.
            Ok(vec![Step::Write(vec![moved])])
        }
        _ => Err(not_allowed(tree, uri, "Replace", "the name of this node is the device's")),
    }
}
