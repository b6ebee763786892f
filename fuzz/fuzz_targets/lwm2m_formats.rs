//! Payloads of any bytes, in each content format and for each depth of path. What is read is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scomo_lwm2m_proto::format::{self, Format, link, senml};
use scomo_lwm2m_proto::model::{Access, ObjectModel, ResourceModel};
use scomo_lwm2m_proto::path::Path;
use scomo_lwm2m_proto::value::Kind;

static OBJECT: ObjectModel = ObjectModel {
    id: 9,
    version: "1.0",
    creatable: true,
    resources: &[
        ResourceModel::new(0, Kind::Text, Access::Rw),
        ResourceModel::new(1, Kind::Integer, Access::Rw),
        ResourceModel::new(2, Kind::Opaque, Access::Rw),
        ResourceModel::new(3, Kind::Float, Access::Rw),
        ResourceModel::new(4, Kind::Unsigned, Access::Rw),
        ResourceModel::new(5, Kind::Link, Access::Rw),
        ResourceModel::new(6, Kind::Time, Access::Rw),
        ResourceModel::new(7, Kind::Boolean, Access::Rw),
        ResourceModel::new(8, Kind::CoreLink, Access::Rw),
        ResourceModel::new(17, Kind::Link, Access::Rw).multiple(),
    ],
};

fuzz_target!(|bytes: &[u8]| {
    let [choice, resource, payload @ ..] = bytes else { return };
    let formats = [
        Format::Text,
        Format::Opaque,
        Format::Cbor,
        Format::Tlv,
        Format::SenmlJson,
        Format::SenmlCbor,
        Format::Json,
    ];
    let format = formats[usize::from(*choice) % formats.len()];
    let resource = u16::from(*resource % 18);
    let bases = [Path::ROOT, Path::object(9), Path::instance(9, 0), Path::resource(9, 0, resource)];
    for base in bases.into_iter().chain([Path::resource_instance(9, 0, 17, 0)]) {
        let Ok(decoded) = format::decode(format, base, payload, &[&OBJECT]) else { continue };
        assert!(decoded.entries.iter().all(|entry| base.overlaps(&entry.path)));
        let Ok(written) = format::encode(format, base, &decoded.entries) else { continue };
        if let Ok(again) = format::decode(format, base, &written, &[&OBJECT]) {
            assert_eq!(again.entries.len(), decoded.entries.len());
        }
    }
    let _ = senml::decode_paths(format, payload);
    if let Ok(links) = std::str::from_utf8(payload).map(link::decode)
        && let Ok(links) = links
    {
        let _ = link::decode(&link::encode(&links));
    }
});
