//! systemd-logind: who blocks a shutdown, and how to restart the device.

use scomo_core::id::Millis;
use zbus::Connection;
use zbus::fdo::{PropertiesChangedStream, PropertiesProxy};
use zbus::proxy::CacheProperties;

use super::obstacle::Obstacle;

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
/// Who blocks is looked at again after so many milliseconds, should the signal that tells it be lost.
const LOOK_AGAIN_MS: u64 = 60_000;

/// What, who, why, mode, user id, process id.
type Block = (String, String, String, String, u32, u32);

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    fn reboot(&self, interactive: bool) -> zbus::Result<()>;

    fn list_inhibitors(&self) -> zbus::Result<Vec<Block>>;
}

/// A client of logind.
#[derive(Debug, Clone)]
pub struct Logind {
    bus: Connection,
}

impl Logind {
    /// A client on the bus. Nothing is asked yet.
    pub fn new(bus: Connection) -> Self {
        Self { bus }
    }

    async fn manager(&self) -> zbus::Result<ManagerProxy<'static>> {
        ManagerProxy::builder(&self.bus).cache_properties(CacheProperties::No).build().await
    }

    /// Whoever blocks a shutdown. A device without logind has nobody who could.
    pub async fn obstacle(&self, now: Millis) -> Option<Obstacle> {
        let listed = match self.manager().await {
            Ok(manager) => manager.list_inhibitors().await,
            Err(error) => Err(error),
        };
        let why = match listed {
            Ok(blocks) => blocks
                .into_iter()
                .find(blocks_shutdown)
                .map(|(_, who, why, _, _, pid)| format!("shutdown is blocked by {who} (pid {pid}): {why}")),
            Err(error) if is_absent(&error) => None,
            Err(error) => Some(format!("systemd-logind, which does not say who blocks a shutdown: {error}")),
        };
        why.map(|why| Obstacle { why, until: Some(now.plus(LOOK_AGAIN_MS)) })
    }

    /// Changes of what blocks a shutdown. `None`: it cannot be listened for.
    pub async fn changes(&self) -> Option<PropertiesChangedStream> {
        let properties = PropertiesProxy::builder(&self.bus).destination(NAME).path(PATH);
        let properties = properties.cache_properties(CacheProperties::No).build().await.ok()?;
        properties.receive_properties_changed().await.ok()
    }

    /// Restarts the device. `Ok(false)`: there is no logind.
    pub async fn reboot(&self) -> zbus::Result<bool> {
        let asked = match self.manager().await {
            Ok(manager) => manager.reboot(false).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(()) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn blocks_shutdown((what, _, _, mode, _, _): &Block) -> bool {
    mode.starts_with("block") && what.split(':').any(|what| what == "shutdown")
}

fn is_absent(error: &zbus::Error) -> bool {
    use zbus::fdo::Error as Fdo;
    let zbus::Error::FDO(error) = error else { return false };
    matches!(
        **error,
        Fdo::ServiceUnknown(_)
            | Fdo::NameHasNoOwner(_)
            | Fdo::SpawnServiceNotFound(_)
            | Fdo::UnknownObject(_)
    )
}
