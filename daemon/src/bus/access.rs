//! Who may change things. Everybody may look.
//!
//! Root and the daemon's own user always may. Of everybody else polkit decides, one action for each verb; on a device
//! without polkit, the members of one group may. The bus says who a caller is; nothing that it says of itself counts.

mod action;
mod polkit;
mod stricter;

use std::sync::Mutex;

use nix::unistd::{Gid, Group, Uid, User};
use scomo_core::command::{Caller, Command, Terms};
use scomo_core::state::State;
use scomo_dbus::Error;
use zbus::Connection;
use zbus::fdo::{ConnectionCredentials, DBusProxy};
use zbus::message::{Flags, Header};
use zbus::names::{BusName, UniqueName};

use crate::config::{Settings, UsePolkit};
use action::Action;
use polkit::{Polkit, Question};
use stricter::Unsigned;

/// Decides who may change things.
#[derive(Debug)]
pub struct Access {
    bus: DBusProxy<'static>,
    polkit: Polkit,
    use_polkit: UsePolkit,
    unsigned: Unsigned,
    group: String,
    own_uid: u32,
    /// The group's id, looked up when it is first needed: a group made after the daemon's start counts too.
    gid: Mutex<Option<Gid>>,
}

/// A caller, as the bus knows it.
struct Known {
    sender: UniqueName<'static>,
    uid: u32,
    name: String,
    groups: Vec<u32>,
}

impl Access {
    /// Access as the configuration says, for callers on this bus.
    pub fn new(bus: DBusProxy<'static>, settings: &Settings) -> Self {
        Self {
            polkit: Polkit::new(bus.clone()),
            bus,
            use_polkit: settings.daemon.polkit,
            unsigned: Unsigned::of(&settings.workers),
            group: settings.daemon.group.clone(),
            own_uid: Uid::effective().as_raw(),
            gid: Mutex::default(),
        }
    }

    /// The bus that callers are on.
    pub fn bus(&self) -> &Connection {
        self.bus.inner().connection()
    }

    /// The caller, if it may give this command on these terms in this state.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] otherwise.
    pub async fn may_give(
        &self,
        header: &Header<'_>,
        terms: &Terms,
        command: &Command,
        state: &State,
    ) -> Result<Caller, Error> {
        let stricter = stricter::actions(state, &self.unsigned, terms, command);
        self.may(header, [Action::of_command(command)].into_iter().chain(stricter)).await
    }

    /// Whether a caller that may give this command may go back to an older version by it, where that shows only later.
    /// Nobody is asked for a password for what may not happen.
    ///
    /// # Errors
    /// When the bus does not say who the caller is, or whether polkit is there.
    pub async fn may_downgrade(
        &self,
        header: &Header<'_>,
        command: &Command,
        state: &State,
    ) -> Result<bool, Error> {
        let caller = self.caller(header).await?;
        if !stricter::is_unseen(state, command) || self.is_trusted(&caller) || !self.polkit_decides().await? {
            return Ok(true);
        }
        let (sender, uid, who) = (&caller.sender, caller.uid, caller.name.as_str());
        let question = Question { sender, uid, who, interactive: false };
        Ok(self.polkit.check(&question, Action::Downgrade).await.is_ok())
    }

    /// The caller, if it may call this method. For methods that do not end in a command.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] otherwise.
    pub async fn may_call(&self, header: &Header<'_>) -> Result<Caller, Error> {
        let action = Action::of_method(header).ok_or_else(|| {
            // A method that is forgotten in the table is refused, for root too: nobody can overlook that.
            Error::AccessDenied("nobody may call this method: no action is known for it".to_owned())
        })?;
        self.may(header, [action]).await
    }

    async fn may(
        &self,
        header: &Header<'_>,
        actions: impl IntoIterator<Item = Action>,
    ) -> Result<Caller, Error> {
        let caller = self.caller(header).await?;
        let allowed = if self.is_trusted(&caller) {
            Ok(())
        } else if self.polkit_decides().await? {
            let interactive = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
            let question =
                Question { sender: &caller.sender, uid: caller.uid, who: &caller.name, interactive };
            self.ask(&question, actions).await
        } else if self.gid().is_some_and(|gid| caller.groups.contains(&gid.as_raw())) {
            Ok(())
        } else {
            Err(self.denied(&caller.name))
        };
        if let Err(error) = allowed {
            let (uid, user) = (caller.uid, &caller.name);
            tracing::warn!(uid, user, "a caller may not change something: {}", error.message());
            return Err(error);
        }
        Ok(Caller { uid: caller.uid, name: caller.name })
    }

    async fn ask(
        &self,
        question: &Question<'_>,
        actions: impl IntoIterator<Item = Action>,
    ) -> Result<(), Error> {
        for action in actions {
            self.polkit.check(question, action).await?;
        }
        Ok(())
    }

    fn is_trusted(&self, caller: &Known) -> bool {
        caller.uid == 0 || caller.uid == self.own_uid
    }

    async fn polkit_decides(&self) -> Result<bool, Error> {
        match self.use_polkit {
            UsePolkit::Never => Ok(false),
            UsePolkit::Auto => self.polkit.is_there().await,
            // Without it the question fails, and says so.
            UsePolkit::Always => Ok(true),
        }
    }

    async fn caller(&self, header: &Header<'_>) -> Result<Known, Error> {
        let nameless = || self.denied("a caller without a name on the bus");
        let sender = header.sender().ok_or_else(nameless)?.to_owned();
        let credentials = self.credentials(&sender).await?;
        let uid = credentials.unix_user_id().ok_or_else(|| self.denied("an unknown user"))?;
        let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        let name = name.unwrap_or_else(|| format!("uid {uid}"));
        let groups = credentials.unix_group_ids().cloned().unwrap_or_default();
        Ok(Known { sender, uid, name, groups })
    }

    /// Number of the caller's process; 0: the bus does not know.
    pub async fn process(&self, header: &Header<'_>) -> u32 {
        let Some(sender) = header.sender() else { return 0 };
        let credentials = self.credentials(&sender.to_owned()).await.ok();
        credentials.and_then(|credentials| credentials.process_id()).unwrap_or_default()
    }

    async fn credentials(&self, sender: &UniqueName<'static>) -> Result<ConnectionCredentials, Error> {
        let credentials = self.bus.get_connection_credentials(BusName::from(sender.clone())).await;
        credentials.map_err(|error| Error::Failed(format!("the bus does not say who the caller is: {error}")))
    }

    fn gid(&self) -> Option<Gid> {
        let mut gid = self.gid.lock().ok()?;
        if gid.is_none() {
            *gid = Group::from_name(&self.group).ok().flatten().map(|group| group.gid);
        }
        *gid
    }

    fn denied(&self, who: &str) -> Error {
        let group = &self.group;
        Error::AccessDenied(format!(
            "{who} may only look; changing things needs root or membership of the group '{group}'"
        ))
    }
}
