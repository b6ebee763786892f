//! Exec: the primitives below `Operations`.

use super::{Step, not_allowed};
use crate::command::{Command, ReportTo, Then};
use crate::tree::acl::Subject;
use crate::tree::error::TreeError;
use crate::tree::lists;
use crate::tree::nodes::Access;
use crate::tree::place::Instance;
use crate::tree::read::Tree;
use crate::tree::uri::Uri;

/// Longest correlator in bytes: it is kept until the report arrived.
const CORRELATOR_BYTES_MAX: usize = 255;

pub(super) fn exec(tree: &Tree<'_>, uri: &Uri, correlator: &str) -> Result<Vec<Step>, TreeError> {
    if correlator.len() > CORRELATOR_BYTES_MAX {
        return Err(TreeError::TooLarge { what: "a correlator", max: CORRELATOR_BYTES_MAX });
    }
    let (place, path) = tree.open(uri, Access::EXEC, "Exec")?;
    let command = match (place.instance, place.branch.name) {
        (Instance::Download(id, _), operation) => {
            let then = match operation {
                "DownloadInstall" => Then::Install,
                "DownloadInstallInactive" => Then::InstallInactive,
                _ => Then::Stop,
            };
            Command::Fetch { id: id.clone(), then }
        }
        (Instance::Delivered(id, _), "Install") => Command::Install { id: id.clone() },
        (Instance::Delivered(id, _), "InstallInactive") => Command::InstallInactive { id: id.clone() },
        (Instance::Delivered(id, _), _) => Command::RemovePackage { id: id.clone() },
        (Instance::Deployed(id, _), "Activate") => Command::Activate { id: id.clone() },
        (Instance::Deployed(id, _), "Deactivate") => Command::Deactivate { id: id.clone() },
        (Instance::Deployed(id, _), "Remove") => Command::RemoveComponent { id: id.clone() },
        (Instance::Deployed(id, component), "Blacklist") => {
            return Ok(vec![Step::Write(lists::blacklist(&tree.world.state.tree, id, component))]);
        }
        (Instance::Deployed(id, component), "Whitelist") => {
            return Ok(vec![Step::Write(lists::whitelist(&tree.world.state.tree, id, component))]);
        }
        _ => return Err(not_allowed(tree, uri, "Exec", "only primitives can be executed")),
    };
    let report = match tree.subject {
        Subject::Local => None,
        Subject::Server(server) => {
            Some(ReportTo { to: server.clone(), uri: tree.full(&path), correlator: correlator.to_owned() })
        }
    };
    Ok(vec![Step::Command(Box::new(command), report)])
}
