//! Object paths: identifiers are escaped the way sd-bus does it, so that every tool makes and reads the same paths.
//!
//! A letter or digit stands for itself, except a digit at the start; every other byte becomes `_` and two
//! hexadecimal digits; an empty identifier becomes `_`.

use zbus::{ObjectPath, OwnedObjectPath};

/// The entry: Manager and ObjectManager.
pub const ROOT: &str = "/org/scomo1";
/// Parent of the packages that can be downloaded.
pub const DOWNLOADS: &str = "/org/scomo1/download";
/// Parent of the delivered packages.
pub const DELIVERED: &str = "/org/scomo1/delivered";
/// Parent of the deployed components.
pub const DEPLOYED: &str = "/org/scomo1/deployed";
/// Parent of the jobs.
pub const JOBS: &str = "/org/scomo1/job";

/// Escapes an identifier into one element of an object path.
#[must_use]
pub fn escape(id: &str) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| HEX.get(usize::from(value & 15)).copied().unwrap_or('0');
    if id.is_empty() {
        return "_".to_owned();
    }
    let mut out = String::with_capacity(id.len());
    for (i, byte) in id.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (i > 0 && byte.is_ascii_digit()) {
            out.push(char::from(byte));
        } else {
            out.push('_');
            out.push(digit(byte >> 4));
            out.push(digit(byte));
        }
    }
    out
}

/// The identifier that an element of an object path stands for; `None` when it is not an escaped identifier.
#[must_use]
pub fn unescape(element: &str) -> Option<String> {
    if element == "_" {
        return Some(String::new());
    }
    let mut out = Vec::with_capacity(element.len());
    let mut bytes = element.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'_' {
            let mut nibble = || char::from(bytes.next()?).to_digit(16).and_then(|n| u8::try_from(n).ok());
            let high = nibble()?;
            out.push((high << 4) | nibble()?);
        } else {
            out.push(byte);
        }
    }
    // Only the one spelling that `escape` makes is taken: two paths never mean one identifier.
    String::from_utf8(out).ok().filter(|id| escape(id) == element)
}

fn child(parent: &str, id: &str) -> OwnedObjectPath {
    // An escaped element holds nothing that a path may not hold, so the fallback cannot be met.
    let path = ObjectPath::try_from(format!("{parent}/{}", escape(id)));
    path.map_or_else(|_| OwnedObjectPath::default(), OwnedObjectPath::from)
}

/// Path of a package of the Download branch.
#[must_use]
pub fn download(pkg_id: &str) -> OwnedObjectPath {
    child(DOWNLOADS, pkg_id)
}

/// Path of a package of the Delivered branch.
#[must_use]
pub fn delivered(pkg_id: &str) -> OwnedObjectPath {
    child(DELIVERED, pkg_id)
}

/// Path of a component.
#[must_use]
pub fn deployed(id: &str) -> OwnedObjectPath {
    child(DEPLOYED, id)
}

/// Path of a job: its number as it is, because people type it.
#[must_use]
pub fn job(id: u64) -> OwnedObjectPath {
    let path = ObjectPath::try_from(format!("{JOBS}/{id}"));
    path.map_or_else(|_| OwnedObjectPath::default(), OwnedObjectPath::from)
}

/// Number of the job at a path.
#[must_use]
pub fn job_id(path: &str) -> Option<u64> {
    path.strip_prefix(JOBS)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_escaped_as_sd_bus_does() {
        for (id, escaped) in [
            ("", "_"),
            ("plain", "plain"),
            ("a.b", "a_2eb"),
            ("1st", "_31st"),
            ("v12", "v12"),
            ("under_score", "under_5fscore"),
            ("é/../x", "_c3_a9_2f_2e_2e_2fx"),
        ] {
            assert_eq!(escape(id), escaped);
            assert_eq!(unescape(escaped).as_deref(), Some(id));
        }
    }

    #[test]
    fn what_is_not_an_escaped_identifier_is_refused() {
        for element in ["", "a_", "a_2", "a_zz", "_ff", "1st", "_61", "a_2E"] {
            assert_eq!(unescape(element), None, "{element}");
        }
    }

    #[test]
    fn jobs_are_found_by_path() {
        assert_eq!(job(7).as_str(), "/org/scomo1/job/7");
        assert_eq!(job_id("/org/scomo1/job/7"), Some(7));
        assert_eq!(job_id("/org/scomo1/job/712"), Some(712));
        assert_eq!(job_id("/org/scomo1/download/7"), None);
    }
}
