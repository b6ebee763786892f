//! Publishing: the difference of two trees becomes objects and signals, and nothing else does.
//!
//! Order of what a client sees: new objects, changed properties, `JobNew` and `JobRemoved`, then gone objects. So an
//! object exists whenever a signal names it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use scomo_dbus::{
    DeliveryPackage, DeploymentComponent, Download, Job, Manager, Properties, PropertyMap, Reports, changes,
    path,
};
use zbus::names::InterfaceName;
use zbus::object_server::{Interface, SignalEmitter};
use zbus::{Connection, ObjectPath};

use super::{Door, Served};
use crate::view::{Branch, Tree};

/// Properties as the object server reads them and the publisher writes them. Never locked across an await.
pub type Cell<P> = Arc<RwLock<P>>;

/// Keeps the objects on the bus equal to a tree.
pub struct Publisher {
    connection: Connection,
    door: Arc<Door>,
    tree: Tree,
    manager: Cell<Manager>,
    reports: Cell<Reports>,
    downloads: BTreeMap<String, Cell<Download>>,
    delivered: BTreeMap<String, Cell<DeliveryPackage>>,
    deployed: BTreeMap<String, Cell<DeploymentComponent>>,
    jobs: BTreeMap<String, Cell<Job>>,
}

impl Publisher {
    /// Puts a first tree on the bus. Nobody can listen yet, so no signal is sent on its account but those of the
    /// object server.
    pub async fn start(connection: &Connection, door: Arc<Door>, tree: Tree) -> zbus::Result<Self> {
        let mut publisher = Self {
            connection: connection.clone(),
            door,
            tree: Tree { manager: tree.manager.clone(), ..Tree::default() },
            manager: Cell::new(RwLock::new(tree.manager.clone())),
            reports: Cell::new(RwLock::new(tree.reports.clone())),
            downloads: BTreeMap::new(),
            delivered: BTreeMap::new(),
            deployed: BTreeMap::new(),
            jobs: BTreeMap::new(),
        };
        let server = connection.object_server();
        server.at(path::ROOT, zbus::fdo::ObjectManager).await?;
        let root = Served { properties: Arc::clone(&publisher.manager), door: Arc::clone(&publisher.door) };
        server.at(path::ROOT, root).await?;
        let outbox = Served { properties: Arc::clone(&publisher.reports), door: Arc::clone(&publisher.door) };
        server.at(path::ROOT, outbox).await?;
        let management = scomo_dbus::Tree {
            root: publisher.door.tree.root.clone(),
            version: publisher.door.tree.version.mo_id().to_owned(),
        };
        let properties = Cell::new(RwLock::new(management));
        server.at(path::ROOT, Served { properties, door: Arc::clone(&publisher.door) }).await?;
        publisher.objects(&tree).await?;
        publisher.tree = tree;
        Ok(publisher)
    }

    /// The tree that is on the bus.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Makes the bus show `new`.
    pub async fn publish(&mut self, new: Tree) -> zbus::Result<()> {
        self.objects(&new).await?;
        let old = std::mem::replace(&mut self.tree, new);
        let changed = changes(&old.manager, &self.tree.manager);
        if !changed.is_empty() {
            set(&self.manager, &self.tree.manager);
            announce::<Manager>(&self.connection, path::ROOT, changed).await?;
        }
        let emitter = SignalEmitter::new(&self.connection, path::ROOT)?;
        for event in job_events(&old.jobs, &self.tree.jobs) {
            match event {
                JobEvent::New(job) => {
                    Served::<Manager>::job_new(&emitter, ObjectPath::try_from(job)?).await?
                }
                JobEvent::Removed(job, result, code) => {
                    Served::<Manager>::job_removed(&emitter, ObjectPath::try_from(job)?, &result, code)
                        .await?;
                }
            }
        }
        self.outbox(&old).await?;
        self.gone(&old).await
    }

    /// What came into the outbox and left it.
    async fn outbox(&self, old: &Tree) -> zbus::Result<()> {
        let changed = changes(&old.reports, &self.tree.reports);
        if !changed.is_empty() {
            set(&self.reports, &self.tree.reports);
            announce::<Reports>(&self.connection, path::ROOT, changed).await?;
        }
        let emitter = SignalEmitter::new(&self.connection, path::ROOT)?;
        for id in old.last_report.saturating_add(1)..=self.tree.last_report {
            Served::<Reports>::added(&emitter, id).await?;
        }
        Ok(())
    }

