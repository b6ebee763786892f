//! Asking polkit. It is asked for the caller's name on the bus, so that it looks itself who that is.
//!
//! An error or a late answer is a refusal that says so: nothing is allowed because somebody did not answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scomo_dbus::Error;
use zbus::Variant;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, UniqueName, WellKnownName};
use zbus::proxy::CacheProperties;

use super::action::Action;

/// polkit's name on the bus.
const NAME: WellKnownName<'static> = WellKnownName::from_static_str_unchecked("org.freedesktop.PolicyKit1");
/// How long polkit may take when nobody has to be asked. It may have to be started, on a slow device.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long somebody may take to find and type a password.
const INTERACTION_MAX: Duration = Duration::from_secs(120);
/// Questions of one user that may be open at a time. A person has one or two; each costs memory here and in polkit.
const OPEN_MAX: usize = 4;
/// `AllowUserInteraction` of polkit's CheckAuthorizationFlags.
const ALLOW_USER_INTERACTION: u32 = 1;

#[zbus::proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority"
)]
trait Authority {
    /// Gives: is authorized, would be after a challenge, details.
    fn check_authorization(
        &self,
        subject: (&str, HashMap<&str, Variant<'_>>),
        action_id: &str,
        details: HashMap<&str, &str>,
        flags: u32,
        cancellation_id: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;

    fn cancel_check_authorization(&self, cancellation_id: &str) -> zbus::Result<()>;
}

/// Who asks, and whether it may be asked back.
#[derive(Debug)]
pub struct Question<'a> {
    /// The caller's unique name on the bus.
    pub sender: &'a UniqueName<'static>,
    /// Its user.
    pub uid: u32,
    /// That user's name, for messages.
    pub who: &'a str,
    /// Whether the caller allows that a person is asked for a password.
    pub interactive: bool,
}

/// A client of polkit.
#[derive(Debug)]
pub struct Polkit {
    bus: DBusProxy<'static>,
    /// Open questions by user.
    open: Mutex<BTreeMap<u32, usize>>,
    /// Number of the newest question; names it when it is given up.
    last: AtomicU64,
}

impl Polkit {
    /// A client on the bus.
    pub fn new(bus: DBusProxy<'static>) -> Self {
        Self { bus, open: Mutex::default(), last: AtomicU64::new(0) }
    }

    /// Whether the device has polkit: it runs, or the bus can start it.
    pub async fn is_there(&self) -> Result<bool, Error> {
        let unknown = |error| Error::Failed(format!("the bus does not say whether polkit is there: {error}"));
        if self.bus.name_has_owner(BusName::from(NAME)).await.map_err(unknown)? {
            return Ok(true);
        }
        let names = self.bus.list_activatable_names().await.map_err(unknown)?;
        Ok(names.iter().any(|name| name.as_str() == NAME.as_str()))
    }

    /// Whether polkit allows the action.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] when it does not, or does not say. [`Error::Busy`] when the user asks too much at once.
    pub async fn check(&self, question: &Question<'_>, action: Action) -> Result<(), Error> {
        let _open = self.open(question.uid)?;
        let patience = if question.interactive { INTERACTION_MAX } else { ANSWER_MAX };
        let denied = |why: String| {
            let (who, doing, id) = (question.who, action.doing(), action.id());
            Err(Error::AccessDenied(format!("{who} may not {doing} ({id}): {why}")))
        };
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let cancellation = format!("scomo-{number}");
        let (authorized, challenge, details) =
            match tokio::time::timeout(patience, self.ask(question, action, &cancellation)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    return denied(format!("polkit does not answer, see 'systemctl status polkit': {error}"));
                }
                Err(_) => {
                    self.give_up(&cancellation).await;
                    return denied(format!("polkit did not answer within {} s", patience.as_secs()));
                }
            };
        if authorized {
            return Ok(());
        }
        if details.contains_key("polkit.dismissed") {
            return denied("the question for a password was dismissed".to_owned());
        }
        denied(match (challenge, question.interactive) {
            (false, _) => "polkit's rules forbid it".to_owned(),
            (true, false) => {
                "it needs a password; call again and allow interaction, or call as root".to_owned()
            }
            (true, true) => {
                "it needs a password and nothing can ask for it; start 'pkttyagent', or call as root"
                    .to_owned()
            }
        })
    }

    async fn authority(&self) -> zbus::Result<AuthorityProxy<'static>> {
        let connection = self.bus.inner().connection();
        AuthorityProxy::builder(connection).cache_properties(CacheProperties::No).build().await
    }

    async fn ask(
        &self,
        question: &Question<'_>,
        action: Action,
        cancellation: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)> {
        let name = HashMap::from([("name", Variant::from(question.sender.as_str()))]);
        let flags = if question.interactive { ALLOW_USER_INTERACTION } else { 0 };
        let authority = self.authority().await?;
        authority
            .check_authorization(("system-bus-name", name), action.id(), HashMap::new(), flags, cancellation)
            .await
    }

    /// Takes a question back. Nothing is waited for: what did not answer may not answer this either.
    async fn give_up(&self, cancellation: &str) {
        let Ok(authority) = self.authority().await else { return };
        let sent = authority.inner().call_noreply("CancelCheckAuthorization", &(cancellation,)).await;
        if let Err(error) = sent {
            tracing::debug!("cannot take a question to polkit back: {error}");
        }
    }

    fn open(&self, uid: u32) -> Result<Open<'_>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(uid).or_default();
        if *count >= OPEN_MAX {
            let text = "too many calls of yours wait for polkit; answer its questions first";
            return Err(Error::Busy(text.to_owned()));
        }
        *count += 1;
        Ok(Open { polkit: self, uid })
    }
}

/// An open question; closed when it is dropped.
struct Open<'a> {
    polkit: &'a Polkit,
    uid: u32,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut open = self.polkit.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
        }
        open.retain(|_, count| *count > 0);
    }
}
