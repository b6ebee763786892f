//! What holds a place back at the moment: inhibitors, then windows and approval. Pure; the time is an input.

use scomo_core::id::Millis;

use super::config::{DownloadWhen, InstallWhen, Point, PolicyConfig, RebootWhen};
use super::inhibitors::Inhibitor;
use super::place::Place;
use super::windows::{Opening, opening};

/// Something that holds a place back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What is waited for, for people.
    pub why: String,
    /// When it is gone without anybody doing anything.
    pub until: Option<Millis>,
}

/// What is asked for before a place may be passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Nothing,
    Window,
    Approval,
    Person,
}

fn rule(config: &PolicyConfig, point: Point) -> Rule {
    match point {
        Point::Download => match config.download {
            DownloadWhen::AnyTime => Rule::Nothing,
            DownloadWhen::InWindow => Rule::Window,
        },
        Point::Install => match config.install {
            InstallWhen::AtOnce => Rule::Nothing,
            InstallWhen::InWindow => Rule::Window,
            InstallWhen::WhenApproved => Rule::Approval,
        },
        Point::Reboot => match config.reboot {
            RebootWhen::Now => Rule::Nothing,
            RebootWhen::InWindow => Rule::Window,
            RebootWhen::WhenApproved => Rule::Approval,
            RebootWhen::Never => Rule::Person,
        },
    }
}

/// The first thing that holds the place back. `approved`: somebody said yes to it.
pub fn obstacle(
    config: &PolicyConfig,
    inhibitors: &[Inhibitor],
    place: &Place,
    approved: bool,
    now: Millis,
) -> Option<Obstacle> {
    let for_ever = |why: String| Some(Obstacle { why, until: None });
    if let Some(inhibitor) = inhibitors.iter().find(|inhibitor| inhibitor.what.contains(&place.point)) {
        return for_ever(inhibitor.to_string());
    }
    let job = place.job;
    match rule(config, place.point) {
        _ if approved => None,
        Rule::Nothing => None,
        Rule::Window if place.ignore_window => None,
        Rule::Window => match opening(&config.windows, &config.time_zone, now) {
            Opening::Open => None,
            Opening::Closed(Some(next)) => {
                let why = format!("maintenance window opens {}", config.time_zone.show(next));
                Some(Obstacle { why, until: Some(next) })
            }
            Opening::Closed(None) => {
                for_ever(format!("a maintenance window, but none is configured: scomoctl approve {job}"))
            }
        },
        Rule::Approval => for_ever(format!("approval: scomoctl approve {job}")),
        Rule::Person => for_ever("a reboot by hand: scomoctl reboot".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::place::About;
    use scomo_core::id::JobId;

    /// 2026-11-21, a Saturday, at noon.
    const NOON: Millis = Millis(1_795_262_400_000);

    fn config(text: &str) -> PolicyConfig {
        toml::from_str(&format!("time_zone = 'UTC'\n{text}")).unwrap()
    }

    fn place(point: Point) -> Place {
        Place { point, job: JobId(7), gate: None, ignore_window: false, about: About::default() }
    }

    fn why(config: &PolicyConfig, place: &Place, approved: bool) -> String {
        obstacle(config, &[], place, approved, NOON).map(|found| found.why).unwrap_or_default()
    }

    #[test]
    fn the_default_holds_back_nothing_but_reboots() {
        let default = PolicyConfig::default();
        assert_eq!(why(&default, &place(Point::Download), false), "");
        assert_eq!(why(&default, &place(Point::Install), false), "");
        assert_eq!(why(&default, &place(Point::Reboot), false), "a reboot by hand: scomoctl reboot");
        assert_eq!(why(&default, &place(Point::Reboot), true), "");
    }

    #[test]
    fn a_window_counts_for_the_points_that_wait_for_it() {
        let all = "download = 'in-window'\ninstall = 'in-window'\nreboot = 'in-window'\n";
        let closed = config(&format!("windows = ['Sun 01:00-02:00']\n{all}"));
        let open = config(&format!("windows = ['Sat 11:00-13:00']\n{all}"));
        let none = config(all);
        for point in Point::ALL {
            let found = obstacle(&closed, &[], &place(point), false, NOON).unwrap();
            assert_eq!(found.why, "maintenance window opens Sun 01:00");
            assert_eq!(found.until, Some(Millis(NOON.0 + 13 * 3_600_000)));
            assert_eq!(why(&open, &place(point), false), "");
            assert!(why(&none, &place(point), false).contains("none is configured: scomoctl approve 7"));
            assert_eq!(why(&closed, &place(point), true), "", "approval stands above windows");
            let ignoring = Place { ignore_window: true, ..place(point) };
            assert_eq!(why(&closed, &ignoring, false), "");
        }
    }

    #[test]
    fn approval_is_not_a_window() {
        let config = config("install = 'when-approved'\nreboot = 'when-approved'");
        for point in [Point::Install, Point::Reboot] {
            let ignoring = Place { ignore_window: true, ..place(point) };
            assert_eq!(why(&config, &ignoring, false), "approval: scomoctl approve 7");
            assert_eq!(why(&config, &place(point), true), "");
        }
    }

    #[test]
    fn inhibitors_stand_above_everything() {
        let held = [Inhibitor {
            what: [Point::Install].into(),
            who: "backup".to_owned(),
            why: "nightly".to_owned(),
            uid: 0,
            pid: 123,
            since: NOON,
        }];
        let found = obstacle(&PolicyConfig::default(), &held, &place(Point::Install), true, NOON).unwrap();
        assert_eq!(found, Obstacle { why: "inhibited by backup (pid 123): nightly".to_owned(), until: None });
        assert_eq!(obstacle(&PolicyConfig::default(), &held, &place(Point::Download), false, NOON), None);
    }
}
