//! JSON from outside, strictly: a key that stands twice in one object is an error at any depth.
//!
//! Two parsers that disagree about which of two equal keys counts can be shown two different documents under one
//! digest, so such a document is refused before anything is read from it.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::PackageError;
use serde::de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// Parses `bytes` as `T`; `what` names the text in errors. Depth is limited by the parser to 128.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, PackageError> {
    let json = |source| PackageError::Json { what: what.to_owned(), source };
    // The deserializer would take an array of the members' values for an object; no other reader of the text would.
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
        return Err(json(serde_json::Error::custom("expected an object, not an array")));
    }
    let mut strict = serde_json::Deserializer::from_slice(bytes);
    NoDuplicates.deserialize(&mut strict).and_then(|()| strict.end()).map_err(json)?;
    serde_json::from_slice(bytes).map_err(json)
}

/// Walks a document and keeps nothing of it but the keys of the objects it is in.
#[derive(Clone, Copy)]
struct NoDuplicates;

impl<'de> DeserializeSeed<'de> for NoDuplicates {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(self)?;
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format_args!("the key '{twice}' stands twice in one object")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"y":[{"x":{"b":1,"b":1}}]}"#, r#"{"a":1,"\u0061":2}"#] {
            let error = parse::<Value>(text.as_bytes(), "the test").expect_err("duplicate");
            let PackageError::Json { source, .. } = error else { panic!("{error}") };
            assert!(source.to_string().contains("stands twice"), "{source}");
        }
        assert!(parse::<Value>(br#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#, "the test").is_ok());
    }

    #[test]
    fn depth_and_trailing_bytes_are_refused() {
        let deep = "[".repeat(5000);
        assert!(parse::<Value>(deep.as_bytes(), "the test").is_err());
        assert!(parse::<Value>(b"{} {}", "the test").is_err());
        assert!(parse::<Value>(b" []", "the test").is_err());
    }
}
