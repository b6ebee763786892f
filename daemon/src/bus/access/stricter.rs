//! What makes a command need more than its verb's action: an older version, an OS that goes, a package that nobody
//! has to sign, a maintenance window that does not count. Pure.
//!
//! Only what is known when the command is given counts. The versions in a package that nobody looked into yet are not;
//! see [`is_unseen`].

use scomo_core::command::{Command, Terms, Then};
use scomo_core::spec::ComponentKind;
use scomo_core::state::State;
use serde_json::Value;

use super::action::Action;

/// Which stricter actions the command needs besides its own.
pub fn actions(state: &State, unsigned: &Unsigned, terms: &Terms, command: &Command) -> Vec<Action> {
    let untrusted = source_of(state, command).is_some_and(|source| unsigned.covers(source));
    let needed = [
        (Action::Downgrade, downgrades(state, command)),
        (Action::RemoveOs, removes_os(state, command)),
        (Action::UntrustedSource, untrusted),
        (Action::Approve, terms.ignore_window),
    ];
    needed.into_iter().filter(|(_, needed)| *needed).map(|(action, _)| action).collect()
}

/// Where the package comes from that the command fetches or installs.
fn source_of<'a>(state: &'a State, command: &'a Command) -> Option<&'a str> {
    match command {
        Command::FetchFrom { source, .. } => Some(source),
        Command::Fetch { id, .. } => state.downloads.get(id).map(|d| d.source.as_str()),
        Command::Install { id } | Command::InstallInactive { id } => {
            state.delivered.get(id).map(|d| d.source.as_str())
        }
        Command::AddDownload { .. }
        | Command::SetDownload { .. }
        | Command::DeleteDownload { .. }
        | Command::AddDelivered { .. }
        | Command::SetDelivered { .. }
        | Command::SetData { .. }
        | Command::Permit { .. }
        | Command::Refuse { .. }
        | Command::AcknowledgeReport { .. }
        | Command::RemovePackage { .. }
        | Command::Activate { .. }
        | Command::Deactivate { .. }
        | Command::RemoveComponent { .. }
        | Command::Rollback
        | Command::Cancel { .. }
        | Command::ConfirmBoot
        | Command::Tree { .. }
        | Command::CollectGarbage => None,
    }
}

fn removes_os(state: &State, command: &Command) -> bool {
    let Command::RemoveComponent { id } = command else { return false };
    state.components.get(id).is_some_and(|component| component.release.spec.kind == ComponentKind::Os)
}

/// Whether the command installs a package of which nobody knows yet what it holds, so that an older version in it shows
/// only later.
pub fn is_unseen(state: &State, command: &Command) -> bool {
    match command {
        Command::Fetch { then, .. } | Command::FetchFrom { then, .. } => *then != Then::Stop,
        Command::Install { id } | Command::InstallInactive { id } => {
            state.delivered.get(id).is_some_and(|package| package.content.is_none())
        }
        _ => false,
    }
}

fn downgrades(state: &State, command: &Command) -> bool {
    let (Command::Install { id } | Command::InstallInactive { id }) = command else { return false };
    let content = state.delivered.get(id).and_then(|package| package.content.as_ref());
    content.is_some_and(|content| content.releases.iter().any(|release| state.is_downgrade(release)))
}

/// The sources of which the configuration of the workers takes packages that nobody signed.
///
/// Wider than what the workers go by, so that no way of writing a source slips through: of registries the beginning
/// counts, without regard to case and borders; of everything else the scheme.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unsigned(Vec<String>);

impl Unsigned {
    /// Reads the sections `package` and `os`.
    pub fn of(workers: &Value) -> Self {
        let policies = workers.pointer("/package/policies").and_then(Value::as_array);
        let policies = policies.into_iter().flatten();
        let unsigned = |policy: &&Value| {
            policy.get("signature").and_then(Value::as_str) == Some("insecure-accept-unsigned")
        };
        let source = |policy: &Value| scope(policy.get("source").and_then(Value::as_str).unwrap_or_default());
        let mut scopes: Vec<String> = policies.filter(unsigned).map(source).collect();
        let remotes = workers.pointer("/os/remotes").and_then(Value::as_object);
        let unsigned = |remote: &Value| {
            ["insecure_accept_unsigned", "insecure-accept-unsigned"]
                .iter()
                .any(|key| remote.get(key) == Some(&Value::Bool(true)))
        };
        if remotes.is_some_and(|remotes| remotes.values().any(unsigned)) {
            scopes.push("ostree".to_owned());
        }
        Self(scopes)
    }

