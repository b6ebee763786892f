//! Edits of the SCOMO tree: each is planned on what the ones before it left, and all are made or none is.

use super::{Draft, commands};
use crate::command::{Caller, Rejection, Terms};
use crate::fact::Fact;
use crate::tree::edit::{EDITS_MAX, Edit, Step, What, missing_parents, plan};
use crate::tree::overlay::Write;
use crate::tree::{Settings, Subject, Tree, TreeError};

pub(super) fn decide(
    draft: &mut Draft,
    caller: &Caller,
    terms: &Terms,
    (settings, subject): (&Settings, &Subject),
    edits: &[Edit],
) -> Result<(), Rejection> {
    if edits.len() > EDITS_MAX {
        return Err(Rejection::Limit { what: "edits made as one", max: EDITS_MAX });
    }
    for (index, edit) in edits.iter().enumerate() {
        let failed = |error| Rejection::Tree { index, error: Box::new(error) };
        if edits.len() > 1 && matches!(edit.what, What::Exec { .. }) {
            return Err(failed(TreeError::ExecInBatch));
        }
        let parents = missing_parents(&Tree::new(&draft.state, settings, subject), edit).map_err(failed)?;
        for edit in parents.iter().chain([edit]) {
            make(draft, caller, terms, settings, subject, edit).map_err(failed)?;
        }
    }
    Ok(())
}

fn make(
    draft: &mut Draft,
    caller: &Caller,
    terms: &Terms,
    settings: &Settings,
    subject: &Subject,
    edit: &Edit,
) -> Result<(), TreeError> {
    for step in plan(&Tree::new(&draft.state, settings, subject), edit)? {
        match step {
            Step::Command(command, report) => {
                let terms = Terms { report: report.or_else(|| terms.report.clone()), ..terms.clone() };
                commands::decide(draft, caller, &terms, &command)
                    .map_err(|rejection| TreeError::Refused(Box::new(rejection)))?;
            }
            Step::Write(writes) => write(draft, subject, writes)?,
        }
    }
    Ok(())
}

fn write(draft: &mut Draft, subject: &Subject, writes: Vec<Write>) -> Result<(), TreeError> {
    if writes.is_empty() {
        return Ok(());
    }
    let by = match subject {
        Subject::Local => String::new(),
        Subject::Server(server) => server.clone(),
    };
    let grows = writes.iter().any(|write| !matches!(write, Write::Remove { .. }));
    draft.emit(Fact::TreeWritten { at: draft.now, by, writes });
    // Deleting is possible even when the tree is full.
    if grows { Ok(draft.state.tree.check()?) } else { Ok(()) }
}
