//! On which terms a command is carried out: what its caller wishes, what the leaves of its package say, and what the
//! configuration adds. Pure.
//!
//! Every install passes the gates `Download` and `Install`, whatever the configuration: somebody may hold it back later.

use scomo_core::command::{Command, Gate, PackageLeaves, ReportTo, Terms, Then};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::RequestId;
use scomo_core::state::State;

use super::config::{PolicyConfig, RebootValue};
use super::params::Params;

/// What the caller of a method wishes beside the command itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The same id twice is carried out once.
    pub request: Option<RequestId>,
    /// Who is to be told of the end.
    pub report: Option<ReportTo>,
    /// A package that failed before may be tried again.
    pub retry_failed: bool,
    /// Maintenance windows do not count.
    pub ignore_window: bool,
}

/// The terms of a command in a state.
pub fn terms(config: &PolicyConfig, state: &State, wishes: Wishes, command: &Command) -> Terms {
    let by_person = wishes.report.is_none();
    let mut terms = Terms {
        request: wishes.request,
        report: wishes.report,
        retry_failed: wishes.retry_failed,
        ignore_window: wishes.ignore_window,
        ..Terms::default()
    };
    let Some(package) = Package::of(state, command) else { return terms };
    terms.refused = unsupported(config, package.env_type).err();
    if package.downloads {
        terms.gates.insert(Gate::Download);
    }
    if package.installs {
        terms.gates.insert(Gate::Install);
        terms.retry_failed |= by_person && config.retry_failed_by_people;
        if let Err(failure) = add_leaves(config, package.leaves, &mut terms) {
            terms.refused.get_or_insert(failure);
        }
    }
    terms
}

/// The package that a command is about.
struct Package<'a> {
    leaves: Option<&'a PackageLeaves>,
    /// SCOMO `EnvType`: what the package itself says stands above the leaf.
    env_type: &'a str,
    downloads: bool,
    installs: bool,
}

impl<'a> Package<'a> {
    fn of(state: &'a State, command: &Command) -> Option<Self> {
        match command {
            // One that is added by the way has no leaves.
            Command::FetchFrom { then, .. } => {
                Some(Self { leaves: None, env_type: "", downloads: true, installs: *then != Then::Stop })
            }
            Command::Fetch { id, then } => {
                let leaves = state.downloads.get(id).map(|package| &package.leaves)?;
                let installs = *then != Then::Stop;
                Some(Self { leaves: Some(leaves), env_type: &leaves.env_type, downloads: true, installs })
            }
            Command::Install { id } | Command::InstallInactive { id } => {
                let package = state.delivered.get(id)?;
                let own = package.content.as_ref().map(|content| content.info.env_type.as_str());
                let env_type = own.filter(|own| !own.is_empty()).unwrap_or(&package.leaves.env_type);
                Some(Self { leaves: Some(&package.leaves), env_type, downloads: false, installs: true })
            }
            _ => None,
        }
    }
}

/// Refuses an environment that is not supported. One that is not known is.
pub fn unsupported(config: &PolicyConfig, env_type: &str) -> Result<(), Failure> {
    if env_type.is_empty() || config.env_types.is_empty() || config.env_types.contains(env_type) {
        return Ok(());
    }
    let detail = format!(
        "the package is for the environment '{env_type}', which is not among 'env_types' of this device's policy"
    );
    Err(Failure::new(FailureKind::Unsupported, detail))
}

