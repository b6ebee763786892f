//! Whitelist and Blacklist: which software may be installed and activated. The matching rules are our choice; see
//! `docs/scomo-1.1.md`.

use super::base64;
use super::nodes::Format;
use super::overlay::{NODES_MAX, Overlay, Stored, Write};
use super::uri::{SEGMENT_BYTES_MAX, push_segment};
use super::value::Value;
use crate::id::{ComponentId, Digest};
use crate::spec::{Payload, Release};
use crate::state::{Component, State};

/// Path of the list of the only software that may be installed.
pub(super) const WHITELIST: &str = "Download/Whitelist";
/// Path of the list of the software that may not.
pub(super) const BLACKLIST: &str = "Download/Blacklist";

/// Why the lists refuse a release, if they do. `package`: digest of the package that it comes in, when that is known.
#[must_use]
pub fn refuses(state: &State, release: &Release, package: Option<&Digest>) -> Option<String> {
    let overlay = &state.tree;
    let what = || format!("component '{}' {}", release.spec.id, release.spec.version).trim_end().to_owned();
    let matching = |list| entries(overlay, list).find(|entry| entry.matches(release, package));
    if let Some(entry) = matching(BLACKLIST) {
        return Some(format!("{} is on the Blacklist as '{}'; delete that entry first", what(), entry.node));
    }
    let listed = entries(overlay, WHITELIST).next().is_none() || matching(WHITELIST).is_some();
    (!listed).then(|| format!("{} is not on the Whitelist, which has entries; add it first", what()))
}

/// The names of a list in one text: `name` or `name@version`.
pub(super) fn names(overlay: &Overlay, list: &str, separator: char) -> String {
    let mut text = String::new();
    for entry in entries(overlay, list) {
        if !text.is_empty() {
            text.push(separator);
        }
        text.push_str(entry.name.unwrap_or_default());
        if let Some(version) = entry.version {
            text.push('@');
            text.push_str(version);
        }
    }
    text
}

/// What `Operations/Blacklist` on a component does: this version is refused from now on, and no entry of the
/// Whitelist for exactly this version remains. What runs goes on running.
pub(super) fn blacklist(overlay: &Overlay, id: &ComponentId, component: &Component) -> Vec<Write> {
    let version = component.release.spec.version.as_str();
    let mut writes = without(overlay, WHITELIST, id, Some(version));
    if !has(overlay, BLACKLIST, id, Some(version)) {
        writes.extend(entry(overlay, BLACKLIST, id, version));
    }
    writes
}

/// What `Operations/Whitelist` on a component does: it is allowed in every version, and no entry of the Blacklist for
/// this version remains.
pub(super) fn whitelist(overlay: &Overlay, id: &ComponentId, component: &Component) -> Vec<Write> {
    let version = component.release.spec.version.as_str();
    let mut writes = without(overlay, BLACKLIST, id, Some(version));
    writes.extend(without(overlay, BLACKLIST, id, None));
    if !has(overlay, WHITELIST, id, None) {
        writes.extend(entry(overlay, WHITELIST, id, ""));
    }
    writes
}

/// An entry of a list. One that is not complete matches nothing.
struct Entry<'a> {
    node: &'a str,
    name: Option<&'a str>,
    version: Option<&'a str>,
    /// None: any hash. Some: its value, empty while it is not complete.
    hash: Option<&'a str>,
}

fn entries<'a>(overlay: &'a Overlay, list: &str) -> impl Iterator<Item = Entry<'a>> + use<'a> {
    let list = list.to_owned();
    overlay.children(&list).map(move |(node, _)| {
        let leaf = |name: &str| overlay.node(&format!("{list}/{node}/{name}"));
        let text = |name: &str| match &leaf(name)?.value {
            Value::Text(text) => Some(&**text).filter(|text| !text.is_empty()),
            _ => None,
        };
        let hash = leaf("HashInfo").map(|_| {
            // Only numbers that mean SHA-256 can be written.
            leaf("HashInfo/Algorithm").and_then(|_| text("HashInfo/Value")).unwrap_or_default()
        });
        Entry { node, name: text("Name"), version: text("Version"), hash }
    })
}

impl Entry<'_> {
    fn matches(&self, release: &Release, package: Option<&Digest>) -> bool {
        let spec = &release.spec;
        let named = self.name.is_some_and(|name| name == spec.id.as_str() || name == spec.name);
        let version = self.version.is_none_or(|version| version == spec.version);
        let payload = match &spec.payload {
            Payload::Image { digest, .. } => digest.as_str(),
            Payload::Ostree { commit, .. } => commit,
        };
        let hash = self.hash.is_none_or(|hash| {
            is_hash(hash, payload) || package.is_some_and(|digest| is_hash(hash, digest.as_str()))
        });
        named && version && hash
    }

    fn is_for(&self, id: &ComponentId, version: Option<&str>) -> bool {
        let version = version.filter(|version| !version.is_empty());
        self.name == Some(id.as_str()) && self.version == version && self.hash.is_none()
    }
}

/// Whether `text`, 64 hexadecimal digits or base64, is the hash in `digest`.
fn is_hash(text: &str, digest: &str) -> bool {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    if text.eq_ignore_ascii_case(hex) {
        return true;
    }
    let Some(bytes) = base64::decode(text) else { return false };
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = nibbles.map(|nibble| char::from_digit(u32::from(nibble), 16));
    digits.eq(hex.chars().map(Some))
}

fn has(overlay: &Overlay, list: &str, id: &ComponentId, version: Option<&str>) -> bool {
    entries(overlay, list).any(|entry| entry.is_for(id, version))
}

fn without(overlay: &Overlay, list: &str, id: &ComponentId, version: Option<&str>) -> Vec<Write> {
    let own = entries(overlay, list).filter(|entry| entry.is_for(id, version));
    own.map(|entry| Write::Remove { path: format!("{list}/{}", entry.node) }).collect()
}

/// The nodes of a new entry, under a name that is free and says what it is for.
fn entry(overlay: &Overlay, list: &str, id: &ComponentId, version: &str) -> Vec<Write> {
    let name = if version.is_empty() { id.to_string() } else { format!("{id}@{version}") };
    let path = |number: usize| {
        let mut name = if number == 1 { name.clone() } else { format!("{number}-{name}") };
        let fits = (0..=SEGMENT_BYTES_MAX).rev().find(|end| name.is_char_boundary(*end));
        name.truncate(fits.unwrap_or_default());
        let mut path = list.to_owned();
        push_segment(&mut path, &name);
        path
    };
    let Some(path) = (1..=NODES_MAX).map(path).find(|path| overlay.node(path).is_none()) else {
        return Vec::new();
    };
    let text = |value: &str| Stored { format: Format::Chr, mime: String::new(), value: Value::from(value) };
    let mut writes = vec![
        Write::Put { path: path.clone(), node: Stored::interior() },
        Write::Put { path: format!("{path}/Name"), node: text(id.as_str()) },
    ];
    if !version.is_empty() {
        writes.push(Write::Put { path: format!("{path}/Version"), node: text(version) });
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_hexadecimal_or_base64() {
        let digest = Digest::from_sha256([0xa1; 32]);
        assert!(is_hash(&"a1".repeat(32), digest.as_str()) && is_hash(&"A1".repeat(32), digest.as_str()));
        assert!(is_hash(&base64::encode(&[0xa1; 32]), digest.as_str()));
        for other in ["", "a1", &base64::encode(&[0xa1; 31]), &"a2".repeat(32)] {
            assert!(!is_hash(other, digest.as_str()), "{other}");
        }
    }
}
