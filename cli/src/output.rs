//! What is printed: tables and texts for people, one JSON object for scripts.
//!
//! Texts that came from packages are cleaned of control characters before they reach a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// Version of the JSON form. Fields may be added under the same number; nothing is renamed or removed.
pub const JSON_VERSION: u32 = 1;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object on one line.
    Json,
}

/// One JSON object: version and kind first, then the fields of `body`.
#[derive(Debug, Serialize)]
struct Envelope<'a, T: Serialize> {
    version: u32,
    kind: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

/// Prints one JSON object.
pub fn json<T: Serialize>(kind: &str, body: &T) -> io::Result<()> {
    let text = serde_json::to_string(&Envelope { version: JSON_VERSION, kind, body })?;
    line(&text)
}

/// Prints a line as it is.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints text that may come from anybody: on a terminal without control characters.
pub fn foreign(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = if out.is_terminal() { clean_lines(text) } else { text.to_owned() };
    out.write_all(text.as_bytes())?;
    if !text.is_empty() && !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Tells people something on standard error. A closed standard error is nobody to tell.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// One line without control characters.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A table with a head line; the columns are as wide as they must be. Trailing blanks are left out.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(clean(cell).chars().count());
        }
    }
    let render = |cells: &mut dyn Iterator<Item = String>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![render(&mut head.iter().map(|h| (*h).to_owned()))];
    lines.extend(rows.iter().map(|row| render(&mut row.iter().map(|cell| clean(cell)))));
    lines.join("\n")
}

/// Names and values under each other; empty values are left out.
#[must_use]
pub fn fields(fields: &[(&str, String)]) -> String {
    let shown: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &&(&str, String)| format!("{name:>width$}: {}", clean(value));
    shown.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Bytes in binary units with one decimal, `-` for none.
#[must_use]
pub fn size(bytes: u64) -> String {
    if bytes == 0 { "-".to_owned() } else { indicatif::BinaryBytes(bytes).to_string() }
}

/// A time of the device in the time zone of the caller; empty for none.
#[must_use]
pub fn time(ms: u64) -> String {
    let Some(at) = i64::try_from(ms).ok().filter(|ms| *ms > 0) else { return String::new() };
    let zone = TimeZone::system();
    Timestamp::from_millisecond(at)
        .map_or_else(|_| String::new(), |t| t.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A dash for nothing.
#[must_use]
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn tables_line_up_and_hold_no_control_characters() {
        let rows = vec![
            vec!["app".to_owned(), "1.2".to_owned(), "active".to_owned()],
            vec!["a-long-name".to_owned(), "\u{1b}[31m".to_owned(), String::new()],
        ];
        expect![[r"
            ID           VERSION  STATE
            app          1.2      active
            a-long-name   [31m"]]
        .assert_eq(&table(&["ID", "VERSION", "STATE"], &rows));
    }

    #[test]
    fn empty_fields_are_left_out() {
        let text =
            fields(&[("id", "app".to_owned()), ("licence", String::new()), ("version", "2".to_owned())]);
        assert_eq!(text, "     id: app\nversion: 2");
    }

    #[test]
    fn sizes_and_times_have_a_form_for_nothing() {
        assert_eq!((size(0).as_str(), time(0).as_str()), ("-", ""));
        assert_eq!(size(3 * 1024 * 1024), "3.00 MiB");
    }
}
