//! Agents: clients through which people can be asked. The newest one is asked first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use scomo_dbus::{AgentProxy, Error, Options};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, UniqueName};
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath, Variant};

/// Most agents in all, and of one user: a device has few screens.
const AGENTS_MAX: usize = 16;
const OF_USER_MAX: usize = 4;
/// Questions that may be open at a time; a person answers one after the other.
const OPEN_MAX: usize = 4;
/// Longest text of a question, and of an answer, in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Most items to choose from.
pub const ITEMS_MAX: usize = 64;

/// A question to people, with what counts as the answer when they do not give one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Shows a text.
    Display,
    /// Yes or no.
    Confirm(Option<bool>),
    /// A text.
    Input {
        /// Without an answer.
        default: Option<String>,
        /// What is typed is not shown.
        hidden: bool,
        /// Most characters.
        max_length: Option<u32>,
    },
    /// One or several of some items.
    Choice {
        /// What there is to choose from.
        items: Vec<String>,
        /// Without an answer, by position.
        default: Option<Vec<u32>>,
        /// Any number of them; otherwise exactly one.
        multiple: bool,
    },
}

/// What people said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// They were shown the text.
    Seen,
    /// Yes or no.
    Yes(bool),
    /// A text.
    Text(String),
    /// Items by position.
    Chosen(Vec<u32>),
}

impl Question {
    /// What counts when nobody answers.
    pub fn default_answer(&self) -> Option<Answer> {
        match self {
            Self::Display => None,
            Self::Confirm(default) => default.map(Answer::Yes),
            Self::Input { default, .. } => default.clone().map(Answer::Text),
            Self::Choice { default, .. } => default.clone().map(Answer::Chosen),
        }
    }

    /// Whether it is an answer to this question. Agents are clients like others.
    fn fits(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Display, Answer::Seen) | (Self::Confirm(_), Answer::Yes(_)) => true,
            (Self::Input { max_length, .. }, Answer::Text(text)) => {
                let most = max_length.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
                text.len() <= TEXT_BYTES_MAX && text.chars().count() <= most
            }
            (Self::Choice { items, multiple, .. }, Answer::Chosen(chosen)) => fit(chosen, items, *multiple),
            _ => false,
        }
    }
}

/// Whether these are different items, and as many as there may be.
pub fn fit(chosen: &[u32], items: &[String], multiple: bool) -> bool {
    let there = |item: &u32| usize::try_from(*item).is_ok_and(|item| item < items.len());
    let mut sorted = chosen.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    chosen.iter().all(there) && sorted.len() == chosen.len() && (multiple || chosen.len() == 1)
}

#[derive(Debug, Clone)]
struct Agent {
    number: u64,
    owner: UniqueName<'static>,
    uid: u32,
    proxy: AgentProxy<'static>,
}

/// Every agent that is registered.
#[derive(Debug, Clone)]
pub struct Agents {
    list: Arc<Mutex<Vec<Agent>>>,
    open: Arc<Semaphore>,
    changed: watch::Sender<()>,
}

