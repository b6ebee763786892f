//! Switching: which files are in place, and that whoever reads them hears of it.
//!
//! A component has one link that says which files are in place, `<files_dir>/<component>`. The link that its package
//! may ask for elsewhere points to that one and not to the files, so there is a single moment of change however many
//! links there are. A killed switch is found by its record, which is not settled, and done again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scomo_core::id::{ComponentId, ReleaseId};
use scomo_core::spec::{RELOAD_TIMEOUT_S_MAX, Release};
use scomo_engine::backend::StepCx;
use scomo_engine::host::{HostCommand, HostError, Verdict};
use scomo_store::files;
use scomo_store::names::digits;

use crate::config::Config;
use crate::error::Error;
use crate::link::{Found, Link};
use crate::places::Places;
use crate::record::Record;

/// Time-out of a reload where the package says none.
const RELOAD_TIMEOUT_S: u64 = 30;

/// Changes what is in place.
#[derive(Debug)]
pub(crate) struct Switcher<'a> {
    pub(crate) places: &'a Places,
    pub(crate) config: &'a Config,
}

impl Switcher<'_> {
    /// Refuses what the device does not allow, before anything changes. Gives the place of the link that the package
    /// asks for, if it does.
    pub(crate) fn check(&self, release: &Release) -> Result<Option<Link>, Error> {
        let spec = &release.spec;
        self.config.command(&spec.id, &spec.files.reload)?;
        let health = spec.health.as_ref().map_or(&[][..], |health| &health.command);
        self.config.command(&spec.id, health)?;
        match spec.files.path.as_str() {
            "" => Ok(None),
            path => Link::wanted(&spec.id, path, &self.config.allowed_links).map(Some),
        }
    }

    /// Puts a staged release in place.
    pub(crate) fn activate(&self, release: &Release, cx: &StepCx) -> Result<(), Error> {
        let id = &release.spec.id;
        let place = self.places.release(&release.id);
        if !place.release().exists() || !place.tree().is_dir() {
            return Err(Error::NotStaged(release.id.clone()));
        }
        let wanted = self.check(release)?;
        let new: BTreeSet<PathBuf> = wanted.iter().map(|link| link.path().to_owned()).collect();
        let old = Record::read(self.places, id)?;
        let main = self.places.link(id);
        if self.in_place(id)?.as_ref() == Some(&release.id)
            && wanted.iter().try_fold(true, |all, link| Ok::<_, Error>(all && leads_to(link, &main)?))?
        {
            return Ok(());
        }
        let old_links = old.map(|record| record.links).unwrap_or_default();
        wanted.iter().try_for_each(|link| own(link, &main, &old_links))?;
        self.places.create_links()?;
        let link = Link::at(&main)?.ok_or_else(|| Error::Occupied(self.places.links().to_owned()))?;
        if link.found()? == Found::Other {
            return Err(Error::Occupied(main));
        }
        let links = old_links.union(&new).cloned().collect();
        let mut record = Record { component: id.clone(), release: release.id.clone(), links, settled: false };
        record.write(self.places)?;
        link.point_to(&place.tree())?;
        wanted.iter().try_for_each(|link| link.point_to(&main))?;
        old_links.difference(&new).try_for_each(|path| remove_if_to(path, &main))?;
        self.reload(release, cx)?;
        record.links = new;
        record.settled = true;
        record.write(self.places)
    }

    /// Takes a component out of its place; its releases stay.
    pub(crate) fn deactivate(&self, id: &ComponentId) -> Result<(), Error> {
        let main = self.places.link(id);
        if let Some(record) = Record::read(self.places, id)? {
            record.links.iter().try_for_each(|path| remove_if_to(path, &main))?;
        }
        if let Some(link) = Link::at(&main)? {
            match link.found()? {
                Found::Other => return Err(Error::Occupied(main)),
                Found::Nothing | Found::Target(_) => link.remove()?,
            }
        }
        Record::remove(self.places, id)
    }

    /// The release of a component that is in place, when the switch to it came to its end.
    pub(crate) fn in_place(&self, id: &ComponentId) -> Result<Option<ReleaseId>, Error> {
        let Some(record) = Record::read(self.places, id)?.filter(|record| record.settled) else {
            return Ok(None);
        };
        let shown = self.shown(&self.places.link(id))?;
        Ok(shown.filter(|shown| *shown == record.release))
    }

    /// Removes every component that is in place and no release of `keep`, and what killed switches left.
    pub(crate) fn retain(&self, keep: &BTreeSet<&str>) -> Result<(), Error> {
        let is_kept = |release: &ReleaseId| keep.contains(digits(release.as_str()));
        for record in Record::all(self.places)?.iter().filter(|record| !is_kept(&record.release)) {
            self.deactivate(&record.component)?;
        }
        // A link without a record is one that nothing asked for, and no component's name begins with a dot.
        for name in files::names_in(self.places.links())? {
            let path = self.places.links().join(&name);
            let is_stray = |release: ReleaseId| name.starts_with('.') || !is_kept(&release);
            if self.shown(&path)?.is_some_and(is_stray)
                && let Some(link) = Link::at(&path)?
            {
                link.remove()?;
            }
        }
        Ok(())
    }

    /// Runs a command of the package or one that it names, see [`Config::command`], as `run` says.
    pub(crate) fn run(
        &self,
        release: &Release,
        command: &[String],
        run: impl FnOnce(HostCommand<'_>) -> Result<Verdict, HostError>,
    ) -> Result<Verdict, Error> {
        let id = &release.spec.id;
        let main = self.places.link(id);
        let env = [("SCOMO_COMPONENT", OsStr::new(id.as_str())), ("SCOMO_FILES", main.as_os_str())];
        let argv = self.config.command(id, command)?;
        run(HostCommand { argv, env: &env }).map_err(Error::host(id))
    }

    fn reload(&self, release: &Release, cx: &StepCx) -> Result<(), Error> {
        let files = &release.spec.files;
        let timeout = Duration::from_secs(match files.reload_timeout_s {
            0 => RELOAD_TIMEOUT_S,
            seconds => seconds.min(RELOAD_TIMEOUT_S_MAX),
        });
        let component = release.spec.id.clone();
        self.run(release, &files.reload, |command| command.run(timeout, cx))?
            .map_err(|reason| Error::Reload { component, reason })
    }

    fn shown(&self, link: &Path) -> Result<Option<ReleaseId>, Error> {
        let Some(link) = Link::at(link)? else { return Ok(None) };
        Ok(match link.found()? {
            Found::Target(target) => self.places.release_at(&target),
            Found::Nothing | Found::Other => None,
        })
    }
}

fn leads_to(link: &Link, target: &Path) -> Result<bool, Error> {
    Ok(matches!(link.found()?, Found::Target(found) if found == target))
}

/// What somebody else put there is never replaced.
fn own(link: &Link, main: &Path, old: &BTreeSet<PathBuf>) -> Result<(), Error> {
    match link.found()? {
        Found::Nothing => Ok(()),
        Found::Target(target) if target == main || old.contains(link.path()) => Ok(()),
        Found::Target(_) | Found::Other => Err(Error::Occupied(link.path().to_owned())),
    }
}

/// Removes a link that is still the component's.
fn remove_if_to(path: &Path, main: &Path) -> Result<(), Error> {
    match Link::at(path)? {
        Some(link) if leads_to(&link, main)? => link.remove(),
        _ => Ok(()),
    }
}
