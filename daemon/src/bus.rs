//! The D-Bus server: the tree of the engine as objects, methods as commands.
//!
//! Nothing here decides anything: a method makes a command, the engine takes or refuses it, and what the bus shows is
//! [`crate::view`] of the engine's newest snapshot.

mod access;
mod deliver;
#[rustfmt::skip]
mod interfaces;
mod methods;
mod people;
mod publish;
mod reports;
mod tree;
mod wishes;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use scomo_core::command::{Caller, Command, PackageLeaves, Terms};
use scomo_core::id::{ComponentId, JobId, PackageId};
use scomo_core::state::State;
use scomo_dbus::Error;
use scomo_engine::engine::View;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::{DBusProxy, RequestNameFlags, RequestNameReply};

use crate::config::Settings;
use crate::link::{Link, why_read_only};
use crate::memory;
use crate::policy::{Listener, Policy};
use crate::view::{Moment, Tree};
use access::Access;
use deliver::Spool;
use publish::{Cell, Publisher};

/// Progress is announced at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// How long a method waits for its own effect to be on the bus. Only a bus that does not take messages makes it late.
const PUBLISH_MAX: Duration = Duration::from_secs(5);

/// An object: properties that the publisher writes, and the way to the engine.
pub struct Served<P> {
    properties: Cell<P>,
    door: Arc<Door>,
}