fn add_leaves(
    config: &PolicyConfig,
    leaves: Option<&PackageLeaves>,
    terms: &mut Terms,
) -> Result<(), Failure> {
    let Some(leaves) = leaves else { return Ok(()) };
    let refused = |detail| Failure::new(FailureKind::Forbidden, detail);
    let params = Params::read(&leaves.install_params).map_err(refused)?;
    terms.retry_failed |= params.retry_failed.unwrap_or_default();
    let reboot = match (params.reboot, leaves.reboot) {
        (Some(reboot), _) => reboot,
        (None, None) => RebootValue::None,
        (None, Some(value)) => *config.reboot_values.get(&value.to_string()).ok_or_else(|| {
            refused(format!("Reboot: the value {value} is not among 'reboot_values' of this device's policy"))
        })?,
    };
    if reboot.before() {
        terms.gates.insert(Gate::Boot);
    }
    terms.reboot_after = reboot.after();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scomo_core::id::PackageId;
    use scomo_core::state::Download;
    use scomo_core::status::DownloadStatus;

    fn id() -> PackageId {
        PackageId::new("p").unwrap()
    }

    fn config(text: &str) -> PolicyConfig {
        toml::from_str(text).unwrap()
    }

    /// The terms of a DownloadInstall of a package with these leaves.
    fn of(config: &PolicyConfig, leaves: PackageLeaves, wishes: Wishes) -> Terms {
        let mut state = State::default();
        let download =
            Download { source: "sim:p@1".to_owned(), leaves, status: DownloadStatus::Idle, transient: false };
        state.downloads.insert(id(), download);
        terms(config, &state, wishes, &Command::Fetch { id: id(), then: Then::Install })
    }

    #[test]
    fn only_what_downloads_or_installs_has_gates() {
        let fetch = |then| Command::FetchFrom { id: id(), source: "sim:p@1".to_owned(), then };
        let gates =
            |command| terms(&PolicyConfig::default(), &State::default(), Wishes::default(), &command).gates;
        assert_eq!(gates(fetch(Then::Install)), [Gate::Download, Gate::Install].into());
        assert_eq!(gates(fetch(Then::InstallInactive)), [Gate::Download, Gate::Install].into());
        assert_eq!(gates(fetch(Then::Stop)), [Gate::Download].into());
        assert_eq!(gates(Command::Rollback), [].into());
    }

    #[test]
    fn the_leaf_reboot_becomes_gates_by_the_configured_values() {
        let default = PolicyConfig::default();
        let of = |config: &PolicyConfig, reboot| {
            let terms = of(config, PackageLeaves { reboot, ..PackageLeaves::default() }, Wishes::default());
            (terms.gates.contains(&Gate::Boot), terms.reboot_after, terms.refused.is_some())
        };
        assert_eq!(of(&default, None), (false, false, false));
        assert_eq!(of(&default, Some(0)), (false, false, false));
        assert_eq!(of(&default, Some(1)), (true, false, false));
        assert_eq!(of(&default, Some(2)), (false, true, false));
        assert_eq!(of(&default, Some(3)), (true, true, false));
        assert_eq!(of(&default, Some(4)), (false, false, true));
        let other = config("reboot_values = { 7 = 'both' }");
        assert_eq!(of(&other, Some(7)), (true, true, false));
    }

    #[test]
    fn install_params_stand_above_the_leaf_reboot_and_must_be_known() {
        let leaves = |params: &str| PackageLeaves {
            install_params: params.to_owned(),
            reboot: Some(1),
            ..PackageLeaves::default()
        };
        let default = PolicyConfig::default();
        let good = of(&default, leaves("reboot=after;retry-failed=true"), Wishes::default());
        assert!(good.retry_failed && good.reboot_after && !good.gates.contains(&Gate::Boot));
        let bad = of(&default, leaves("colour=red"), Wishes::default()).refused.unwrap();
        assert_eq!(bad.kind, FailureKind::Forbidden);
        assert!(bad.detail.contains("'colour'"), "{}", bad.detail);
    }

    #[test]
    fn an_environment_that_is_not_listed_is_refused() {
        let leaves = |env_type: &str| PackageLeaves { env_type: env_type.to_owned(), ..Default::default() };
        let some = config("env_types = ['urn:a']");
        let refused = |config: &PolicyConfig, env_type: &str| {
            of(config, leaves(env_type), Wishes::default()).refused.map(|failure| failure.kind)
        };
        assert_eq!(refused(&some, "urn:b"), Some(FailureKind::Unsupported));
        assert_eq!(refused(&some, "urn:a"), None);
        assert_eq!(refused(&some, ""), None);
        assert_eq!(refused(&PolicyConfig::default(), "urn:b"), None);
    }

    #[test]
    fn people_may_retry_without_asking_when_the_configuration_says_so() {
        let some = config("retry_failed_by_people = true");
        let server = Wishes { report: Some(ReportTo::default()), ..Wishes::default() };
        assert!(of(&some, PackageLeaves::default(), Wishes::default()).retry_failed);
        assert!(!of(&some, PackageLeaves::default(), server.clone()).retry_failed);
        assert!(!of(&PolicyConfig::default(), PackageLeaves::default(), Wishes::default()).retry_failed);
        assert!(of(&some, PackageLeaves::default(), Wishes { retry_failed: true, ..server }).retry_failed);
    }
}
