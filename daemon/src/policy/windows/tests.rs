use super::*;

fn window(text: &str) -> Window {
    Window::try_from(text.to_owned()).unwrap()
}

fn zone(name: &str) -> Zone {
    Zone::try_from(name.to_owned()).unwrap()
}

/// RFC 3339 with an offset.
fn at(text: &str) -> Millis {
    let at: Timestamp = text.parse().unwrap();
    Millis(u64::try_from(at.as_millisecond()).unwrap())
}

/// What is so at each time: `open`, or when the next one opens.
fn check(windows: &[&str], zone_name: &str, cases: &[(&str, &str)]) {
    let windows: Vec<Window> = windows.iter().map(|text| window(text)).collect();
    for (now, expected) in cases {
        let expected = match *expected {
            "open" => Opening::Open,
            "never" => Opening::Closed(None),
            next => Opening::Closed(Some(at(next))),
        };
        assert_eq!(opening(&windows, &zone(zone_name), at(now)), expected, "{windows:?} {zone_name} {now}");
    }
}

#[test]
fn days_and_hours_are_read() {
    for (text, days, start, end) in [
        ("Mon-Fri 01:00-05:00", "MTWTF--", 60, 300),
        ("sat,sun 00:00-24:00", "-----SS", 0, 1440),
        ("Sat-Mon 22:30-04:00", "M----SS", 1350, 1680),
        ("Mon,Wed-Thu, Sun 23:59-00:00", "M-WT--S", 1439, 1440),
        ("02:00-03:00", "MTWTFSS", 120, 180),
        ("  Tue  02:00-03:00 ", "-T-----", 120, 180),
    ] {
        let read = window(text);
        let marks = "MTWTFSS".chars().zip(read.days).map(|(mark, day)| if day { mark } else { '-' });
        assert_eq!(marks.collect::<String>(), days, "{text}");
        assert_eq!((read.start, read.end), (start, end), "{text}");
        assert_eq!(String::from(read), text);
    }
}

#[test]
fn what_is_no_window_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "no end"),
        ("Mon", "no end"),
        ("Mon 01:00", "no end"),
        ("Day 01:00-02:00", "days are"),
        ("Mon- 01:00-02:00", "days are"),
        ("Mon 24:00-02:00", "a start is"),
        ("Mon 1:00-02:00", "a start is"),
        ("Mon 01:60-02:00", "a start is"),
        ("Mon 01:00-24:01", "an end is"),
        ("Mon 01:00-+2:00", "an end is"),
        ("Mon 01:00-01:00", "empty"),
    ] {
        let error = Window::try_from(text.to_owned()).unwrap_err();
        assert!(error.contains(reason) && error.contains(&format!("'{text}'")), "{text}: {error}");
    }
    let error = Zone::try_from("Mars/Olympus".to_owned()).unwrap_err();
    assert!(error.contains("Mars/Olympus"), "{error}");
}

#[test]
fn a_window_opens_on_its_days_only() {
    // 2026-11-21 is a Saturday.
    check(
        &["Mon-Fri 01:00-05:00"],
        "UTC",
        &[
            ("2026-11-20T00:59:59Z", "2026-11-20T01:00:00Z"),
            ("2026-11-20T01:00:00Z", "open"),
            ("2026-11-20T04:59:59Z", "open"),
            ("2026-11-20T05:00:00Z", "2026-11-23T01:00:00Z"),
            ("2026-11-21T02:00:00Z", "2026-11-23T01:00:00Z"),
        ],
    );
    check(&[], "UTC", &[("2026-11-20T01:00:00Z", "never")]);
}

#[test]
fn once_a_week_is_found_from_right_behind_it() {
    check(&["Sat 01:00-02:00"], "UTC", &[("2026-11-21T02:00:00Z", "2026-11-28T01:00:00Z")]);
}