    fn covers(&self, source: &str) -> bool {
        let source = scope(source);
        self.0.iter().any(|scope| source.starts_with(scope.as_str()))
    }
}

/// What of a source, or of a policy's prefix, is compared.
fn scope(source: &str) -> String {
    let lower = source.to_ascii_lowercase();
    if lower.starts_with("docker:") || lower.is_empty() {
        return lower;
    }
    // A path to an archive stands for a file: URL.
    let path = lower.starts_with('/');
    let scheme = lower.split([':', '+']).next().unwrap_or_default();
    if path { "file".to_owned() } else { scheme.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Device, release};
    use scomo_core::effect::EffectOk;
    use scomo_core::id::{ComponentId, PackageId};
    use scomo_core::pending::Task;
    use serde_json::json;

    #[test]
    fn an_older_version_and_an_os_that_goes_need_more() {
        let mut device = Device::default();
        device.installed(release("app", ComponentKind::Container, "1.9"));
        let id = PackageId::new("p").unwrap();
        let install = Command::Install { id: id.clone() };
        let needs = |device: &Device, command: &Command| {
            super::actions(&device.state, &Unsigned::default(), &Terms::default(), command)
        };
        let ignoring = Terms { ignore_window: true, ..Terms::default() };
        let more = super::actions(&device.state, &Unsigned::default(), &ignoring, &install);
        assert_eq!(more, [Action::Approve], "a window does not count");
        assert_eq!(needs(&device, &install), [], "the same version");
        device.installed(release("app", ComponentKind::Container, "1.10"));
        assert_eq!(needs(&device, &install), []);
        let old = release("app", ComponentKind::Container, "1.9");
        let package = device.state.delivered.get_mut(&id).unwrap();
        package.content.as_mut().unwrap().releases = vec![old];
        assert_eq!(needs(&device, &install), [Action::Downgrade]);
        assert_eq!(needs(&device, &Command::InstallInactive { id }), [Action::Downgrade]);
        let remove = |id: &str| Command::RemoveComponent { id: ComponentId::new(id).unwrap() };
        assert_eq!(needs(&device, &remove("app")), []);
        device.started("b0", ComponentKind::Os, &[]);
        device.staged(vec![release("os", ComponentKind::Os, "1")]);
        device.ok(Task::Switch(0), EffectOk::Switched { reboot_needed: false });
        device.ok(Task::Probe(0), EffectOk::Healthy);
        device.ok(Task::Confirm(0), EffectOk::Confirmed);
        assert_eq!(needs(&device, &remove("os")), [Action::RemoveOs]);
    }

    #[test]
    fn no_way_of_writing_an_unsigned_source_slips_through() {
        let policy = |source: &str, signature: &str| json!({"source": source, "signature": signature});
        let workers = |policies: Value, remotes: Value| json!({"package": {"policies": policies}, "os": {"remotes": remotes}});
        let some = Unsigned::of(&workers(
            json!([
                policy("docker://r.example:5000/beta", "insecure-accept-unsigned"),
                policy("docker://r.example/app", "require"),
                {"source": "docker://s.example/"},
                policy("oci:/usr/share/scomo/", "insecure-accept-unsigned"),
                policy("file:/srv", "insecure-accept-unsigned"),
            ]),
            json!({"https://o.example": {"insecure-accept-unsigned": true}, "https://p.example": {}}),
        ));
        for source in [
            "docker://r.example:5000/beta:1",
            "docker://R.EXAMPLE:5000/beta",
            "docker://r.example:5000/beta/x@sha256:00",
            "oci:/usr//share/./scomo/x",
            "file:///srv/x.scomo",
            "/srv/x.scomo",
            "ostree+https://o.example/repo?ref=x",
        ] {
            assert!(some.covers(source), "{source}");
        }
        for source in ["docker://r.example/app:1", "docker://s.example/x", "sim:app@1"] {
            assert!(!some.covers(source), "{source}");
        }
        let all = Unsigned::of(&workers(json!([policy("", "insecure-accept-unsigned")]), json!({})));
        assert!(all.covers("docker://r.example/app:1") && all.covers("oci:/x"));
        let none = Unsigned::of(&json!({"package": {}, "os": {}}));
        assert_eq!(none, Unsigned::default());
        assert!(!none.covers("docker://r.example/app:1") && !none.covers(""));
    }
}
