//! The [`Backend`] of containers: what each step means in terms of the store, the runtime and the host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use scomo_core::effect::{Inventory, Target};
use scomo_core::id::{ComponentId, PackageId};
use scomo_core::spec::{ComponentKind, Content, Payload, Release};
use scomo_engine::backend::{Backend, BackendError, StepCx};

use crate::config::Settings;
use crate::error::{Context, Error};
use crate::fetch::fetch;
use crate::runtime::blueprint::{Blueprint, Policy};
use crate::runtime::crun::{Crun, find};
use crate::runtime::host::{Host, Kind, Started, Status};
use crate::runtime::oci::{Image, ImageConfig};
use crate::runtime::places::{Places, ReleasePlace, release_name};
use crate::runtime::state::Plan;
use crate::runtime::{log, probe, systemd};
use scomo_store::files::{self, Durability};
use scomo_store::names::escape;
use scomo_store::{Store, TreeId};

/// How often a switch looks again after another start of the component came in between.
const ROUNDS_MAX: usize = 5;
/// How long the output of a component that is gone is kept: it says why.
const LOG_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Containers on this device.
#[derive(Debug)]
pub struct ContainerBackend {
    settings: Settings,
    places: Places,
}

impl ContainerBackend {
    /// A backend with these settings. Touches nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let places = Places::new(&settings);
        Self { settings, places }
    }

    fn host(&self) -> Result<Host, Error> {
        let config = &self.settings.container;
        let worker = match &config.worker {
            Some(worker) => worker.clone(),
            None => std::env::current_exe().context("find", Path::new("/proc/self/exe"))?,
        };
        let crun = Crun {
            // Only what starts or ends something needs it; that says so then.
            program: find(&config.runtime).unwrap_or_else(|_| config.runtime.clone()),
            worker,
            state: self.places.runtime_state(),
        };
        Ok(Host { kind: Kind::detect(config.supervisor), crun, places: self.places.clone() })
    }

    fn stage_release(&self, release: &Release) -> Result<(), Error> {
        // First, so that a device without the runtime finds out before anything is stopped.
        find(&self.settings.container.runtime)?;
        let place = self.places.release(&release.id);
        let image = read_image(&place)?.ok_or_else(|| Error::NotFetched(release.id.clone()))?;
        let tree = tree_id(release)?;
        Store::open(&self.places.store())?.checkout(&tree, &place.rootfs())?;
        Blueprint::draw(release, &image, &place.rootfs(), &Policy::new(&self.settings.container))?;
        if files::read_json::<Release>(&place.release())?.is_some_and(|staged| staged.id == release.id) {
            return Ok(files::sync_folder(place.folder())?);
        }
        Ok(files::write_json(&place.release(), release, Durability::Durable)?)
    }

    /// What to run, when the release is staged and may run.
    fn plan(&self, host: &Host, release: &Release) -> Result<Plan, Error> {
        let component = &release.spec.id;
        let place = self.places.release(&release.id);
        let staged: Option<Release> = files::read_json(&place.release())?;
        let image = read_image(&place)?;
        let (Some(_), Some(image), true) = (staged, image, place.rootfs().is_dir()) else {
            return Err(Error::NotStaged(release.id.clone()));
        };
        find(&self.settings.container.runtime)?;
        let policy = Policy::new(&self.settings.container);
        Blueprint::draw(release, &image, &place.rootfs(), &policy)?;
        let name = escape(component.as_str());
        let own = host.kind == Kind::Own;
        Ok(Plan {
            token: token(),
            release: release.clone(),
            image,
            policy,
            crun: host.crun.clone(),
            group: own.then(|| self.places.instance()),
            rootfs: place.rootfs(),
            scratch: self.places.scratch().join(&name),
            volumes: self.places.volumes().join(&name),
            log: own.then(|| self.places.log(component)),
            container: name,
        })
    }

    fn activate(&self, component: &ComponentId, release: &Release, cx: &StepCx) -> Result<(), Error> {
        let host = self.host()?;
        let name = escape(component.as_str());
        let plan = self.plan(&host, release)?;
        for _ in 0..ROUNDS_MAX {
            match host.await_start(&name, cx)? {
                Status::Kept(run) | Status::Ended(run) if run.release == release.id => return Ok(()),
                Status::Absent => {}
                Status::Kept(_) | Status::Ended(_) | Status::Stale => host.stop(&name, cx)?,
            }
            match host.start(&name, &plan, cx)? {
                Started::Yes => return Ok(()),
                Started::Busy => {}
                Started::No { message, by_package } => {
                    host.stop(&name, cx)?;
                    let component = component.clone();
                    return Err(Error::Start { component, message, by_package });
                }
            }
        }
        Err(Error::tool(format!("starting '{component}'"), "somebody else keeps starting and stopping it"))
    }

    fn deactivate(&self, component: &ComponentId, cx: &StepCx) -> Result<(), Error> {
        let host = self.host()?;
        let name = escape(component.as_str());
        match host.status(&name)? {
            Status::Absent => Ok(()),
            Status::Kept(_) | Status::Ended(_) | Status::Stale => host.stop(&name, cx),
        }
    }

    fn switch_to(&self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<(), Error> {
        match target {
            Target::Active(release) => {
                check_kind(release)?;
                if release.spec.id != *id {
                    return Err(Error::refused(id, format!("the release is one of '{}'", release.spec.id)));
                }
                self.activate(id, release, cx)
            }
            Target::Inactive(release) => {
                self.deactivate(id, cx)?;
                let staged = self.places.release(&release.id).release().exists();
                if staged { Ok(()) } else { Err(Error::NotStaged(release.id.clone())) }
            }
            Target::Absent => self.deactivate(id, cx),
        }
    }

    fn collect_garbage(&self, keep: &[Release], cx: &StepCx) -> Result<(), Error> {
        let host = self.host()?;
        let kept: BTreeSet<&str> = keep.iter().map(|release| release_name(&release.id)).collect();
        for name in host.names()? {
            Self::stop_unless_kept(&host, &name, keep, cx)?;
        }
        files::retain(&self.places.releases(), &kept)?;
        let running: BTreeSet<String> = host.names()?.into_iter().collect();
        for name in files::names_in(&self.places.scratch())? {
            if !running.contains(&name) {
                files::remove_tree(&self.places.scratch().join(name))?;
            }
        }
        let components: BTreeSet<String> =
            keep.iter().map(|release| escape(release.spec.id.as_str())).collect();
        self.remove_old_logs(&components)?;
        self.remove_volumes(&components)?;
        let trees = keep.iter().map(tree_id).collect::<Result<BTreeSet<TreeId>, Error>>()?;
        let collected = Store::open(&self.places.store())?.collect(&trees)?;
        tracing::info!(?collected, "collected");
        Ok(())
    }

    /// What runs although nothing asks for it is stopped.
    fn stop_unless_kept(host: &Host, name: &str, keep: &[Release], cx: &StepCx) -> Result<(), Error> {
        match host.status(name)? {
            Status::Absent => Ok(()),
            Status::Kept(run) | Status::Ended(run) if keep.iter().any(|r| r.id == run.release) => Ok(()),
            Status::Kept(_) | Status::Ended(_) | Status::Stale => host.stop(name, cx),
        }
    }

    fn remove_old_logs(&self, components: &BTreeSet<String>) -> Result<(), Error> {
        let folder = self.places.logs();
        for name in files::names_in(&folder)? {
            let owner = name.strip_suffix(".1").unwrap_or(&name).strip_suffix(".log").unwrap_or_default();
            let path = folder.join(&name);
            let age =
                fs::metadata(&path).and_then(|m| m.modified()).map(|at| SystemTime::now().duration_since(at));
            if !components.contains(owner) && age.is_ok_and(|age| age.is_ok_and(|age| age > LOG_KEPT)) {
                files::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn remove_volumes(&self, components: &BTreeSet<String>) -> Result<(), Error> {
        if !self.settings.container.remove_volumes {
            return Ok(());
        }
        let folder = self.places.volumes();
        let gone = files::names_in(&folder)?.into_iter().filter(|name| !components.contains(name));
        Ok(gone.map(|name| folder.join(name)).try_for_each(|path| files::remove_tree(&path))?)
    }

    fn running(&self) -> Result<Inventory, Error> {
        let host = self.host()?;
        let mut running = Vec::new();
        for name in host.names()? {
            match host.status(&name)? {
                // What ended as its policy wants has been run: a restart of the daemon must not run it again.
                Status::Kept(run) | Status::Ended(run) => running.push(run.release),
                Status::Stale => host.stop(&name, &StepCx::detached())?,
                Status::Absent => {}
            }
        }
        Ok(Inventory { running, ..Inventory::default() })
    }

    fn output(&self, id: &ComponentId, lines: usize) -> Result<String, Error> {
        let host = self.host()?;
        match host.kind {
            Kind::Systemd => systemd::logs(&host.unit(&escape(id.as_str())), lines),
            Kind::Own => log::tail(&self.places.log(id), lines)?.ok_or_else(|| Error::NoOutput(id.clone())),
        }
    }
}

impl Backend for ContainerBackend {
    fn resolve(&mut self, package: &PackageId, source: &str, cx: &StepCx) -> Result<Content, BackendError> {
        check_cancelled(cx)?;
        let content = scomo_package::resolve(&self.settings.package, package, source).map_err(Error::from)?;
        check_cancelled(cx)?;
        Ok(content)
    }

    fn fetch(&mut self, release: &Release, cx: &StepCx) -> Result<u64, BackendError> {
        check_cancelled(cx)?;
        check_kind(release)?;
        Ok(fetch(&self.settings.package, &self.places, release, cx)?)
    }

    fn stage(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        check_cancelled(cx)?;
        check_kind(release)?;
        Ok(self.stage_release(release)?)
    }

    fn switch(&mut self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<bool, BackendError> {
        check_cancelled(cx)?;
        self.switch_to(id, target, cx)?;
        Ok(false)
    }

    fn probe(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        check_cancelled(cx)?;
        check_kind(release)?;
        Ok(probe::probe(&self.host()?, release, cx)?)
    }

    fn confirm(&mut self, _release: &Release, _cx: &StepCx) -> Result<(), BackendError> {
        // What runs is what was asked for; nothing waits for a confirmation.
        Ok(())
    }

    fn collect(&mut self, keep: &[Release], cx: &StepCx) -> Result<(), BackendError> {
        check_cancelled(cx)?;
        Ok(self.collect_garbage(keep, cx)?)
    }

    fn observe(&mut self) -> Result<Inventory, BackendError> {
        Ok(self.running()?)
    }

    fn logs(&mut self, id: &ComponentId, lines: usize) -> Result<String, BackendError> {
        Ok(self.output(id, lines)?)
    }
}

fn check_cancelled(cx: &StepCx) -> Result<(), Error> {
    if cx.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

fn check_kind(release: &Release) -> Result<(), Error> {
    match release.spec.kind {
        ComponentKind::Container => Ok(()),
        ComponentKind::Os | ComponentKind::Files => Err(Error::NotContainer(release.spec.id.clone())),
    }
}

/// The store's name for the image of a release.
pub(crate) fn tree_id(release: &Release) -> Result<TreeId, Error> {
    match &release.spec.payload {
        Payload::Image { digest, .. } => Ok(TreeId::from(digest)),
        Payload::Ostree { .. } => Err(Error::NotContainer(release.spec.id.clone())),
    }
}

fn read_image(place: &ReleasePlace) -> Result<Option<ImageConfig>, Error> {
    let image: Option<Image> = files::read_json(&place.image_config())?;
    Ok(image.map(|image| image.config.unwrap_or_default()))
}

/// Different for every start.
fn token() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    format!("{}-{now}", std::process::id())
}
