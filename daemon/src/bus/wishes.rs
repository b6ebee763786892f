//! The options that say on which terms a job is carried out.

use scomo_core::command::ReportTo;
use scomo_core::id::RequestId;
use scomo_dbus::{Error, OptionMap, OptionReader};

use super::methods::{Answer, invalid};
use crate::policy::Wishes;

/// Longest text that says whom to tell, and in which words, in bytes: the longest URI that a server may send.
const TEXT_BYTES_MAX: usize = 2048;

/// Options of a method that installs: those of any job, `retry-failed` and `ignore-window`.
pub(super) fn of_install(reader: &mut OptionReader<'_>) -> Answer<Wishes> {
    Ok(Wishes { report: report(reader)?, ..of_exec(reader)? })
}

/// Options of `Exec` on the tree, which says by itself whom to tell.
pub(super) fn of_exec(reader: &mut OptionReader<'_>) -> Answer<Wishes> {
    let mut flag = |name| reader.get::<bool>(name).map(Option::unwrap_or_default);
    let (retry_failed, ignore_window) = (flag("retry-failed")?, flag("ignore-window")?);
    Ok(Wishes { request: request(reader)?, retry_failed, ignore_window, ..Wishes::default() })
}

/// Options of a method that starts a job: `request-id`, and `report-to` with what belongs to it.
fn of_job(reader: &mut OptionReader<'_>) -> Answer<Wishes> {
    let request = request(reader)?;
    Ok(Wishes { request, report: report(reader)?, ..Wishes::default() })
}

fn request(reader: &mut OptionReader<'_>) -> Answer<Option<RequestId>> {
    let text: Option<String> = reader.get("request-id")?;
    text.map(|text| RequestId::new(text).map_err(invalid("option 'request-id'"))).transpose()
}

fn report(reader: &mut OptionReader<'_>) -> Answer<Option<ReportTo>> {
    let mut text = |name| {
        let text: Option<String> = reader.get(name)?;
        if text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(Error::TooLong(format!("option '{name}' has at most {TEXT_BYTES_MAX} bytes")));
        }
        Ok(text)
    };
    let (to, uri, correlator) = (text("report-to")?, text("report-uri")?, text("report-correlator")?);
    let Some(to) = to else {
        if uri.is_some() || correlator.is_some() {
            let hint = "options 'report-uri' and 'report-correlator' need 'report-to'";
            return Err(Error::InvalidArgument(hint.to_owned()));
        }
        return Ok(None);
    };
    let (uri, correlator) = (uri.unwrap_or_default(), correlator.unwrap_or_default());
    Ok(Some(ReportTo { to, uri, correlator }))
}

/// The options of a method that installs and knows no others.
pub(super) fn only_of_install(options: &OptionMap) -> Answer<Wishes> {
    let mut reader = OptionReader::new(options);
    let wishes = of_install(&mut reader)?;
    reader.finish()?;
    Ok(wishes)
}

/// The options of a method that starts a job and knows no others.
pub(super) fn only_of_job(options: &OptionMap) -> Answer<Wishes> {
    let mut reader = OptionReader::new(options);
    let wishes = of_job(&mut reader)?;
    reader.finish()?;
    Ok(wishes)
}

/// The options of a method that knows `request-id` only.
pub(super) fn only_request(options: &OptionMap) -> Answer<Wishes> {
    let mut reader = OptionReader::new(options);
    let wishes = Wishes { request: request(&mut reader)?, ..Wishes::default() };
    reader.finish()?;
    Ok(wishes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::Variant;

    fn options(given: &[(&str, Variant<'static>)]) -> OptionMap {
        given.iter().map(|(name, value)| ((*name).to_owned(), value.try_to_owned().unwrap())).collect()
    }

    #[test]
    fn wishes_are_read() {
        let all = options(&[
            ("request-id", Variant::from("r")),
            ("retry-failed", Variant::from(true)),
            ("ignore-window", Variant::from(true)),
            ("report-to", Variant::from("server")),
            ("report-correlator", Variant::from("c")),
        ]);
        let wishes = only_of_install(&all).unwrap();
        assert!(wishes.retry_failed && wishes.ignore_window && wishes.request.is_some());
        let report = ReportTo { to: "server".to_owned(), uri: String::new(), correlator: "c".to_owned() };
        assert_eq!(wishes.report, Some(report));
        assert!(matches!(only_of_job(&all), Err(Error::UnknownOption(_))));
        assert!(matches!(only_request(&all), Err(Error::UnknownOption(_))));
        assert_eq!(only_of_install(&OptionMap::new()).unwrap(), Wishes::default());
    }

    #[test]
    fn reports_without_a_receiver_and_long_texts_are_refused() {
        let lost = options(&[("report-uri", Variant::from("./SCOMO"))]);
        assert!(matches!(only_of_job(&lost), Err(Error::InvalidArgument(_))));
        let long = options(&[("report-to", Variant::from("x".repeat(TEXT_BYTES_MAX + 1)))]);
        assert!(matches!(only_of_job(&long), Err(Error::TooLong(_))));
    }
}
