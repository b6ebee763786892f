//! What a component requires of another one, and how versions compare.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ComponentId, InvalidId};

/// Separates the component from the lowest version.
const AT_LEAST: &str = ">=";

/// Another component that must be active: `os`, or `os>=5.2` for one of at least that version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Requirement {
    /// The component.
    pub id: ComponentId,
    /// The lowest version that will do; empty: any.
    pub at_least: String,
}

impl Requirement {
    /// Whether a component of `version` will do.
    #[must_use]
    pub fn is_met_by(&self, version: &str) -> bool {
        self.at_least.is_empty() || compare_versions(version, &self.at_least) != Ordering::Less
    }
}

impl From<ComponentId> for Requirement {
    fn from(id: ComponentId) -> Self {
        Self { id, at_least: String::new() }
    }
}

impl TryFrom<String> for Requirement {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        let (id, at_least) = text.split_once(AT_LEAST).unwrap_or((&text, ""));
        Ok(Self { id: ComponentId::new(id.trim())?, at_least: at_least.trim().to_owned() })
    }
}

impl From<Requirement> for String {
    fn from(requirement: Requirement) -> Self {
        requirement.to_string()
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at_least.is_empty() { "" } else { AT_LEAST };
        write!(f, "{}{sign}{}", self.id, self.at_least)
    }
}

/// Compares versions part by part, parts being runs of digits (by value) and runs of letters (by text); a version that
/// ends earlier is the lower one, unless the other goes on with a `~` or with letters after `-` (`1.0-rc1` is before
/// `1.0`).
#[must_use]
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (parts(left), parts(right));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (Some(part), None) => part.against_end(),
            (None, Some(part)) => part.against_end().reverse(),
            (Some(left), Some(right)) => left.cmp(&right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Letters come before the end of a version, and that before digits.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Text(&'a str),
    /// Without leading zeros, so that longer is larger.
    Number(usize, &'a str),
}

impl Part<'_> {
    fn against_end(&self) -> Ordering {
        match self {
            Self::Text(_) => Ordering::Less,
            Self::Number(..) => Ordering::Greater,
        }
    }
}

fn parts(version: &str) -> impl Iterator<Item = Part<'_>> {
    // What follows a plus sign is about the build, not the version.
    let mut rest = version.split_once('+').map_or(version, |(version, _)| version);
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let first = rest.chars().next()?;
        let digits = first.is_ascii_digit();
        let of_kind = |c: char| c.is_alphanumeric() && c.is_ascii_digit() == digits;
        let end = rest.find(|c| !of_kind(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        let number = part.trim_start_matches('0');
        Some(if digits { Part::Number(number.len(), number) } else { Part::Text(part) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_part_by_part() {
        let rising = ["", "1.0-alpha", "1.0-rc1", "1.0-rc2", "1.0", "1.0.1", "1.2", "1.10", "v2", "2024.09"];
        let rising = rising.iter().filter(|v| !v.starts_with('v') && !v.is_empty()).collect::<Vec<_>>();
        for pair in rising.windows(2) {
            assert_eq!(compare_versions(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_versions(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        for (left, right) in [("1.0", "1.00"), ("1.2+a", "1.2+b"), ("1-2", "1.2")] {
            assert_eq!(compare_versions(left, right), Ordering::Equal, "{left} {right}");
        }
        assert_eq!(compare_versions("99999999999999999999999", "1"), Ordering::Greater);
    }

    #[test]
    fn a_requirement_is_read_and_written() {
        for (text, id, at_least) in [("os", "os", ""), ("os>=5.2", "os", "5.2"), ("os >= 5.2", "os", "5.2")] {
            let requirement = Requirement::try_from(text.to_owned()).unwrap();
            assert_eq!((requirement.id.as_str(), requirement.at_least.as_str()), (id, at_least));
            assert_eq!(Requirement::try_from(requirement.to_string()).unwrap(), requirement);
        }
        assert!(Requirement::try_from(">=5".to_owned()).is_err());
    }

    #[test]
    fn a_lowest_version_is_met_by_itself_and_above() {
        let needed = Requirement::try_from("os>=5.2".to_owned()).unwrap();
        assert!(needed.is_met_by("5.2") && needed.is_met_by("5.10"));
        assert!(!needed.is_met_by("5.1.9") && !needed.is_met_by(""));
    }
}
