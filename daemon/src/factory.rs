//! Factory software: a package in the image of the device, installed when nothing was ever installed here.
//!
//! Not a way to update: once anything was installed, what the servers and the people say counts.

use scomo_core::command::{Caller, Command, Terms, Then};
use scomo_core::id::PackageId;
use scomo_core::spec::ComponentKind;
use scomo_core::state::State;

use crate::link::Link;

/// Name of the package while it is being installed.
const NAME: &str = "factory";

/// Starts the installation of `source` where it is wanted. A refusal is logged; the next start tries again.
pub async fn install(engine: &Link, source: &str) {
    if source.is_empty() || !is_wanted(&engine.view().state) {
        return;
    }
    let Ok(id) = PackageId::new(NAME) else { return };
    let caller = Caller { uid: 0, name: NAME.to_owned() };
    let terms = Terms { factory: true, ..Terms::default() };
    let command = Command::FetchFrom { id, source: source.to_owned(), then: Then::Install };
    match engine.submit(caller, terms, command).await {
        Ok(_) => tracing::info!(source, "installing what the device is made with"),
        Err(error) => tracing::error!(source, "cannot install what the device is made with: {error}"),
    }
}

/// Whether nothing was ever installed. The OS does not count: it is on the device before this program is.
fn is_wanted(state: &State) -> bool {
    let only_os = state.components.values().all(|c| c.release.spec.kind == ComponentKind::Os);
    only_os && state.job.is_none() && state.history.iter().all(|job| !job.code.is_success())
}