impl Agents {
    /// None yet. Whoever listens is told when one comes or goes.
    pub fn new(changed: watch::Sender<()>) -> Self {
        Self { list: Arc::default(), open: Arc::new(Semaphore::new(OPEN_MAX)), changed }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.list).len()
    }

    /// Registers an object of a client, until the client leaves the bus.
    ///
    /// # Errors
    /// When there are too many, or the client is gone already.
    pub async fn register(
        &self,
        bus: &Connection,
        owner: UniqueName<'static>,
        uid: u32,
        path: OwnedObjectPath,
    ) -> Result<(), Error> {
        let dbus = DBusProxy::new(bus).await?;
        let name = owner.clone();
        // Listened for before it is looked at, so that no end is missed.
        let mut ends = dbus.receive_name_owner_changed_with_args(&[(0, name.as_str())]).await?;
        if !dbus.name_has_owner(BusName::from(owner.clone())).await.map_err(zbus::Error::from)? {
            return Err(Error::Failed("the agent left the bus".to_owned()));
        }
        let proxy = AgentProxy::builder(bus).destination(owner.clone()).path(path);
        let proxy = proxy.cache_properties(CacheProperties::No).build().await?;
        let number = self.add(owner, uid, proxy)?;
        self.changed.send_replace(());
        let agents = self.clone();
        tokio::spawn(async move {
            let _end = ends.next().await;
            lock(&agents.list).retain(|agent| agent.number != number);
            agents.changed.send_replace(());
        });
        Ok(())
    }

    fn add(&self, owner: UniqueName<'static>, uid: u32, proxy: AgentProxy<'static>) -> Result<u64, Error> {
        let mut list = lock(&self.list);
        let same = |agent: &Agent| agent.owner == owner && agent.proxy.inner().path() == proxy.inner().path();
        list.retain(|agent| !same(agent));
        if list.len() >= AGENTS_MAX || list.iter().filter(|agent| agent.uid == uid).count() >= OF_USER_MAX {
            return Err(Error::LimitReached(format!(
                "there are at most {OF_USER_MAX} agents of one user and {AGENTS_MAX} in all"
            )));
        }
        let number = list.iter().map(|agent| agent.number).max().unwrap_or_default().saturating_add(1);
        list.push(Agent { number, owner, uid, proxy });
        Ok(number)
    }

    /// Asks people. `None`: nobody answered in time, or nobody is there.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many questions are open.
    pub async fn ask(
        &self,
        text: &str,
        question: &Question,
        patience: Duration,
    ) -> Result<Option<Answer>, Error> {
        let busy = |_| Error::Busy("too many questions are open; answer them first".to_owned());
        let _open = self.open.try_acquire().map_err(busy)?;
        let until = Instant::now() + patience;
        let mut agents = lock(&self.list).clone();
        // One that does not work must not keep the others from being asked.
        while let Some(agent) = agents.pop() {
            let left = until.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, put(&agent.proxy, text, question, left)).await {
                Ok(Ok(answer)) if question.fits(&answer) => return Ok(Some(answer)),
                Ok(Ok(_)) => tracing::warn!(agent = %agent.owner, "an agent gave an answer that is none"),
                Ok(Err(error)) => tracing::info!(agent = %agent.owner, "an agent did not answer: {error}"),
                Err(_) => break,
            }
        }
        Ok(None)
    }
}

fn lock(list: &Mutex<Vec<Agent>>) -> MutexGuard<'_, Vec<Agent>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn put(
    agent: &AgentProxy<'_>,
    text: &str,
    question: &Question,
    left: Duration,
) -> zbus::Result<Answer> {
    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
    let mut options = Options::from([("timeout-s", Variant::from(seconds))]);
    Ok(match question {
        Question::Display => {
            agent.display(text, options).await?;
            Answer::Seen
        }
        Question::Confirm(default) => {
            options.extend(default.map(|default| ("default", Variant::from(default))));
            Answer::Yes(agent.confirm(text, options).await?)
        }
        Question::Input { default, hidden, max_length } => {
            options.extend(default.as_ref().map(|default| ("default", Variant::from(default.as_str()))));
            options.extend(max_length.map(|most| ("max-length", Variant::from(most))));
            options.insert("hidden", Variant::from(*hidden));
            Answer::Text(agent.input(text, options).await?)
        }
        Question::Choice { items, default, multiple } => {
            options.extend(default.as_ref().map(|default| ("default", Variant::from(default.clone()))));
            options.insert("multiple", Variant::from(*multiple));
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            Answer::Chosen(agent.choice(text, &items, options).await?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_be_one_to_the_question() {
        let items = ["a", "b", "c"].map(str::to_owned).to_vec();
        let choice = |multiple| Question::Choice { items: items.clone(), default: None, multiple };
        let chosen = |chosen: &[u32]| Answer::Chosen(chosen.to_vec());
        assert!(choice(false).fits(&chosen(&[2])) && choice(true).fits(&chosen(&[2, 0])));
        assert!(choice(true).fits(&chosen(&[])));
        for wrong in [chosen(&[]), chosen(&[0, 1]), chosen(&[3]), Answer::Yes(true)] {
            assert!(!choice(false).fits(&wrong), "{wrong:?}");
        }
        assert!(!choice(true).fits(&chosen(&[1, 1])), "twice");
        let input = Question::Input { default: None, hidden: false, max_length: Some(2) };
        assert!(input.fits(&Answer::Text("éé".to_owned())) && !input.fits(&Answer::Text("abc".to_owned())));
        assert!(!Question::Confirm(Some(true)).fits(&Answer::Seen));
    }

    #[test]
    fn a_default_is_the_answer_when_nobody_gives_one() {
        assert_eq!(Question::Confirm(Some(false)).default_answer(), Some(Answer::Yes(false)));
        assert_eq!(Question::Confirm(None).default_answer(), None);
        assert_eq!(Question::Display.default_answer(), None);
    }
}