impl<P> Served<P> {
    fn look<R>(&self, body: impl FnOnce(&P) -> R) -> R {
        body(&self.properties.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What every object needs to carry out a method.
pub struct Door {
    engine: Link,
    access: Access,
    policy: Arc<Policy>,
    /// How the SCOMO tree of this device is.
    tree: scomo_core::tree::Settings,
    spool: Spool,
    /// Held while the spool is changed: one delivery at a time, and none while unwanted packages are deleted.
    spooling: Mutex<()>,
    /// Number of the newest snapshot that is on the bus.
    published: watch::Sender<u64>,
}

impl Door {
    fn view(&self) -> Arc<View> {
        self.engine.view()
    }

    /// Hands a command to the engine and waits until the bus shows what it changed, so that the objects that the
    /// answer names are there when the caller gets it.
    async fn submit(&self, caller: Caller, terms: Terms, command: Command) -> Result<Option<JobId>, Error> {
        let taken = self.engine.submit(caller, terms, command).await.map_err(|error| self.explain(error))?;
        let mut published = self.published.subscribe();
        let shown = published.wait_for(|revision| *revision >= taken.revision);
        if tokio::time::timeout(PUBLISH_MAX, shown).await.is_err() {
            tracing::warn!("the bus is slow: a method answers before its objects are there");
        }
        Ok(taken.job)
    }

    /// Adds to the news that a job is under way what that job waits for.
    fn explain(&self, error: Error) -> Error {
        match (error, self.policy.shown(&self.view().state).gate) {
            (Error::Busy(text), gate) if !gate.is_empty() => {
                Error::Busy(format!("{text}; it waits for: {gate}"))
            }
            (error, _) => error,
        }
    }

    async fn logs(&self, id: ComponentId, lines: usize) -> Result<String, Error> {
        self.engine.logs(id, lines).await
    }

    async fn deliver(
        &self,
        caller: Caller,
        id: PackageId,
        data: OwnedFd,
        leaves: PackageLeaves,
    ) -> Result<(), Error> {
        let busy =
            |_| Error::Busy("another package is being delivered; wait for it and try again".to_owned());
        let _spooling = self.spooling.try_lock().map_err(busy)?;
        // Refuse early what would be refused after a long copy.
        if self.view().state.delivered.contains_key(&id) {
            return Err(Error::Exists(format!("package '{id}' is delivered already; remove it first")));
        }
        if let Some(error) = why_read_only(&self.view()) {
            return Err(error);
        }
        let name = id.to_string();
        self.spool_then(caller, &name, data, |source| Command::AddDelivered { id, source, leaves }).await
    }

    /// Copies a package into the spool and gives the command that is made of its source.
    async fn spool_then(
        &self,
        caller: Caller,
        name: &str,
        data: OwnedFd,
        command: impl FnOnce(String) -> Command,
    ) -> Result<(), Error> {
        let (spool, name) = (self.spool.clone(), name.to_owned());
        let source = blocking(move || spool.take(&name, data)).await??;
        let taken = self.submit(caller, Terms::default(), command(source.clone())).await;
        // After a failure that leaves open what happened, the file stays; the next start deletes it if it is not wanted.
        if taken.as_ref().is_err_and(|error| !matches!(error, Error::Failed(_))) {
            let spool = self.spool.clone();
            blocking(move || spool.drop(&source)).await?;
        }
        taken.map(|_| ())
    }

    /// What the bus shows at a moment.
    fn tree(&self, view: &View) -> Tree {
        Tree::of(Moment {
            state: &view.state,
            progress: &view.running,
            safe_mode: view.safe_mode.as_deref().unwrap_or_default(),
            store_trouble: view.store_trouble.as_deref().unwrap_or_default(),
            policy: &self.policy.shown(&view.state),
        })
    }

    /// Deletes delivered packages that nothing refers to any more.
    async fn sweep(&self) {
        let _spooling = self.spooling.lock().await;
        let view = self.view();
        if view.safe_mode.is_some() {
            // What could not be read may well refer to them.
            return;
        }
        let wanted = sources(&view.state);
        let spool = self.spool.clone();
        if let Err(error) = blocking(move || spool.sweep(&wanted)).await {
            tracing::warn!("cannot clean the spool: {error}");
        }
    }
}

async fn blocking<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> Result<R, Error> {
    tokio::task::spawn_blocking(body).await.map_err(|error| Error::Failed(format!("a thread ended: {error}")))
}

/// Every source that something may still be fetched from.
fn sources(state: &State) -> BTreeSet<String> {
    let delivered = state.delivered.values().map(|d| d.source.clone());
    let downloads = state.downloads.values().map(|d| d.source.clone());
    let releases = state.kept_releases().into_iter().map(|r| r.source.clone());
    delivered.chain(downloads).chain(releases).collect()
}

/// The service on the bus.
pub struct Service {
    connection: Connection,
    door: Arc<Door>,
    publisher: Publisher,
    views: watch::Receiver<Option<Arc<View>>>,
    policy: Listener,
}

impl Service {
    /// Connects, puts the tree on the bus and takes the name.
    pub async fn start(settings: &Settings, engine: Link) -> anyhow::Result<Self> {
        let builder = match settings.daemon.bus.as_str() {
            "system" => Builder::system(),
            "session" => Builder::session(),
            address => Builder::address(address),
        };
        let bus = || format!("cannot connect to the bus '{}'; is dbus-daemon running?", settings.daemon.bus);
        let connection = builder.build().await.with_context(bus)?;
        let spool = Spool::open(&settings.daemon.state_dir, settings.daemon.deliver_bytes_max)
            .with_context(|| format!("cannot use the spool in {}", settings.daemon.state_dir.display()))?;
        let access = Access::new(DBusProxy::new(&connection).await?, settings);
        let views = engine.watch();
        let first = engine.view();
        let policy = Arc::new(Policy::new(settings.policy.clone(), &connection));
        let listener = policy.listen();
        let door = Arc::new(Door {
            engine,
            access,
            policy,
            tree: settings.tree.settings(&settings.policy),
            spool,
            spooling: Mutex::new(()),
            published: watch::Sender::new(first.revision),
        });
        let publisher = Publisher::start(&connection, Arc::clone(&door), door.tree(&first)).await?;
        door.sweep().await;
        let taken = || format!("cannot own the name '{}'; does another scomod run?", scomo_dbus::BUS_NAME);
        // Neither replacing another daemon nor waiting for its end: two on one device is a mistake to be told.
        let flags = RequestNameFlags::DO_NOT_QUEUE;
        let reply =
            connection.request_name_with_flags(scomo_dbus::BUS_NAME, flags).await.with_context(taken)?;
        anyhow::ensure!(reply == RequestNameReply::PrimaryOwner, taken());
        door.policy.start(&door.engine);
        Ok(Self { connection, door, publisher, views, policy: listener })
    }

    /// Publishes changes until the engine or the bus goes away.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        let connection = self.connection.clone();
        let mut last = Instant::now();
        memory::rest();
        loop {
            tokio::select! {
                changed = self.views.changed() => changed.context("the engine ended")?,
                () = self.policy.next() => {}
                () = connection.closed() => anyhow::bail!("the bus went away"),
            }
            let Some(mut view) = self.newest() else { continue };
            let mut new = self.door.tree(&view);
            if self.publisher.tree().differs_in_progress_only(&new) {
                view = self.settle(view, last + PROGRESS_EVERY).await;
                new = self.door.tree(&view);
            }
            let had = self.publisher.tree().delivered.len();
            let worked = !self.publisher.tree().manager.jobs.is_empty();
            self.publisher.publish(new).await.context("cannot send to the bus")?;
            last = Instant::now();
            self.door.published.send_replace(view.revision);
            if self.publisher.tree().delivered.len() < had {
                let door = Arc::clone(&self.door);
                tokio::spawn(async move { door.sweep().await });
            }
            if worked && self.publisher.tree().manager.jobs.is_empty() {
                memory::rest();
            }
        }
    }

    fn newest(&mut self) -> Option<Arc<View>> {
        self.views.borrow_and_update().clone()
    }

    /// The newest snapshot at `until`, or the first one before that differs in more than progress.
    async fn settle(&mut self, mut view: Arc<View>, until: Instant) -> Arc<View> {
        while let Ok(Ok(())) = tokio::time::timeout_at(until, self.views.changed()).await {
            let Some(newer) = self.newest() else { continue };
            view = newer;
            if !self.publisher.tree().differs_in_progress_only(&self.door.tree(&view)) {
                break;
            }
        }
        view
    }

    /// Gives up the name, so that nobody calls any more, and ends the engine.
    pub async fn stop(self) {
        if let Err(error) = self.connection.release_name(scomo_dbus::BUS_NAME).await {
            tracing::warn!("cannot give up the name: {error}");
        }
        let door = Arc::clone(&self.door);
        // It waits for killed workers.
        if let Err(error) = blocking(move || door.engine.shutdown()).await {
            tracing::warn!("the engine did not end in order: {error}");
        }
    }
}
