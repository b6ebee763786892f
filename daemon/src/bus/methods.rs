//! What the methods do: check the caller, read the options, make one command, hand it to the engine.
//!
//! Every method ends before the work does; long work is a job.

use std::os::fd::OwnedFd as StdFd;

use scomo_core::command::{Command, PackageLeaves, Terms, Then};
use scomo_core::id::{ComponentId, InvalidId, JobId, PackageId};
use scomo_dbus::{
    DeliveryPackage, DeploymentComponent, Download, Error, Job, Manager, OptionMap, OptionReader,
    Properties as _, PropertyMap, path,
};
use zbus::message::Header;
use zbus::{OwnedFd, OwnedObjectPath, OwnedVariant, Variant};

use super::{Door, Served, wishes};
use crate::policy::Wishes;
use crate::view::ended_job;

/// Lines of output without the option `lines`.
const LOG_LINES_DEFAULT: u32 = 100;
/// Most lines of output in one answer: it must fit into one message.
const LOG_LINES_MAX: u32 = 10_000;
/// Entries of the history without the option `limit`.
const HISTORY_DEFAULT: u32 = 50;

pub(super) type Answer<T> = Result<T, Error>;

pub(super) fn invalid(what: &str) -> impl Fn(InvalidId) -> Error + '_ {
    move |error| Error::InvalidArgument(format!("{what}: {error}"))
}

fn package_id(text: &str) -> Answer<PackageId> {
    PackageId::new(text).map_err(invalid("the PkgID"))
}

fn component_id(text: &str) -> Answer<ComponentId> {
    ComponentId::new(text).map_err(invalid("the component id"))
}

/// The options of a method that knows none.
pub(super) fn no_options(options: &OptionMap) -> Answer<()> {
    OptionReader::new(options).finish()
}

fn leaves(options: &OptionMap) -> Answer<PackageLeaves> {
    let mut reader = OptionReader::new(options);
    let mut text = |name| reader.get::<String>(name).map(Option::unwrap_or_default);
    let leaves = PackageLeaves {
        name: text("name")?,
        description: text("description")?,
        env_type: text("env-type")?,
        pkg_type: text("pkg-type")?,
        install_params: text("install-params")?,
        reboot: reader.get("reboot")?,
        ..PackageLeaves::default()
    };
    reader.finish()?;
    Ok(leaves)
}

/// A PkgID for a source that came without one: its last part without tag, digest, query and file suffix.
fn id_of_source(source: &str) -> Answer<PackageId> {
    let end = source.find(['?', '@']).unwrap_or(source.len());
    let plain = source.get(..end).unwrap_or(source).trim_end_matches('/');
    let last = plain.rsplit('/').next().unwrap_or(plain);
    let last = last.strip_suffix(".scomo").unwrap_or(last);
    // What follows a colon is a tag, but what precedes it may be a scheme.
    let name = match last.split_once(':') {
        Some((scheme, name)) if last.len() == plain.len() => {
            if name.is_empty() {
                scheme
            } else {
                name
            }
        }
        Some((name, _tag)) => name,
        None => last,
    };
    let hint = "no PkgID can be made from the source; choose one with option 'pkg-id'";
    PackageId::new(name).map_err(|_| Error::InvalidArgument(hint.to_owned()))
}

impl Door {
    /// Submits a command that starts a job.
    pub(super) async fn start(
        &self,
        header: &Header<'_>,
        wishes: Wishes,
        command: Command,
    ) -> Answer<OwnedObjectPath> {
        let view = self.view();
        let mut terms = self.policy.terms(&view.state, wishes, &command);
        let caller = self.access.may_give(header, &terms, &command, &view.state).await?;
        terms.no_downgrade = !self.access.may_downgrade(header, &command, &view.state).await?;
        let job = self.submit(caller, terms, command).await?;
        job.map(|JobId(id)| path::job(id))
            .ok_or_else(|| Error::Failed("the engine started no job".to_owned()))
    }

    /// Submits a command that is done when it is accepted.
    pub(super) async fn change(&self, header: &Header<'_>, command: Command) -> Answer<()> {
        let terms = Terms::default();
        let caller = self.access.may_give(header, &terms, &command, &self.view().state).await?;
        self.submit(caller, terms, command).await?;
        Ok(())
    }
}

