//! The [`Backend`] of file sets: what each step means in terms of the store and the links.

use std::collections::BTreeSet;

use scomo_core::effect::{Inventory, Progress, Target};
use scomo_core::id::{ComponentId, Digest, PackageId};
use scomo_core::spec::{ComponentKind, Content, Payload, Release};
use scomo_engine::backend::{Backend, BackendError, StepCx};
use scomo_store::files::{self, Durability};
use scomo_store::names::digits;
use scomo_store::{Rights, Store, TreeId, Watch};

use crate::config::Settings;
use crate::error::Error;
use crate::places::Places;
use crate::record::Record;
use crate::switch::Switcher;

/// File sets on this device.
#[derive(Debug)]
pub struct FilesBackend {
    settings: Settings,
    places: Places,
}

impl FilesBackend {
    /// A backend with these settings. Touches nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let places = Places::new(&settings);
        Self { settings, places }
    }

    fn switcher(&self) -> Switcher<'_> {
        Switcher { places: &self.places, config: &self.settings.files }
    }

    fn store(&self) -> Result<Store, Error> {
        self.places.create()?;
        Ok(Store::open_with(&self.places.store(), Rights::ReadOnly)?)
    }

    fn fetch_release(&self, release: &Release, cx: &StepCx) -> Result<u64, Error> {
        let digest = payload(release)?;
        let store = self.store()?;
        if let Some(size) = store.size(&TreeId::from(digest))? {
            cx.progress(Progress { bytes_total: size, bytes_reused: size, ..Progress::default() });
            return Ok(size);
        }
        let mut source = scomo_package::open(&self.settings.package, &release.source)?;
        let image = source.image(digest)?;
        check_cancelled(cx)?;
        let mut progress = |step| cx.progress(step);
        let reserve_bytes = self.settings.package.reserve_bytes;
        let watch = Watch { reserve_bytes, progress: &mut progress, cancelled: &|| cx.cancelled() };
        let imported = store.fetch(&image, source.as_mut(), watch)?;
        tracing::info!(?imported, "imported");
        Ok(imported.size)
    }

    fn stage_release(&self, release: &Release) -> Result<(), Error> {
        let tree = TreeId::from(payload(release)?);
        self.switcher().check(release)?;
        let store = self.store()?;
        if !store.has(&tree)? {
            return Err(Error::NotFetched(release.id.clone()));
        }
        let place = self.places.release(&release.id);
        place.create()?;
        store.checkout(&tree, &place.tree())?;
        if files::read_json::<Release>(&place.release())?.is_some_and(|staged| staged.id == release.id) {
            return Ok(files::sync_folder(place.folder())?);
        }
        Ok(files::write_json(&place.release(), release, Durability::Durable)?)
    }

    fn switch_to(&self, id: &ComponentId, target: &Target, cx: &StepCx) -> Result<(), Error> {
        match target {
            Target::Active(release) => {
                check_kind(release)?;
                if release.spec.id != *id {
                    let (component, release) = (id.clone(), release.spec.id.clone());
                    return Err(Error::OtherComponent { component, release });
                }
                self.switcher().activate(release, cx)
            }
            Target::Inactive(release) => {
                self.switcher().deactivate(id)?;
                let staged = self.places.release(&release.id).release().exists();
                if staged { Ok(()) } else { Err(Error::NotStaged(release.id.clone())) }
            }
            Target::Absent => self.switcher().deactivate(id),
        }
    }

    fn watch(&self, release: &Release, cx: &StepCx) -> Result<(), Error> {
        let component = || release.spec.id.clone();
        let unhealthy = |reason| Error::Unhealthy { component: component(), reason };
        if self.switcher().in_place(&release.spec.id)?.as_ref() != Some(&release.id) {
            return Err(unhealthy("its files are not in place".to_owned()));
        }
        match &release.spec.health {
            Some(check) if !check.command.is_empty() => self
                .switcher()
                .run(release, &check.command, |command| command.watch(check, cx))?
                .map_err(|reason| unhealthy(format!("its health command {reason}"))),
            // Files do not change by themselves: there is nothing to watch.
            _ => Ok(()),
        }
    }

    fn collect_garbage(&self, keep: &[Release]) -> Result<(), Error> {
        let kept: BTreeSet<&str> = keep.iter().map(|release| digits(release.id.as_str())).collect();
        self.switcher().retain(&kept)?;
        files::retain(&self.places.releases(), &kept)?;
        let trees = keep.iter().map(|release| payload(release).map(TreeId::from));
        let trees = trees.collect::<Result<BTreeSet<TreeId>, Error>>()?;
        let collected = self.store()?.collect(&trees)?;
        tracing::info!(?collected, "collected");
        Ok(())
    }

    fn in_place(&self) -> Result<Inventory, Error> {
        let switcher = self.switcher();
        let mut inventory = Inventory::default();
        for record in Record::all(&self.places)? {
            inventory.running.extend(switcher.in_place(&record.component)?);
        }
        Ok(inventory)
    }
}

impl Backend for FilesBackend {
    fn resolve(&mut self, package: &PackageId, source: &str, cx: &StepCx) -> Result<Content, BackendError> {
        check_cancelled(cx)?;
        let content = scomo_package::resolve(&self.settings.package, package, source).map_err(Error::from)?;
        check_cancelled(cx)?;
        Ok(content)
    }

    fn fetch(&mut self, release: &Release, cx: &StepCx) -> Result<u64, BackendError> {
        check_cancelled(cx)?;
        Ok(self.fetch_release(release, cx)?)
    }

    fn stage(&mut self, release: &Release, cx: &StepCx) -> Result<(), BackendError> {
        check_cancelled(cx)?;
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
        Ok(self.watch(release, cx)?)
    }

    fn confirm(&mut self, _release: &Release, _cx: &StepCx) -> Result<(), BackendError> {
        // What is in place is what was asked for; nothing waits for a confirmation.
        Ok(())
    }

    fn collect(&mut self, keep: &[Release], cx: &StepCx) -> Result<(), BackendError> {
        check_cancelled(cx)?;
        Ok(self.collect_garbage(keep)?)
    }

    fn observe(&mut self) -> Result<Inventory, BackendError> {
        Ok(self.in_place()?)
    }

    fn logs(&mut self, id: &ComponentId, _lines: usize) -> Result<String, BackendError> {
        Err(Error::NoOutput(id.clone()).into())
    }
}

fn check_cancelled(cx: &StepCx) -> Result<(), Error> {
    if cx.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

fn check_kind(release: &Release) -> Result<(), Error> {
    match release.spec.kind {
        ComponentKind::Files => Ok(()),
        ComponentKind::Os | ComponentKind::Container => Err(Error::NotFiles(release.spec.id.clone())),
    }
}

/// The image of a release, which must be a file set.
fn payload(release: &Release) -> Result<&Digest, Error> {
    check_kind(release)?;
    match &release.spec.payload {
        Payload::Image { digest, .. } => Ok(digest),
        Payload::Ostree { .. } => Err(Error::NotFiles(release.spec.id.clone())),
    }
}
