//! Maintenance windows: times of the week, in one time zone. Pure; the time is an input.
//!
//! A window is meant by the clock on the wall. When a zone skips its start or its end, that comes later by as much as is
//! skipped; when nothing would be left of the window, it keeps its length. When a zone repeats its start or its end, the
//! first one counts.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use scomo_core::id::Millis;
use serde::{Deserialize, Serialize};

/// Most windows in the configuration: one for each hour of the week, and every look goes through all of them.
pub const WINDOWS_MAX: usize = 168;
/// Days to look ahead for the next one: a week, and a day for one that a change of the clock cancelled or moved.
const DAYS_AHEAD: i64 = 8;

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];
const MINUTES_OF_DAY: u16 = 24 * 60;

/// One time of the week, for example `Mon-Fri 01:00-05:00`, `Sat,Sun 22:00-04:00` or `02:00-03:00` for every day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    text: String,
    /// By the index in [`DAYS`].
    days: [bool; 7],
    /// Minutes since midnight.
    start: u16,
    /// Minutes since the midnight of the day on which it starts; more than a day when it goes over midnight.
    end: u16,
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = |why: &str| {
            format!("'{text}' is not a maintenance window ({why}); write it as 'Mon-Fri 01:00-05:00'")
        };
        let (days, hours) = match text.trim().rsplit_once(' ') {
            Some((days, hours)) => (days.trim(), hours),
            None => ("Mon-Sun", text.trim()),
        };
        let days = days_of(days).ok_or_else(|| wrong("days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"))?;
        let (start, end) = hours.split_once('-').ok_or_else(|| wrong("it has no end"))?;
        let start = minutes(start).filter(|start| *start < MINUTES_OF_DAY);
        let start = start.ok_or_else(|| wrong("a start is from 00:00 to 23:59"))?;
        let end = minutes(end).ok_or_else(|| wrong("an end is from 00:00 to 24:00"))?;
        if start == end {
            return Err(wrong("it is empty; all day is 00:00-24:00"));
        }
        let end = if end < start { end.saturating_add(MINUTES_OF_DAY) } else { end };
        Ok(Self { days, start, end, text })
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.text
    }
}

fn day_of(text: &str) -> Option<usize> {
    DAYS.iter().position(|(name, _)| name.eq_ignore_ascii_case(text.trim()))
}

/// `Mon`, `Mon-Fri`, `Sat-Mon`, `Sat,Sun`, and mixtures of them.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day_of(first)?, day_of(last)?);
        let mut day = first;
        loop {
            *days.get_mut(day)? = true;
            if day == last {
                break;
            }
            day = day.saturating_add(1) % 7;
        }
    }
    Some(days)
}

/// `00:00` to `24:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| plain)
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && all <= MINUTES_OF_DAY).then_some(all)
}

/// The zone by which windows are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Zone {
    /// That of the device, whatever it is at the moment.
    #[default]
    Local,
    /// One of the IANA data base.
    Named(String, TimeZone),
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name == "local" {
            return Ok(Self::Local);
        }
        match TimeZone::get(&name) {
            Ok(zone) => Ok(Self::Named(name, zone)),
            Err(error) => Err(format!(
                "the device does not know the time zone '{name}' (is tzdata installed?): {error}"
            )),
        }
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        match zone {
            Zone::Local => "local".to_owned(),
            Zone::Named(name, _) => name,
        }
    }
}

impl Zone {
    fn get(&self) -> TimeZone {
        match self {
            Self::Local => TimeZone::system(),
            Self::Named(_, zone) => zone.clone(),
        }
    }

    /// A time within the next week, for people.
    pub fn show(&self, at: Millis) -> String {
        let at = timestamp(at).to_zoned(self.get());
        at.strftime("%a %H:%M").to_string()
    }
}

fn timestamp(at: Millis) -> Timestamp {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// Whether a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// One is.
    Open,
    /// None is, and the next one opens then. `None`: there is no window at all.
    Closed(Option<Millis>),
}

/// Whether one of the windows is open now.
pub fn opening(windows: &[Window], zone: &Zone, now: Millis) -> Opening {
    let zone = zone.get();
    let now = timestamp(now);
    let today = now.to_zoned(zone.clone()).date();
    let mut next: Option<Timestamp> = None;
    // One of yesterday may go on over midnight.
    for ahead in -1..=DAYS_AHEAD {
        let Ok(date) = today.checked_add(ahead.days()) else { continue };
        for (start, end) in windows.iter().filter_map(|window| window.on(date, &zone)) {
            if start <= now && now < end {
                return Opening::Open;
            }
            if start > now && next.is_none_or(|next| start < next) {
                next = Some(start);
            }
        }
        if next.is_some_and(|_| ahead > 0) {
            break;
        }
    }
    let next = next.and_then(|next| u64::try_from(next.as_millisecond()).ok());
    Opening::Closed(next.map(Millis))
}

impl Window {
    /// From when to when it is open, if it starts on that date.
    fn on(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let day = DAYS.iter().position(|(_, day)| *day == date.weekday())?;
        self.days.get(day).filter(|open| **open)?;
        let start = instant(date, self.start, zone)?;
        let end = instant(date, self.end, zone)?;
        if end > start {
            return Some((start, end));
        }
        let length = SignedDuration::from_mins(i64::from(self.end.saturating_sub(self.start)));
        Some((start, start.checked_add(length).ok()?))
    }
}

/// A time of the wall clock as an instant: later by as much as is skipped, and the first one when it is repeated.
fn instant(date: Date, minutes: u16, zone: &TimeZone) -> Option<Timestamp> {
    let date = date.checked_add(i64::from(minutes / MINUTES_OF_DAY).days()).ok()?;
    let minutes = minutes % MINUTES_OF_DAY;
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    let time = Time::new(hour, minute, 0, 0).ok()?;
    Some(date.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
#[path = "windows/tests.rs"]
mod tests;