#[test]
fn a_window_goes_over_midnight() {
    check(
        &["Sat 22:00-04:00"],
        "UTC",
        &[
            ("2026-11-21T03:00:00Z", "2026-11-21T22:00:00Z"),
            ("2026-11-21T23:59:59Z", "open"),
            ("2026-11-22T03:59:59Z", "open"),
            ("2026-11-22T04:00:00Z", "2026-11-28T22:00:00Z"),
        ],
    );
    check(&["Sun 00:00-24:00"], "UTC", &[("2026-11-22T23:59:59Z", "open")]);
}

#[test]
fn of_several_windows_the_next_one_counts() {
    check(
        &["Fri 05:00-06:00", "Thu 23:00-01:00", "Fri 00:30-02:00"],
        "UTC",
        &[
            ("2026-11-19T12:00:00Z", "2026-11-19T23:00:00Z"),
            ("2026-11-20T01:30:00Z", "open"),
            ("2026-11-20T03:00:00Z", "2026-11-20T05:00:00Z"),
        ],
    );
}

#[test]
fn the_zone_decides_what_day_it_is() {
    check(
        &["Sat 01:00-02:00"],
        "Asia/Tokyo",
        &[("2026-11-20T15:59:59Z", "2026-11-20T16:00:00Z"), ("2026-11-20T16:00:00Z", "open")],
    );
    check(
        &["Sat 01:00-02:00"],
        "Pacific/Honolulu",
        &[("2026-11-21T11:30:00Z", "open"), ("2026-11-21T01:30:00Z", "2026-11-21T11:00:00Z")],
    );
}

#[test]
fn a_skipped_hour_moves_or_shortens_a_window() {
    // In Berlin 02:00 to 03:00 of 2026-03-29 does not exist: 01:00Z is 03:00.
    check(
        &["Sun 02:30-05:00"],
        "Europe/Berlin",
        &[("2026-03-29T01:29:59Z", "2026-03-29T01:30:00Z"), ("2026-03-29T02:59:59Z", "open")],
    );
    check(
        &["Sun 01:00-02:30"],
        "Europe/Berlin",
        &[("2026-03-29T01:29:59Z", "open"), ("2026-03-29T01:30:00Z", "2026-04-04T23:00:00Z")],
    );
    // All of it is skipped: it keeps its length.
    check(
        &["Sun 02:00-03:00"],
        "Europe/Berlin",
        &[
            ("2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"),
            ("2026-03-29T01:59:59Z", "open"),
            ("2026-03-29T02:00:00Z", "2026-04-05T00:00:00Z"),
        ],
    );
}

#[test]
fn a_repeated_hour_counts_from_the_first_start_to_the_first_end() {
    // In Berlin 02:00 to 03:00 of 2026-10-25 comes twice, from 00:00Z and from 01:00Z.
    check(
        &["Sun 02:30-04:00"],
        "Europe/Berlin",
        &[("2026-10-25T00:29:59Z", "2026-10-25T00:30:00Z"), ("2026-10-25T02:59:59Z", "open")],
    );
    check(
        &["Sun 01:00-02:30"],
        "Europe/Berlin",
        &[("2026-10-25T00:29:59Z", "open"), ("2026-10-25T00:30:00Z", "2026-11-01T00:00:00Z")],
    );
}

#[test]
fn a_day_that_a_zone_left_out_moves_its_window() {
    // Samoa went from Thursday 2011-12-29 to Saturday 2011-12-31.
    check(&["Fri 10:00-11:00"], "Pacific/Apia", &[("2011-12-30T09:00:00Z", "2011-12-30T20:00:00Z")]);
}

#[test]
fn a_clock_that_stands_anywhere_is_no_trouble() {
    check(&["Thu 01:00-02:00"], "UTC", &[("1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z")]);
    let end = opening(&[window("00:00-24:00")], &zone("UTC"), Millis(u64::MAX));
    assert!(matches!(end, Opening::Open | Opening::Closed(None)));
}

#[test]
fn times_are_shown_in_the_zone() {
    assert_eq!(zone("Europe/Berlin").show(at("2026-11-21T00:00:00Z")), "Sat 01:00");
}
