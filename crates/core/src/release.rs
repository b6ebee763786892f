//! The identity of a release: the digest of its component as canonical JSON.
//!
//! Whoever finds the same component, in a package, in a commit or in a folder, gives it the same name.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::id::ReleaseId;
use crate::spec::ComponentSpec;

impl ReleaseId {
    /// The identity of a component with all that it says, the digest of its payload included.
    pub fn of(spec: &ComponentSpec) -> Result<Self, serde_json::Error> {
        let mut text = String::new();
        write_canonical(&serde_json::to_value(spec)?, &mut text);
        Ok(Self::from_sha256(Sha256::digest(text.as_bytes()).into()))
    }
}

/// Appends canonical JSON: object keys in byte order, no spaces. Independent of how a map type orders its keys.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let keys: BTreeSet<&String> = map.keys().collect();
            out.push('{');
            for (n, key) in keys.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(map.get(key).unwrap_or(&Value::Null), out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_does_not_depend_on_order() {
        let a: Value =
            serde_json::from_str(r#"{ "b": [1, {"y":null,"x":"\u00e9\""}], "a": true }"#).expect("json");
        let mut text = String::new();
        write_canonical(&a, &mut text);
        assert_eq!(text, r#"{"a":true,"b":[1,{"x":"é\"","y":null}]}"#);
    }

    /// Releases on devices have these names: they must never change.
    #[test]
    fn a_component_keeps_its_identity() {
        let text = r#"{"id": "os", "version": "1.0 \"ü\"", "type": "os", "requires": ["a", "b"],
            "payload": {"kind": "ostree", "url": "https://a.org/r", "ref": "x", "commit": "00"}}"#;
        let spec: ComponentSpec = serde_json::from_str(text).expect("spec");
        assert_eq!(
            ReleaseId::of(&spec).expect("id").as_str(),
            "sha256:d25aaf25f4596591a779ee4929c4a06d058262c0b69cba85df477f844e553894"
        );
    }
}
