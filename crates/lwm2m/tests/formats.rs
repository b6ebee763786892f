//! Content formats: bytes seen on the wire, round trips of random values, and mutated payloads.
// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use scomo_lwm2m_proto::format::{self, Format, FormatError, senml};
use scomo_lwm2m_proto::model::{Access, ObjectModel, ResourceModel};
use scomo_lwm2m_proto::path::{ID_NONE, Path};
use scomo_lwm2m_proto::value::{Entry, Kind, ObjectLink, Resource, Value};

/// One resource of each kind; 10 and more hold several values.
static EVERY_KIND: ObjectModel = ObjectModel {
    id: 9,
    version: "1.0",
    creatable: true,
    resources: &[
        ResourceModel::new(0, Kind::Text, Access::Rw),
        ResourceModel::new(1, Kind::Text, Access::Rw),
        ResourceModel::new(2, Kind::Opaque, Access::Rw),
        ResourceModel::new(3, Kind::Float, Access::Rw),
        ResourceModel::new(4, Kind::Unsigned, Access::Rw),
        ResourceModel::new(5, Kind::Link, Access::Rw),
        ResourceModel::new(6, Kind::Time, Access::Rw),
        ResourceModel::new(7, Kind::Integer, Access::Rw),
        ResourceModel::new(8, Kind::CoreLink, Access::Rw),
        ResourceModel::new(9, Kind::Integer, Access::Rw),
        ResourceModel::new(12, Kind::Boolean, Access::Rw),
        ResourceModel::new(17, Kind::Link, Access::Rw).multiple(),
        ResourceModel::new(300, Kind::Integer, Access::Rw).multiple(),
    ],
};
static MODELS: &[&ObjectModel] = &[&EVERY_KIND];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn entry(path: &str, value: Value) -> Entry {
    Entry::new(Path::parse(path).unwrap(), value)
}

fn empty_package() -> Vec<Entry> {
    vec![
        entry("/9/0/0", Value::Text(String::new())),
        entry("/9/0/1", Value::Text(String::new())),
        entry("/9/0/7", Value::Integer(0)),
        entry("/9/0/9", Value::Integer(0)),
        entry("/9/0/12", Value::Boolean(false)),
    ]
}

#[test]
fn an_empty_package_is_these_bytes_in_tlv() {
    let bytes = hex("C000 C001 C10700 C10900 C10C00");
    let base = Path::instance(9, 0);
    assert_eq!(format::encode(Format::Tlv, base, &empty_package()).unwrap(), bytes);
    assert_eq!(format::decode(Format::Tlv, base, &bytes, MODELS).unwrap().entries, empty_package());
    let wrapped = [hex("08000D"), bytes].concat();
    assert_eq!(format::decode(Format::Tlv, base, &wrapped, MODELS).unwrap().entries, empty_package());
    assert_eq!(format::encode(Format::Tlv, Path::object(9), &empty_package()).unwrap(), wrapped);
    assert!(format::decode(Format::Tlv, Path::instance(9, 1), &wrapped, MODELS).is_err(), "another instance");
}

#[test]
fn an_empty_package_of_another_client_is_read_in_senml_cbor() {
    let bytes = hex("85 A3 21 64 2F392F30 00 62 2F30 03 60 | A2 00 62 2F31 03 60 | A2 00 62 2F37 02 00
         | A2 00 62 2F39 02 00 | A2 00 63 2F3132 04 F4"
        .replace('|', "")
        .as_str());
    let decoded = format::decode(Format::SenmlCbor, Path::instance(9, 0), &bytes, MODELS).unwrap();
    assert_eq!(decoded.entries, empty_package());
}

#[test]
fn names_are_joined_as_texts() {
    let base = Path::resource(9, 0, 7);
    for json in [
        r#"[{"bn":"/9/0/7","v":100}]"#,
        r#"[{"bn":"/9/0/","n":"7","v":100}]"#,
        r#"[{"bn":"/9/0","n":"/7","v":100.0}]"#,
        r#"[{"n":"/9/0/7","v":100,"u":"%","t":5,"unknown":{}}]"#,
    ] {
        let decoded = format::decode(Format::SenmlJson, base, json.as_bytes(), MODELS).unwrap();
        assert_eq!(decoded.entries, [entry("/9/0/7", Value::Integer(100))], "{json}");
    }
    for json in [
        r#"[{"n":"/9/0/9","v":100}]"#,
        r#"[{"n":"/9/0/7","v":1,"vs":"1"}]"#,
        r#"[{"n":"/9/0/7","v":1,"must_":1}]"#,
        r#"[{"n":"/9/0/7","v":1,"bver":11}]"#,
        r#"[{"n":"/9/0/7","v":1,"bv":11}]"#,
        r#"[{"n":"/9/0/7","v":1.5}]"#,
        r#"[{"n":"/9/0/7","vs":"1"}]"#,
        r#"[{"n":"/9/0/7"}]"#,
        r#"[{"n":"/9/0/7","v":1},{"n":"/9/0/7","v":2}]"#,
        r#"{"n":"/9/0/7","v":1}"#,
    ] {
        assert!(format::decode(Format::SenmlJson, base, json.as_bytes(), MODELS).is_err(), "{json}");
    }
}

