//! Dates as OMA DM writes them, from milliseconds since the epoch.

use crate::id::Millis;

/// `YYYYMMDDThhmmssZ`, in UTC.
#[must_use]
pub fn stamp(at: Millis) -> String {
    let seconds = at.0 / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The date of a day since 1970-01-01. Years are counted from March, so that the odd day is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days.saturating_add(DAYS_TO_1970);
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (994_869_497, "20010711T163817Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(Millis(seconds * 1000 + 999)), text);
        }
        assert!(stamp(Millis(u64::MAX)).ends_with('Z'));
    }
}
