//! The identity of a release.

use scomo_core::id::ReleaseId;
use scomo_core::spec::ComponentSpec;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The digest of a component's canonical JSON (sorted keys, no spaces): the same as that of a component in a package.
pub fn release_id(spec: &ComponentSpec) -> Result<ReleaseId, serde_json::Error> {
    let mut text = String::new();
    canonical(&serde_json::to_value(spec)?, &mut text);
    Ok(ReleaseId::from_sha256(Sha256::digest(text.as_bytes()).into()))
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                canonical(value, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_commits_name_a_release_alike() {
        let text = r#"{"id": "os", "version": "1.0 \"ü\"", "type": "os", "requires": ["a", "b"],
            "payload": {"kind": "ostree", "url": "https://a.org/r", "ref": "x", "commit": "00"},
            "run": {"env": {"B": "1", "A": "2"}}, "health": {"windowS": 5}}"#;
        let spec: ComponentSpec = serde_json::from_str(text).expect("spec");
        assert_eq!(release_id(&spec).expect("id"), scomo_package::release_id(&spec).expect("id"));
    }
}
