//! What people and their programs say to the policy: hold back, approve, refuse, ask, restart.

use std::time::Duration;

use scomo_core::command::{Command, Terms};
use scomo_core::failure::{Failure, FailureKind};
use scomo_core::id::JobId;
use scomo_dbus::{Error, Manager, OptionMap, OptionReader, PropertyMap};
use serde_json::Value;
use zbus::message::Header;
use zbus::{OwnedFd, OwnedObjectPath, Variant};

use super::Served;
use super::methods::{Answer, no_options, owned};
use crate::policy::{Answer as Said, ITEMS_MAX, Inhibitor, Question, TEXT_BYTES_MAX, fit, points};

/// Seconds to answer a question without the option `timeout-s`, and most of them.
const ANSWER_S: (u32, u32) = (60, 600);

impl Served<Manager> {
    pub(super) async fn on_inhibit(
        &self,
        what: String,
        why: String,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OwnedFd> {
        let mut reader = OptionReader::new(&options);
        let who: Option<String> = reader.get("who")?;
        reader.finish()?;
        let caller = self.door.access.may_call(header).await?;
        let what = points(&what)?;
        let pid = self.door.access.process(header).await;
        let policy = &self.door.policy;
        let since = policy.now();
        let inhibitor = Inhibitor { what, who: who.unwrap_or(caller.name), why, uid: caller.uid, pid, since };
        Ok(policy.inhibitors.take(inhibitor)?.into())
    }

    pub(super) async fn on_register_agent(
        &self,
        path: OwnedObjectPath,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<()> {
        no_options(&options)?;
        let caller = self.door.access.may_call(header).await?;
        let nameless = || Error::AccessDenied("an agent needs a name on the bus".to_owned());
        let owner = header.sender().ok_or_else(nameless)?.to_owned();
        self.door.policy.agents.register(self.door.access.bus(), owner, caller.uid, path).await
    }

    pub(super) async fn on_ask_user(
        &self,
        kind: String,
        text: String,
        choices: Vec<String>,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<OptionMap> {
        self.door.access.may_call(header).await?;
        let mut reader = OptionReader::new(&options);
        let seconds: u32 = reader.get("timeout-s")?.unwrap_or(ANSWER_S.0);
        let question = question(&kind, choices, &mut reader)?;
        reader.finish()?;
        if seconds == 0 || seconds > ANSWER_S.1 {
            return Err(Error::InvalidArgument(format!("option 'timeout-s' is from 1 to {}", ANSWER_S.1)));
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLong(format!("a question has at most {TEXT_BYTES_MAX} bytes")));
        }
        let patience = Duration::from_secs(seconds.into());
        let said = self.door.policy.agents.ask(&text, &question, patience).await?;
        owned(answer(said, &question))
    }

    pub(super) async fn on_approve(&self, job: u64, options: OptionMap, header: &Header<'_>) -> Answer<()> {
        no_options(&options)?;
        self.door.access.may_call(header).await?;
        self.door.policy.approve(&self.door.view().state, JobId(job))
    }

    pub(super) async fn on_refuse(&self, job: u64, options: OptionMap, header: &Header<'_>) -> Answer<()> {
        let mut reader = OptionReader::new(&options);
        let reason: Option<String> = reader.get("reason")?;
        reader.finish()?;
        let caller = self.door.access.may_call(header).await?;
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let detail = format!("{} refused the update{reason}", caller.name);
        let failure = Failure::new(FailureKind::Cancelled, detail);
        let command = Command::Refuse { job: JobId(job), failure };
        self.door.submit(caller, Terms::default(), command).await?;
        Ok(())
    }

    pub(super) async fn on_reboot(&self, options: OptionMap, header: &Header<'_>) -> Answer<()> {
        let mut reader = OptionReader::new(&options);
        let ignore = reader.get::<bool>("ignore-inhibitors")?.unwrap_or_default();
        reader.finish()?;
        self.door.access.may_call(header).await?;
        self.door.policy.restart_now(&self.door.view().state, ignore).await
    }

    pub(super) async fn on_policy(&self, options: OptionMap, _header: &Header<'_>) -> Answer<OptionMap> {
        no_options(&options)?;
        let policy = &self.door.policy;
        let (open, next) = policy.window();
        let config = serde_json::to_value(policy.config());
        let config = config.map_err(|error| Error::Failed(format!("cannot tell the policy: {error}")))?;
        let text = |key: &str| {
            let text = config.get(key).and_then(Value::as_str).unwrap_or_default();
            Variant::from(text.to_owned())
        };
        let windows = config.get("windows").and_then(Value::as_array).into_iter().flatten();
        let windows: Vec<String> = windows.filter_map(Value::as_str).map(str::to_owned).collect();
        owned(PropertyMap::from([
            ("Download", text("download")),
            ("Install", text("install")),
            ("Reboot", text("reboot")),
            ("TimeZone", text("time_zone")),
            ("Windows", Variant::from(windows)),
            ("WindowOpen", Variant::from(open)),
            ("NextWindow", Variant::from(next.unwrap_or_default().0)),
        ]))
    }
}

fn question(kind: &str, items: Vec<String>, reader: &mut OptionReader<'_>) -> Answer<Question> {
    if !items.is_empty() && kind != "choice" {
        return Err(Error::InvalidArgument("only a choice has items".to_owned()));
    }
    Ok(match kind {
        "display" => Question::Display,
        "confirm" => Question::Confirm(reader.get("default")?),
        "input" => Question::Input {
            default: reader.get("default")?,
            hidden: reader.get("hidden")?.unwrap_or_default(),
            max_length: reader.get("max-length")?,
        },
        "choice" => {
            let bytes = items.iter().map(String::len).fold(0, usize::saturating_add);
            if items.is_empty() || items.len() > ITEMS_MAX || bytes > TEXT_BYTES_MAX {
                return Err(Error::InvalidArgument(format!(
                    "a choice has 1 to {ITEMS_MAX} items of at most {TEXT_BYTES_MAX} bytes together"
                )));
            }
            let multiple = reader.get("multiple")?.unwrap_or_default();
            let default: Option<Vec<u32>> = reader.get("default")?;
            if default.as_ref().is_some_and(|default| !fit(default, &items, multiple)) {
                return Err(Error::InvalidArgument("option 'default' is not among the items".to_owned()));
            }
            Question::Choice { items, default, multiple }
        }
        _ => {
            let text = format!("a question is display, confirm, input or choice, not '{kind}'");
            return Err(Error::InvalidArgument(text));
        }
    })
}

fn answer(said: Option<Said>, question: &Question) -> PropertyMap {
    let mut map = PropertyMap::from([("Answered", Variant::from(said.is_some()))]);
    match said.or_else(|| question.default_answer()) {
        None | Some(Said::Seen) => {}
        Some(Said::Yes(yes)) => drop(map.insert("Yes", Variant::from(yes))),
        Some(Said::Text(text)) => drop(map.insert("Text", Variant::from(text))),
        Some(Said::Chosen(chosen)) => drop(map.insert("Chosen", Variant::from(chosen))),
    }
    map
}