    /// New objects and changed properties.
    async fn objects(&mut self, new: &Tree) -> zbus::Result<()> {
        let (connection, door) = (&self.connection, &self.door);
        put(connection, door, &mut self.downloads, &self.tree.downloads, &new.downloads).await?;
        put(connection, door, &mut self.delivered, &self.tree.delivered, &new.delivered).await?;
        put(connection, door, &mut self.deployed, &self.tree.deployed, &new.deployed).await?;
        put(connection, door, &mut self.jobs, &self.tree.jobs, &new.jobs).await
    }

    /// Objects that were in `old` and are no more.
    async fn gone(&mut self, old: &Tree) -> zbus::Result<()> {
        let new = &self.tree;
        take(&self.connection, &mut self.downloads, &old.downloads, &new.downloads).await?;
        take(&self.connection, &mut self.delivered, &old.delivered, &new.delivered).await?;
        take(&self.connection, &mut self.deployed, &old.deployed, &new.deployed).await?;
        take(&self.connection, &mut self.jobs, &old.jobs, &new.jobs).await
    }
}

fn set<P: Clone>(cell: &Cell<P>, properties: &P) {
    *cell.write().unwrap_or_else(PoisonError::into_inner) = properties.clone();
}

async fn put<P>(
    connection: &Connection,
    door: &Arc<Door>,
    cells: &mut BTreeMap<String, Cell<P>>,
    old: &Branch<P>,
    new: &Branch<P>,
) -> zbus::Result<()>
where
    P: Properties + Clone,
    Served<P>: Interface,
{
    for (path, properties) in new {
        let Some(before) = old.get(path) else {
            let cell = Cell::new(RwLock::new(properties.clone()));
            let object = Served { properties: Arc::clone(&cell), door: Arc::clone(door) };
            connection.object_server().at(path.as_str(), object).await?;
            cells.insert(path.clone(), cell);
            continue;
        };
        let changed = changes(before, properties);
        if let Some(cell) = cells.get(path).filter(|_| !changed.is_empty()) {
            set(cell, properties);
            announce::<P>(connection, path.as_str(), changed).await?;
        }
    }
    Ok(())
}

async fn take<P>(
    connection: &Connection,
    cells: &mut BTreeMap<String, Cell<P>>,
    old: &Branch<P>,
    new: &Branch<P>,
) -> zbus::Result<()>
where
    Served<P>: Interface,
{
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        cells.remove(path);
        connection.object_server().remove::<Served<P>, _>(path.as_str()).await?;
    }
    Ok(())
}

async fn announce<P: Properties>(
    connection: &Connection,
    path: &str,
    changed: PropertyMap,
) -> zbus::Result<()> {
    let emitter = SignalEmitter::new(connection, path)?;
    let interface = InterfaceName::try_from(P::INTERFACE)?;
    let changed: HashMap<&str, zbus::Variant<'_>> = changed.into_iter().collect();
    zbus::fdo::Properties::properties_changed(&emitter, interface, changed, Cow::Borrowed(&[])).await
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum JobEvent {
    New(String),
    Removed(String, String, u32),
}

/// What happened to jobs between two trees, in the order of their numbers. A job that came and ended in between has
/// both events.
fn job_events(old: &Branch<Job>, new: &Branch<Job>) -> Vec<JobEvent> {
    let mut jobs: Vec<(&String, &Job)> = new.iter().collect();
    jobs.sort_by_key(|(_, job)| job.id);
    let mut events = Vec::new();
    for (path, job) in jobs {
        let before = old.get(path);
        if before.is_none() {
            events.push(JobEvent::New(path.clone()));
        }
        if job.finished > 0 && before.is_none_or(|before| before.finished == 0) {
            events.push(JobEvent::Removed(path.clone(), job.result.clone(), job.result_code));
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(jobs: &[(u64, u64)]) -> Branch<Job> {
        let job = |(id, finished): &(u64, u64)| Job {
            id: *id,
            finished: *finished,
            result: "done".to_owned(),
            result_code: 1200,
            ..Job::default()
        };
        jobs.iter().map(|entry| (path::job(entry.0).to_string(), job(entry))).collect()
    }

    #[test]
    fn jobs_that_came_and_went_between_two_looks_are_told_in_order() {
        let events = job_events(&branch(&[(9, 0)]), &branch(&[(9, 5), (10, 6), (11, 0)]));
        let removed = |id| JobEvent::Removed(path::job(id).to_string(), "done".to_owned(), 1200);
        assert_eq!(
            events,
            [
                removed(9),
                JobEvent::New(path::job(10).to_string()),
                removed(10),
                JobEvent::New(path::job(11).to_string())
            ]
        );
        assert!(job_events(&branch(&[(9, 5)]), &branch(&[(9, 5)])).is_empty());
        assert!(job_events(&branch(&[(9, 5)]), &branch(&[])).is_empty());
    }
}
