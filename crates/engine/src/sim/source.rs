//! What a `sim:` source describes.
//!
//! `sim:<name>@<version>?<component>[=<flag>][&…]` is a package of that name with one component for each entry.
//! A component called `os`, or beginning with `os-`, is an OS, every other a container. Flags: `unhealthy` (its probe
//! fails), `corrupt` (its fetch fails), `huge` (a TiB). Without `?` there is one container called like the package.
//! The package called `missing` does not exist, and the one called `unsigned` is not trusted.

use scomo_core::failure::FailureKind;
use scomo_core::id::{ComponentId, Digest, ReleaseId};
use scomo_core::spec::{
    COMPONENTS_MAX, ComponentKind, ComponentSpec, Content, FilesSpec, Metadata, PackageInfo, Payload,
    Release, RunSpec,
};
use sha2::{Digest as _, Sha256};

use crate::backend::BackendError;

/// Installed bytes of a simulated release.
pub const SIZE: u64 = 1 << 20;
/// The environment variable that carries a component's flag.
pub const FLAG: &str = "SIM";

/// What a server would answer about `source`.
pub fn resolve(source: &str) -> Result<Content, BackendError> {
    let invalid =
        |what: &str| BackendError::new(FailureKind::Invalid, format!("the source '{source}' {what}"));
    let Some(rest) = source.strip_prefix("sim:") else {
        let what = format!("the simulated backend takes 'sim:' sources only, not '{source}'");
        return Err(BackendError::new(FailureKind::Unsupported, what));
    };
    let (package, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (name, version) =
        package.split_once('@').ok_or_else(|| invalid("has no version; write sim:name@1"))?;
    match name {
        "missing" => return Err(BackendError::new(FailureKind::NotFound, "the server has no such package")),
        "unsigned" => return Err(BackendError::new(FailureKind::Untrusted, "no trusted key signed it")),
        _ => {}
    }
    let entries: Vec<_> = if query.is_empty() { vec![name] } else { query.split('&').collect() };
    if entries.len() > COMPONENTS_MAX {
        return Err(invalid("names too many components"));
    }
    let releases = entries
        .iter()
        .map(|entry| release(source, version, entry))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| invalid("names a component that cannot be"))?;
    Ok(Content {
        digest: Digest::new(sha256(source)).map_err(|_| invalid("has no digest"))?,
        signed_by: "simulated".to_owned(),
        info: PackageInfo {
            id: name.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            ..PackageInfo::default()
        },
        releases,
    })
}

fn release(source: &str, version: &str, entry: &str) -> Result<Release, scomo_core::id::InvalidId> {
    let (id, flag) = entry.split_once('=').unwrap_or((entry, ""));
    let digest = sha256(&format!("{id}@{version}={flag}"));
    let is_os = id == "os" || id.starts_with("os-");
    let mut run = RunSpec::default();
    run.env.insert(FLAG.to_owned(), flag.to_owned());
    let payload = if is_os {
        let commit = digest.trim_start_matches("sha256:").to_owned();
        Payload::Ostree { url: "sim:".to_owned(), ref_name: "sim".to_owned(), commit }
    } else {
        Payload::Image { digest: Digest::new(digest.clone())?, size: 1 }
    };
    let spec = ComponentSpec {
        id: ComponentId::new(id)?,
        name: id.to_owned(),
        version: version.to_owned(),
        kind: if is_os { ComponentKind::Os } else { ComponentKind::Container },
        payload,
        requires: Vec::new(),
        description: String::new(),
        env_type: String::new(),
        metadata: Metadata::default(),
        run,
        files: FilesSpec::default(),
        health: None,
    };
    Ok(Release { id: ReleaseId::new(digest)?, spec, source: source.to_owned(), size: 0 })
}

/// The flag that a source gave a release.
pub(super) fn flag(release: &Release) -> &str {
    release.spec.run.env.get(FLAG).map_or("", String::as_str)
}

fn sha256(text: &str) -> String {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