impl Served<Manager> {
    pub(super) async fn on_add_download(
        &self,
        pkg_id: String,
        url: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        let leaves = leaves(&options)?;
        let id = if pkg_id.is_empty() { id_of_source(&url)? } else { package_id(&pkg_id)? };
        let path = path::download(id.as_str());
        self.door.change(header, Command::AddDownload { id, source: url, leaves }).await?;
        Ok(path)
    }

    pub(super) async fn on_deliver(
        &self,
        pkg_id: String,
        data: OwnedFd,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        let leaves = leaves(&options)?;
        let id = package_id(&pkg_id)?;
        let path = path::delivered(id.as_str());
        let caller = self.door.access.may_call(header).await?;
        self.door.deliver(caller, id, StdFd::from(data), leaves).await?;
        Ok(path)
    }

    pub(super) async fn on_install(
        &self,
        source: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        let mut reader = OptionReader::new(&options);
        let wishes = wishes::of_install(&mut reader)?;
        let pkg_id: Option<String> = reader.get("pkg-id")?;
        let inactive = reader.get::<bool>("inactive")?.unwrap_or_default();
        let download_only = reader.get::<bool>("download-only")?.unwrap_or_default();
        reader.finish()?;
        let id = pkg_id.map_or_else(|| id_of_source(&source), |id| package_id(&id))?;
        let then = match (inactive, download_only) {
            (false, false) => Then::Install,
            (true, false) => Then::InstallInactive,
            (false, true) => Then::Stop,
            (true, true) => {
                let text = "options 'inactive' and 'download-only' exclude each other";
                return Err(Error::InvalidArgument(text.to_owned()));
            }
        };
        self.door.start(header, wishes, Command::FetchFrom { id, source, then }).await
    }

    pub(super) async fn on_rollback(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.door.start(header, wishes::only_of_job(&options)?, Command::Rollback).await
    }

    pub(super) async fn on_confirm_boot(&self, options: OptionMap, header: &Header<'_>) -> Answer<()> {
        no_options(&options)?;
        self.door.change(header, Command::ConfirmBoot).await
    }

    pub(super) async fn on_collect_garbage(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.door.start(header, wishes::only_request(&options)?, Command::CollectGarbage).await
    }

    pub(super) async fn on_logs(
        &self,
        component: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<String> {
        let mut reader = OptionReader::new(&options);
        let lines = reader.get::<u32>("lines")?.unwrap_or(LOG_LINES_DEFAULT);
        reader.finish()?;
        if lines > LOG_LINES_MAX {
            return Err(Error::InvalidArgument(format!("option 'lines' is at most {LOG_LINES_MAX}")));
        }
        let id = component_id(&component)?;
        self.door.access.may_call(header).await?;
        self.door.logs(id, usize::try_from(lines).unwrap_or(usize::MAX)).await
    }

    pub(super) async fn on_history(
        &self,
        options: OptionMap,
        _header: &Header<'_>,
    ) -> Answer<Vec<OptionMap>> {
        let mut reader = OptionReader::new(&options);
        let limit = reader.get::<u32>("limit")?.unwrap_or(HISTORY_DEFAULT);
        reader.finish()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let view = self.door.view();
        view.state.history.iter().rev().take(limit).map(|record| history_entry(&ended_job(record))).collect()
    }
}

/// The properties of a job that stay true after its end, with its number under its own name.
fn history_entry(job: &Job) -> Answer<OptionMap> {
    const KEYS: [&str; 11] = [
        "Primitive",
        "TargetKind",
        "Target",
        "User",
        "Uid",
        "Result",
        "ResultCode",
        "FailureKind",
        "Message",
        "Changed",
        "Started",
    ];
    let mut map: PropertyMap = job.to_map();
    map.retain(|name, _| KEYS.contains(name) || *name == "Finished");
    map.insert("Job", Variant::from(job.id));
    owned(map)
}

/// A map as it is answered.
pub(super) fn owned(map: PropertyMap) -> Answer<OptionMap> {
    let own = |(name, value): (&str, Variant<'static>)| {
        let value = OwnedVariant::try_from(value).map_err(Error::ZBus)?;
        Ok((name.to_owned(), value))
    };
    map.into_iter().map(own).collect()
}

impl Served<Download> {
    fn id(&self) -> Answer<PackageId> {
        package_id(&self.look(|p| p.pkg_id.clone()))
    }