#[test]
fn a_composite_request_names_paths() {
    let json = br#"[{"n":"/9/0/7"},{"n":"/3/0"},{"n":"/1"}]"#;
    let paths = senml::decode_paths(Format::SenmlJson, json).unwrap();
    assert_eq!(paths, [Path::resource(9, 0, 7), Path::instance(3, 0), Path::object(1)]);
    let cbor = hex("9F A1 00 66 2F392F302F37 BF 00 62 2F31 FF FF");
    let paths = senml::decode_paths(Format::SenmlCbor, &cbor).unwrap();
    assert_eq!(paths, [Path::resource(9, 0, 7), Path::object(1)]);
}

#[test]
fn the_old_json_of_known_servers_is_read() {
    let base = Path::resource(9, 0, 9);
    for json in [
        r#"{"bn":"/9/0/9/","e":[{"n":"9","v":100}]}"#,
        r#"{"bn":"/9/0/9","e":[{"n":"","v":100}]}"#,
        r#"{"bn":"/9/0/9","e":[{"v":100}]}"#,
        r#"{"bn":"/9/0/","e":[{"n":"9","v":100}]}"#,
        r#"{"e":[{"v":100}]}"#,
    ] {
        let decoded = format::decode(Format::Json, base, json.as_bytes(), MODELS).unwrap();
        assert_eq!(decoded.entries, [entry("/9/0/9", Value::Integer(100))], "{json}");
    }
    for json in ["{}", r#"{"e":[1]}"#, r#"{"bn":"/9/0/8","e":[{"v":1}]}"#, r#"{"bn":1,"e":[]}"#] {
        assert!(format::decode(Format::Json, base, json.as_bytes(), MODELS).is_err(), "{json}");
    }
}

#[test]
fn tlv_is_strict_about_lengths_and_identifiers() {
    let instance = Path::instance(9, 0);
    for bad in [
        "C107",           // no value
        "C30700",         // too short
        "C90701 00",      // a length in the byte and behind it
        "C3070000 00",    // an integer of three bytes
        "E1FFFF00",       // reserved identifier
        "C10C02",         // neither true nor false
        "C10700 C10701",  // twice
        "4107 00",        // resource instance without its resource
        "0800 04 C10700", // instance with the wrong length
    ] {
        assert!(format::decode(Format::Tlv, instance, &hex(bad), MODELS).is_err(), "{bad}");
    }
    let unnamed = format::decode(Format::Tlv, Path::object(9), &hex("C10700"), MODELS).unwrap();
    assert_eq!(unnamed.entries, [Entry::new(Path::resource(9, ID_NONE, 7), Value::Integer(0))]);
    let named = format::decode(Format::Tlv, Path::object(9), &hex("0002"), MODELS).unwrap();
    assert_eq!(named.instances, [Path::instance(9, 2)]);
    let unknown = format::decode(Format::Tlv, instance, &hex("C16300 C10701"), MODELS).unwrap();
    assert_eq!(unknown.unknown, [Path::resource(9, 0, 99)]);
    assert_eq!(unknown.entries, [entry("/9/0/7", Value::Integer(1))]);
}

#[test]
fn a_multiple_resource_may_be_empty_in_tlv() {
    let base = Path::resource(9, 0, 17);
    let decoded = format::decode(Format::Tlv, base, &hex("8011"), MODELS).unwrap();
    assert_eq!(decoded.entries, [Entry::new(base, Resource::Multiple([].into()))]);
}

#[test]
fn cbor_takes_every_width_and_the_tags() {
    let number = |bytes: &str, path: &str| {
        let decoded = format::decode(Format::Cbor, Path::parse(path).unwrap(), &hex(bytes), MODELS)?;
        Ok::<_, FormatError>(decoded.entries[0].resource.clone())
    };
    assert_eq!(number("1864", "/9/0/7").unwrap(), Value::Integer(100).into());
    assert_eq!(number("F94000", "/9/0/7").unwrap(), Value::Integer(2).into(), "a half with no fraction");
    assert_eq!(number("C11A514B67B0", "/9/0/6").unwrap(), Value::Time(1_363_896_240).into());
    assert_eq!(number("1A514B67B0", "/9/0/6").unwrap(), Value::Time(1_363_896_240).into());
    assert_eq!(number("C48221196AB3", "/9/0/3").unwrap(), Value::Float(273.15).into());
    assert_eq!(number("1BFFFFFFFFFFFFFFFF", "/9/0/4").unwrap(), Value::Unsigned(u64::MAX).into());
    for bad in ["1BFFFFFFFFFFFFFFFF", "6131", "F5", "", "0000", "C4821A7FFFFFFF01", "C400"] {
        assert!(number(bad, "/9/0/7").is_err(), "{bad}");
    }
}

