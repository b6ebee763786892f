//! The outbox on the bus.

use scomo_core::command::Command;
use scomo_core::state::{Report, ReportNode};
use scomo_dbus::{OptionMap, OptionReader, PropertyMap, Reports, path};
use zbus::Variant;
use zbus::message::Header;

use super::Served;
use super::methods::{Answer, no_options, owned};

impl Served<Reports> {
    pub(super) async fn on_list(&self, options: OptionMap, _header: &Header<'_>) -> Answer<Vec<OptionMap>> {
        let mut reader = OptionReader::new(&options);
        let to: Option<String> = reader.get("to")?;
        reader.finish()?;
        let wanted = |report: &&Report| to.as_ref().is_none_or(|to| report.to.to == *to);
        self.door.view().state.reports.iter().filter(wanted).map(|report| owned(entry(report))).collect()
    }

    pub(super) async fn on_acknowledge(
        &self,
        id: u64,
        options: OptionMap,
        header: &Header<'_>,
    ) -> Answer<()> {
        no_options(&options)?;
        self.door.change(header, Command::AcknowledgeReport { id }).await
    }
}

fn entry(report: &Report) -> PropertyMap {
    let node = |node: &ReportNode| match node {
        ReportNode::Delivered(id) => path::delivered(id.as_str()).to_string(),
        ReportNode::Deployed(id) => path::deployed(id.as_str()).to_string(),
    };
    let text = |text: &str| Variant::from(text.to_owned());
    PropertyMap::from([
        ("Id", Variant::from(report.id)),
        ("Job", Variant::from(report.job.0)),
        ("Time", Variant::from(report.at.0)),
        ("To", text(&report.to.to)),
        ("Uri", text(&report.to.uri)),
        ("Correlator", text(&report.to.correlator)),
        ("Primitive", text(report.primitive.as_str())),
        ("Identifier", text(&report.identifier)),
        ("ResultCode", Variant::from(report.code.0)),
        ("Nodes", Variant::from(report.nodes.iter().map(node).collect::<Vec<String>>())),
    ])
}
