//! Who may change things: root, the daemon's own user, and the members of one group. Everybody may look.
//!
//! The bus daemon says who a caller is; nothing that the caller says of itself counts.

use std::sync::Mutex;

use nix::unistd::{Gid, Group, Uid, User};
use scomo_core::command::Caller;
use scomo_dbus::Error;
use zbus::fdo::{ConnectionCredentials, DBusProxy};
use zbus::message::Header;
use zbus::names::BusName;

/// Decides who may change things.
#[derive(Debug)]
pub struct Access {
    bus: DBusProxy<'static>,
    group: String,
    own_uid: u32,
    /// The group's id, looked up when it is first needed: a group made after the daemon's start counts too.
    gid: Mutex<Option<Gid>>,
}

impl Access {
    /// Access for root, the own user and members of `group`.
    pub fn new(bus: DBusProxy<'static>, group: &str) -> Self {
        Self { bus, group: group.to_owned(), own_uid: Uid::effective().as_raw(), gid: Mutex::default() }
    }

    /// The caller, if it may change things.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] otherwise.
    pub async fn may_change(&self, header: &Header<'_>) -> Result<Caller, Error> {
        let credentials = self.credentials(header).await?;
        let uid = credentials.unix_user_id().ok_or_else(|| denied(&self.group, "an unknown user"))?;
        let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        let name = name.unwrap_or_else(|| format!("uid {uid}"));
        let groups = credentials.unix_group_ids().map(Vec::as_slice).unwrap_or_default();
        if uid == 0 || uid == self.own_uid || self.gid().is_some_and(|gid| groups.contains(&gid.as_raw())) {
            return Ok(Caller { uid, name });
        }
        tracing::warn!(uid, user = name, "a caller that may only look tried to change something");
        Err(denied(&self.group, &name))
    }

    async fn credentials(&self, header: &Header<'_>) -> Result<ConnectionCredentials, Error> {
        let sender =
            header.sender().ok_or_else(|| denied(&self.group, "a caller without a name on the bus"))?;
        let credentials = self.bus.get_connection_credentials(BusName::from(sender.to_owned())).await;
        credentials.map_err(|error| Error::Failed(format!("the bus does not say who the caller is: {error}")))
    }

    fn gid(&self) -> Option<Gid> {
        let mut gid = self.gid.lock().ok()?;
        if gid.is_none() {
            *gid = Group::from_name(&self.group).ok().flatten().map(|group| group.gid);
        }
        *gid
    }
}

fn denied(group: &str, who: &str) -> Error {
    Error::AccessDenied(format!(
        "{who} may only look; changing things needs root or membership of the group '{group}'"
    ))
}