    async fn fetch(&self, options: &OptionMap, header: &Header<'_>, then: Then) -> Answer<OwnedObjectPath> {
        self.door
            .start(header, wishes::only_of_install(options)?, Command::Fetch { id: self.id()?, then })
            .await
    }

    pub(super) async fn on_download(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.fetch(&options, header, Then::Stop).await
    }

    pub(super) async fn on_download_install(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.fetch(&options, header, Then::Install).await
    }

    pub(super) async fn on_download_install_inactive(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.fetch(&options, header, Then::InstallInactive).await
    }

    pub(super) async fn on_delete(&self, options: OptionMap, header: &Header<'_>) -> Answer<()> {
        no_options(&options)?;
        self.door.change(header, Command::DeleteDownload { id: self.id()? }).await
    }
}

impl Served<DeliveryPackage> {
    fn id(&self) -> Answer<PackageId> {
        package_id(&self.look(|p| p.pkg_id.clone()))
    }

    pub(super) async fn on_install(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.door.start(header, wishes::only_of_install(&options)?, Command::Install { id: self.id()? }).await
    }

    pub(super) async fn on_install_inactive(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.door
            .start(header, wishes::only_of_install(&options)?, Command::InstallInactive { id: self.id()? })
            .await
    }

    pub(super) async fn on_remove(&self, options: OptionMap, header: &Header<'_>) -> Answer<OwnedObjectPath> {
        self.door
            .start(header, wishes::only_of_job(&options)?, Command::RemovePackage { id: self.id()? })
            .await
    }
}

impl Served<DeploymentComponent> {
    fn component(&self) -> Answer<ComponentId> {
        component_id(&self.look(|p| p.id.clone()))
    }

    pub(super) async fn on_activate(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.door
            .start(header, wishes::only_of_job(&options)?, Command::Activate { id: self.component()? })
            .await
    }

    pub(super) async fn on_deactivate(
        &self,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedObjectPath> {
        self.door
            .start(header, wishes::only_of_job(&options)?, Command::Deactivate { id: self.component()? })
            .await
    }

    pub(super) async fn on_remove(&self, options: OptionMap, header: &Header<'_>) -> Answer<OwnedObjectPath> {
        self.door
            .start(header, wishes::only_of_job(&options)?, Command::RemoveComponent { id: self.component()? })
            .await
    }
}

impl Served<Job> {
    pub(super) async fn on_cancel(&self, options: OptionMap, header: &Header<'_>) -> Answer<()> {
        no_options(&options)?;
        let job = JobId(self.look(|p| p.id));
        self.door.change(header, Command::Cancel { job }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_gives_an_id() {
        for (source, id) in [
            ("docker://r.example:5000/team/app:1.2", "app"),
            ("docker://r.example/app@sha256:00", "app"),
            ("oci:/srv/layouts/app", "app"),
            ("oci:/srv/layouts/app:v1", "app"),
            ("file:/srv/app-1.2.scomo", "app-1.2"),
            ("/srv/app.scomo", "app"),
            ("ostree+https://o.example/repo?ref=x", "repo"),
            ("sim:app@2?app", "app"),
        ] {
            assert_eq!(id_of_source(source).unwrap().as_str(), id, "{source}");
        }
        for source in ["", "docker://", "?x", "file:/"] {
            let given = id_of_source(source);
            assert!(given.is_err() || !given.unwrap().as_str().is_empty(), "{source}");
        }
    }

    #[test]
    fn an_entry_of_the_history_holds_what_is_documented() {
        let entry = history_entry(&Job { id: 3, finished: 5, ..Job::default() }).unwrap();
        let mut keys: Vec<_> = entry.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let documented = [
            "Changed",
            "FailureKind",
            "Finished",
            "Job",
            "Message",
            "Primitive",
            "Result",
            "ResultCode",
            "Started",
            "Target",
            "TargetKind",
            "Uid",
            "User",
        ];
        assert_eq!(keys, documented);
    }
}