#[test]
fn text_is_read_strictly() {
    let read = |text: &str, resource: u16| {
        format::decode(Format::Text, Path::resource(9, 0, resource), text.as_bytes(), MODELS).ok()
    };
    let good = [("-5", 7), ("1.5e3", 3), ("1", 12), ("65535:65535", 5), ("AQI=", 2), ("", 0)];
    for (text, resource) in good {
        assert!(read(text, resource).is_some(), "{text} {resource}");
    }
    let bad = [("+5", 7), (" 5", 7), ("5.0", 7), ("", 7), ("-1", 4), ("inf", 3), ("NaN", 3), ("true", 12)];
    for (text, resource) in bad.into_iter().chain([("AQI", 2), ("1", 5), ("1e999", 3)]) {
        assert!(read(text, resource).is_none(), "{text} {resource}");
    }
}

fn value_of(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Integer => any::<i64>().prop_map(Value::Integer).boxed(),
        Kind::Unsigned => any::<u64>().prop_map(Value::Unsigned).boxed(),
        Kind::Float => any::<i32>().prop_map(|n| Value::Float(f64::from(n) / 8.0)).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Kind::Text => ".{0,20}".prop_map(Value::Text).boxed(),
        Kind::Opaque => prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Opaque).boxed(),
        Kind::Time => any::<i64>().prop_map(Value::Time).boxed(),
        Kind::Link => (any::<u16>(), any::<u16>())
            .prop_map(|(object, instance)| Value::Link(ObjectLink { object, instance }))
            .boxed(),
        Kind::CoreLink => "</[0-9]{1,4}>".prop_map(Value::CoreLink).boxed(),
    }
}

/// Some resources of one instance, each with a random value of its kind.
fn instance(id: u16) -> impl Strategy<Value = Vec<Entry>> {
    let each: Vec<_> = EVERY_KIND
        .resources
        .iter()
        .map(|model| {
            let path = Path::resource(9, id, model.id);
            let values = prop::collection::btree_map(0..65_535_u16, value_of(model.kind), 1..4);
            let (single, multiple) = (value_of(model.kind), model.multiple);
            let resource = (single, values).prop_map(move |(one, several)| {
                if multiple { Resource::Multiple(several) } else { Resource::Single(one) }
            });
            prop::option::of(resource.prop_map(move |resource| Entry { path, resource }))
        })
        .collect();
    each.prop_map(|entries| entries.into_iter().flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn instances_come_back_in_every_format(entries in instance(3)) {
        for format in [Format::Tlv, Format::SenmlCbor, Format::SenmlJson, Format::Json] {
            for base in [Path::object(9), Path::instance(9, 3)] {
                let payload = format::encode(format, base, &entries).unwrap();
                let decoded = format::decode(format, base, &payload, MODELS).unwrap();
                prop_assert_eq!(&decoded.entries, &entries, "{:?}", format);
                prop_assert!(decoded.unknown.is_empty());
            }
        }
    }

    #[test]
    fn single_resources_come_back_in_every_format(entries in instance(0)) {
        for entry in &entries {
            for format in [Format::Text, Format::Cbor, Format::Tlv, Format::SenmlCbor, Format::SenmlJson, Format::Json] {
                if format.is_single() && entry.resource.single().is_none() {
                    continue;
                }
                let payload = format::encode(format, entry.path, std::slice::from_ref(entry)).unwrap();
                let decoded = format::decode(format, entry.path, &payload, MODELS).unwrap();
                prop_assert_eq!(&decoded.entries, std::slice::from_ref(entry), "{:?}", format);
            }
        }
    }

    /// Whatever comes, a decoder ends with a result, and nothing in it lies outside of the path that was meant.
    #[test]
    fn mutated_payloads_do_no_harm(entries in instance(3), changes in prop::collection::vec((any::<u16>(), any::<u8>(), 0..3_u8), 1..6)) {
        for format in [Format::Tlv, Format::SenmlCbor, Format::SenmlJson, Format::Json] {
            let base = Path::instance(9, 3);
            let mut payload = format::encode(format, base, &entries).unwrap();
            for (at, byte, what) in &changes {
                let at = usize::from(*at) % (payload.len() + 1);
                match what {
                    0 if at < payload.len() => payload[at] = *byte,
                    1 if at < payload.len() => drop(payload.remove(at)),
                    _ => payload.insert(at, *byte),
                }
            }
            if let Ok(decoded) = format::decode(format, base, &payload, MODELS) {
                prop_assert!(decoded.entries.iter().all(|entry| base.contains(&entry.path)));
            }
        }
    }

    #[test]
    fn random_payloads_do_no_harm(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        for id in [0, 40, 42, 60, 110, 112, 11542, 11543] {
            for base in [Path::ROOT, Path::object(9), Path::instance(9, 0), Path::resource(9, 0, 7), Path::resource_instance(9, 0, 17, 1)] {
                let format = Format::from_id(id).unwrap();
                if let Ok(decoded) = format::decode(format, base, &payload, MODELS) {
                    prop_assert!(decoded.entries.iter().all(|entry| base.overlaps(&entry.path)));
                }
            }
        }
        let _ = format::link::decode(&String::from_utf8_lossy(&payload));
    }
}
