//! Server accounts: what the instances of object 0 (Security) and object 1 (Server) say together.

use crate::limits::{ACCOUNTS_MAX, URI_BYTES_MAX};
use crate::objects::Objects;
use crate::path::{ID_NONE, Path};
use crate::value::Value;

/// Object Security.
pub(crate) const SECURITY: u16 = 0;
/// Object Server.
pub(crate) const SERVER: u16 = 1;
/// Object OSCORE: as secret as object 0.
pub(crate) const OSCORE: u16 = 21;

/// A server that the client registers with, or bootstraps from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    /// Instance of object 0; names the association.
    pub(crate) security: u16,
    /// Instance of object 1; none for a bootstrap server.
    pub(crate) instance: Option<u16>,
    /// Short Server ID; 0 for a bootstrap server.
    pub(crate) id: u16,
    pub(crate) uri: String,
    /// Seconds before a bootstrap is asked for.
    pub(crate) hold_off: u64,
    /// Seconds after which a bootstrap account is purged; 0: never.
    pub(crate) purge_after: u64,
    pub(crate) settings: Settings,
}

/// What object 1 says, with the defaults of the specification for what it leaves out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Seconds; 0: for ever.
    pub(crate) lifetime: u64,
    pub(crate) pmin: u32,
    pub(crate) pmax: Option<u32>,
    /// Seconds that a Disable lasts.
    pub(crate) disable: u64,
    pub(crate) storing: bool,
    pub(crate) binding: String,
    pub(crate) priority: Option<u64>,
    /// Seconds before the first registration.
    pub(crate) initial_delay: u64,
    pub(crate) block_on_failure: bool,
    pub(crate) bootstrap_on_failure: bool,
    pub(crate) retry_count: u64,
    /// Seconds.
    pub(crate) retry_timer: u64,
    /// Seconds.
    pub(crate) sequence_delay: u64,
    pub(crate) sequence_count: u64,
    pub(crate) mute_send: bool,
}

/// Why the accounts cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Inconsistent {
    #[error("there is no server to register with")]
    None,
    #[error("there are two bootstrap servers")]
    TwoBootstrap,
    #[error("there are too many accounts")]
    TooMany,
    #[error("the Short Server ID of security instance {0} is missing, out of range or used twice")]
    Id(u16),
    #[error("no instance of object 1 has the Short Server ID of security instance {0}")]
    NoServer(u16),
    #[error("the URI of security instance {0} does not fit its security mode")]
    Uri(u16),
    #[error("the keys of security instance {0} are missing")]
    Keys(u16),
}

struct Reader<'a> {
    objects: &'a dyn Objects,
    object: u16,
    instance: u16,
}

impl Reader<'_> {
    fn value(&self, resource: u16) -> Option<Value> {
        let path = Path::resource(self.object, self.instance, resource);
        self.objects.read(path).ok()?.single().cloned()
    }

    fn seconds(&self, resource: u16) -> Option<u64> {
        self.value(resource)?.integer().and_then(|n| u64::try_from(n).ok())
    }

    fn flag(&self, resource: u16) -> Option<bool> {
        match self.value(resource)? {
            Value::Boolean(yes) => Some(yes),
            _ => None,
        }
    }

    fn text(&self, resource: u16) -> Option<String> {
        match self.value(resource)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn is_filled(&self, resource: u16) -> bool {
        matches!(self.value(resource), Some(Value::Opaque(bytes)) if !bytes.is_empty())
    }

    fn server_id(&self, resource: u16) -> Option<u16> {
        let id = self.value(resource)?.integer().and_then(|n| u16::try_from(n).ok());
        id.filter(|id| *id != 0 && *id != ID_NONE)
    }

    fn settings(&self) -> Settings {
        let short = |resource| self.seconds(resource).and_then(|n| u32::try_from(n).ok());
        Settings {
            lifetime: self.seconds(1).unwrap_or(86_400),
            pmin: short(2).unwrap_or(0),
            // A period of 0 is none.
            pmax: short(3).filter(|pmax| *pmax != 0),
            disable: self.seconds(5).unwrap_or(86_400),
            storing: self.flag(6).unwrap_or(true),
            binding: self.text(7).unwrap_or_else(|| "U".to_owned()),
            priority: self.seconds(13),
            initial_delay: self.seconds(14).unwrap_or(0),
            block_on_failure: self.flag(15).unwrap_or(false),
            bootstrap_on_failure: self.flag(16).unwrap_or(true),
            retry_count: self.seconds(17).unwrap_or(5).max(1),
            retry_timer: self.seconds(18).unwrap_or(60).max(1),
            sequence_delay: self.seconds(19).unwrap_or(86_400),
            sequence_count: self.seconds(20).unwrap_or(1).max(1),
            // Without the resource nothing may be sent.
            mute_send: self.flag(23).unwrap_or(true),
        }
    }
}

