//! The way to the daemon: one connection, and everything it knows in one call.

use std::collections::HashMap;
use std::time::Duration;

use scomo_dbus::{BUS_NAME, DeliveryPackage, DeploymentComponent, Download, Job, Manager, Properties, path};
use zbus::connection::{Builder, Connection};
use zbus::fdo::ObjectManagerProxy;
use zbus::proxy::{Defaults, Proxy};
use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant};

use crate::exit::{Failure, NOT_FOUND};

/// How long an answer may take. Long work answers with a job at once, so this only guards against a hung daemon.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The bus as people name it: `system`, `session` or a D-Bus address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bus(pub String);

impl Bus {
    /// Connects. `patient`: an answer may take as long as it wants, for a file that is copied before the answer.
    pub async fn connect(&self, patient: bool) -> Result<Connection, Failure> {
        let builder = match self.0.as_str() {
            "system" => Builder::system(),
            "session" => Builder::session(),
            address => Builder::address(address),
        };
        let builder = if patient { builder } else { builder.method_timeout(ANSWER_TIMEOUT) };
        builder.build().await.map_err(|error| {
            let text = format!("cannot connect to the bus '{}': {error}; --bus chooses another", self.0);
            Failure::new(crate::exit::UNREACHABLE, "Unreachable", text)
        })
    }
}

/// Everything the daemon knows, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The device.
    pub manager: Manager,
    /// The Download branch, by id.
    pub downloads: Vec<(OwnedObjectPath, Download)>,
    /// The Delivered branch, by id.
    pub delivered: Vec<(OwnedObjectPath, DeliveryPackage)>,
    /// The Deployed branch, by id.
    pub components: Vec<(OwnedObjectPath, DeploymentComponent)>,
    /// Jobs, oldest first.
    pub jobs: Vec<(OwnedObjectPath, Job)>,
}

type Interfaces = HashMap<zbus::names::OwnedInterfaceName, HashMap<String, OwnedVariant>>;

impl Snapshot {
    /// Asks for everything.
    pub async fn get(connection: &Connection) -> Result<Self, Failure> {
        let root = ObjectManagerProxy::builder(connection)
            .destination(BUS_NAME)
            .path(path::ROOT)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?;
        let objects = root.get_managed_objects().await?;
        let mut snapshot = Self { manager: read(connection, path::ROOT).await?, ..Self::default() };
        for (path, interfaces) in objects {
            snapshot.add(path, &interfaces)?;
        }
        snapshot.downloads.sort_by(|a, b| a.1.pkg_id.cmp(&b.1.pkg_id));
        snapshot.delivered.sort_by(|a, b| a.1.pkg_id.cmp(&b.1.pkg_id));
        snapshot.components.sort_by(|a, b| a.1.id.cmp(&b.1.id));
        snapshot.jobs.sort_by_key(|(_, job)| job.id);
        Ok(snapshot)
    }

    fn add(&mut self, path: OwnedObjectPath, interfaces: &Interfaces) -> Result<(), Failure> {
        for (name, properties) in interfaces {
            match name.as_str() {
                Download::INTERFACE => self.downloads.push((path.clone(), Download::from_map(properties)?)),
                DeliveryPackage::INTERFACE => {
                    self.delivered.push((path.clone(), DeliveryPackage::from_map(properties)?));
                }
                DeploymentComponent::INTERFACE => {
                    self.components.push((path.clone(), DeploymentComponent::from_map(properties)?));
                }
                Job::INTERFACE => self.jobs.push((path.clone(), Job::from_map(properties)?)),
                // Standard interfaces, and those of a newer daemon.
                _ => {}
            }
        }
        Ok(())
    }

    /// The component of this id.
    pub fn component(&self, id: &str) -> Option<&(OwnedObjectPath, DeploymentComponent)> {
        self.components.iter().find(|(_, c)| c.id == id)
    }

    /// The delivered package of this id.
    pub fn delivered(&self, id: &str) -> Option<&(OwnedObjectPath, DeliveryPackage)> {
        self.delivered.iter().find(|(_, p)| p.pkg_id == id)
    }

    /// The package of this id in the Download branch.
    pub fn download(&self, id: &str) -> Option<&(OwnedObjectPath, Download)> {
        self.downloads.iter().find(|(_, p)| p.pkg_id == id)
    }
}

/// Reads all properties of one object.
pub async fn read<P: Properties>(connection: &Connection, path: &str) -> Result<P, Failure> {
    Ok(try_read(connection, path).await??)
}

/// Like [`read`], with the error of the bus as it is.
pub async fn try_read<P: Properties>(
    connection: &Connection,
    path: &str,
) -> zbus::Result<Result<P, scomo_dbus::WrongType>> {
    let properties = zbus::fdo::PropertiesProxy::builder(connection)
        .destination(BUS_NAME)
        .path(path)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await?;
    let interface = zbus::names::InterfaceName::try_from(P::INTERFACE)?;
    Ok(P::from_map(&properties.get_all(interface).await?))
}

/// A proxy of the daemon at `path` that asks for nothing by itself.
pub async fn proxy<'a, T>(connection: &Connection, path: ObjectPath<'a>) -> Result<T, Failure>
where
    T: From<Proxy<'a>> + Defaults,
{
    let builder = zbus::proxy::Builder::<'a, T>::new(connection).destination(BUS_NAME).path(path);
    Ok(builder.cache_properties(zbus::proxy::CacheProperties::No).build().await?)
}

/// The failure for an id that is nowhere.
pub fn not_found(what: &str, id: &str) -> Failure {
    Failure::new(
        NOT_FOUND,
        "NotFound",
        format!("there is no {what} '{id}'; 'scomoctl list' shows what there is"),
    )
}