/// What object 1 says about the server `id`, and its instance.
pub(crate) fn settings(objects: &dyn Objects, id: u16) -> Option<(u16, Settings)> {
    let instances = objects.instances(SERVER);
    let reader = |instance| Reader { objects, object: SERVER, instance };
    let instance = instances.into_iter().find(|instance| reader(*instance).server_id(0) == Some(id))?;
    Some((instance, reader(instance).settings()))
}

/// One account, if everything that it needs is there.
fn account(objects: &dyn Objects, security: u16) -> Result<Account, Inconsistent> {
    let reader = Reader { objects, object: SECURITY, instance: security };
    let uri = reader.text(0).filter(|uri| uri.len() <= URI_BYTES_MAX).ok_or(Inconsistent::Uri(security))?;
    let mode = reader.seconds(2);
    let fits = match mode {
        Some(3) => uri.starts_with("coap://"),
        Some(0..=2 | 4) => uri.starts_with("coaps://"),
        _ => false,
    };
    if !fits {
        return Err(Inconsistent::Uri(security));
    }
    let wanted: &[u16] = match mode {
        Some(0) => &[3, 5],
        Some(1 | 2) => &[3, 4, 5],
        _ => &[],
    };
    if !wanted.iter().all(|resource| reader.is_filled(*resource)) {
        return Err(Inconsistent::Keys(security));
    }
    let bootstrap = reader.flag(1).unwrap_or(false);
    let found = if bootstrap {
        None
    } else {
        let id = reader.server_id(10).ok_or(Inconsistent::Id(security))?;
        let (instance, settings) = settings(objects, id).ok_or(Inconsistent::NoServer(security))?;
        Some((id, instance, settings))
    };
    let (id, instance, settings) = match found {
        Some((id, instance, settings)) => (id, Some(instance), settings),
        // Resources that are not there have their defaults.
        None => (0, None, Reader { objects, object: SERVER, instance: ID_NONE }.settings()),
    };
    Ok(Account {
        security,
        instance,
        id,
        uri,
        hold_off: reader.seconds(11).unwrap_or(0),
        purge_after: reader.seconds(12).unwrap_or(0),
        settings,
    })
}

/// The accounts that can be used: those to register with, and the bootstrap server.
pub(crate) fn usable(objects: &dyn Objects) -> (Vec<Account>, Option<Account>) {
    let instances = objects.instances(SECURITY);
    let all = instances.into_iter().take(ACCOUNTS_MAX).filter_map(|id| account(objects, id).ok());
    let (mut servers, mut bootstrap): (Vec<_>, Vec<_>) = all.partition(|account| account.instance.is_some());
    let mut seen = Vec::new();
    servers.retain(|account| {
        let new = !seen.contains(&account.id);
        seen.push(account.id);
        new
    });
    bootstrap.truncate(1);
    (servers, bootstrap.pop())
}

/// Whether everything that a bootstrap brought fits together: asked at Bootstrap-Finish.
pub(crate) fn check(objects: &dyn Objects) -> Result<(), Inconsistent> {
    let instances = objects.instances(SECURITY);
    if instances.len() > ACCOUNTS_MAX {
        return Err(Inconsistent::TooMany);
    }
    let (mut seen, mut bootstrap) = (Vec::new(), 0_usize);
    for security in instances {
        let account = account(objects, security)?;
        if account.instance.is_none() {
            bootstrap = bootstrap.saturating_add(1);
        } else if seen.contains(&account.id) {
            return Err(Inconsistent::Id(security));
        } else {
            seen.push(account.id);
        }
    }
    match (seen.is_empty(), bootstrap) {
        (true, _) => Err(Inconsistent::None),
        (false, 0 | 1) => Ok(()),
        _ => Err(Inconsistent::TwoBootstrap),
    }
}
