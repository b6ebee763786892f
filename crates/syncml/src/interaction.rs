//! Alerts 1100 to 1104: what a server wants to show to a user or to ask, and what the user answers.

use std::time::Duration;

use crate::code::{Code, alert};
use crate::limits::{UI_ANSWER_BYTES_MAX, UI_CHOICES_MAX, UI_SECONDS_MAX, UI_TEXT_BYTES_MAX};
use crate::message::Item;
use crate::uri::unescape;

/// What a server wants of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// What kind of answer.
    pub kind: Kind,
    /// The text to show. From outside: show it as text, never as markup or to a terminal unfiltered.
    pub text: String,
    /// Show it at least this long.
    pub at_least: Option<Duration>,
    /// Wait at most this long. The session keeps this deadline itself.
    pub at_most: Option<Duration>,
    /// The answer to preselect, as the server wrote it: `0` or `1`, text, or numbers joined by `-`.
    pub default: Option<String>,
}

/// The kinds of interaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Show a text.
    Display,
    /// Ask yes or no.
    Confirm,
    /// Ask for text.
    Input {
        /// Most characters.
        max_length: Option<usize>,
        /// What is asked for.
        input: InputType,
        /// Whether the text must not be seen.
        hidden: bool,
    },
    /// Ask for one of the choices, numbered from 1.
    Choice(Vec<String>),
    /// Ask for any number of the choices, numbered from 1.
    Choices(Vec<String>),
}

/// What a text input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputType {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// A date, `DDMMYYYY`.
    Date,
    /// A time, `hhmmss`.
    Time,
    /// A telephone number.
    Phone,
    /// An IPv4 address.
    Ip,
}

/// What the user, or a policy in its place, answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Shown, or yes.
    Yes,
    /// No.
    No,
    /// A text.
    Text(String),
    /// The numbers of the choices, from 1.
    Chosen(Vec<usize>),
    /// The user wants the whole thing to stop.
    Cancel,
    /// Nobody answered.
    Timeout,
    /// It cannot be shown here.
    NotShown,
    /// This device does not interact.
    Unsupported,
}

impl Interaction {
    /// Reads the items of an alert; `None` when its number is not one of an interaction.
    pub(crate) fn parse(number: u16, items: &[Item]) -> Option<Result<Self, Code>> {
        if !(alert::DISPLAY..=alert::CHOICES).contains(&number) {
            return None;
        }
        Some(Self::read(number, items))
    }

    fn read(number: u16, items: &[Item]) -> Result<Self, Code> {
        if items.iter().any(|item| item.more) || items.len() > UI_CHOICES_MAX + 2 {
            return Err(Code::NOT_SATISFIABLE);
        }
        let mut texts = Vec::new();
        for item in items {
            let text = if item.data.is_none() { Some("") } else { item.text() };
            let text = text.ok_or(Code::INCOMPLETE)?.to_owned();
            if text.len() > UI_TEXT_BYTES_MAX {
                return Err(Code::NOT_SATISFIABLE);
            }
            texts.push(text);
        }
        let mut texts = texts.into_iter();
        let options = Options::parse(&texts.next().unwrap_or_default());
        let text = texts.next().filter(|text| !text.trim().is_empty()).ok_or(Code::INCOMPLETE)?;
        let choices: Vec<String> = texts.collect();
        let kind = match number {
            alert::DISPLAY => Kind::Display,
            alert::CONFIRM => Kind::Confirm,
            alert::INPUT => {
                Kind::Input { max_length: options.max_length, input: options.input, hidden: options.hidden }
            }
            _ if choices.is_empty() => return Err(Code::INCOMPLETE),
            alert::CHOICE => Kind::Choice(choices),
            _ => Kind::Choices(choices),
        };
        let Options { at_least, at_most, default, .. } = options;
        Ok(Self { kind, text, at_least, at_most, default })
    }

    /// The status of an answer and the items that go with it. An answer that does not fit the question is a defect
    /// of the caller's; the server is told that the question could not be shown.
    pub(crate) fn status(&self, answer: Answer) -> (Code, Vec<Item>) {
        let data = |text: String| Item { data: Some(text.into_bytes()), ..Item::default() };
        let code = match (answer, &self.kind) {
            (Answer::Yes, Kind::Display | Kind::Confirm) => Code::OK,
            (Answer::No, Kind::Confirm) => Code::NOT_MODIFIED,
            (Answer::Text(text), Kind::Input { max_length, .. })
                if text.len() <= UI_ANSWER_BYTES_MAX
                    && max_length.is_none_or(|max| text.chars().count() <= max) =>
            {
                return (Code::OK, vec![data(text)]);
            }
            (Answer::Chosen(chosen), Kind::Choice(choices))
                if chosen.len() == 1 && within(&chosen, choices) =>
            {
                return (Code::OK, chosen.iter().map(|number| data(number.to_string())).collect());
            }
            (Answer::Chosen(chosen), Kind::Choices(choices)) if within(&chosen, choices) => {
                return (Code::OK, chosen.iter().map(|number| data(number.to_string())).collect());
            }
            (Answer::Cancel, Kind::Display) | (Answer::Timeout, Kind::Display) => Code::OK,
            (Answer::Cancel, _) => Code::CANCELLED,
            (Answer::Timeout, _) => Code::TIMED_OUT,
            (Answer::Unsupported, _) => Code::UNSUPPORTED,
            _ => Code::NOT_SATISFIABLE,
        };
        (code, Vec::new())
    }
}

fn within(chosen: &[usize], choices: &[String]) -> bool {
    chosen.len() <= choices.len() && chosen.iter().all(|number| (1..=choices.len()).contains(number))
}

/// The options of an interaction. Unknown ones are skipped.
struct Options {
    at_least: Option<Duration>,
    at_most: Option<Duration>,
    default: Option<String>,
    max_length: Option<usize>,
    input: InputType,
    hidden: bool,
}

impl Options {
    fn parse(text: &str) -> Self {
        let (input, hidden) = (InputType::Text, false);
        let mut options =
            Self { at_least: None, at_most: None, default: None, max_length: None, input, hidden };
        let seconds =
            |value: &str| value.parse().ok().map(|s: u64| Duration::from_secs(s.min(UI_SECONDS_MAX)));
        for option in text.trim().split('&') {
            let Some((name, value)) = option.split_once('=') else { continue };
            let Some(value) = unescape(value, true) else { continue };
            match name.trim() {
                "MINDT" => options.at_least = seconds(&value),
                "MAXDT" => options.at_most = seconds(&value),
                "DR" => options.default = Some(value),
                "MAXLEN" => options.max_length = value.parse().ok(),
                "ET" => options.hidden = value == "P",
                "IT" => {
                    options.input = match value.as_str() {
                        "N" => InputType::Number,
                        "D" => InputType::Date,
                        "T" => InputType::Time,
                        "P" => InputType::Phone,
                        "I" => InputType::Ip,
                        _ => InputType::Text,
                    }
                }
                _ => {}
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(texts: &[&str]) -> Vec<Item> {
        texts.iter().map(|text| Item { data: Some(text.as_bytes().to_vec()), ..Item::default() }).collect()
    }

    fn read(number: u16, texts: &[&str]) -> Result<Interaction, u16> {
        Interaction::parse(number, &items(texts)).unwrap().map_err(|code| code.0)
    }

    #[test]
    fn options_are_read_and_unknown_ones_skipped() {
        let options = "MINDT=5&MAXDT=30&X=1&DR=a+b%26c&MAXLEN=8&IT=N&ET=P";
        let kind = Kind::Input { max_length: Some(8), input: InputType::Number, hidden: true };
        let expected = Interaction {
            kind,
            text: "Number?".to_owned(),
            at_least: Some(Duration::from_secs(5)),
            at_most: Some(Duration::from_secs(30)),
            default: Some("a b&c".to_owned()),
        };
        assert_eq!(read(1102, &[options, "Number?"]), Ok(expected));
        let odd = read(1101, &["MINDT=x&=&&MAXDT=99999999999&DR=%zz", "Go?"]).unwrap();
        assert_eq!((odd.at_least, odd.default), (None, None));
        assert_eq!(odd.at_most, Some(Duration::from_secs(UI_SECONDS_MAX)));
    }

    #[test]
    fn bad_items_are_refused() {
        assert_eq!(read(1100, &[]), Err(412));
        assert_eq!(read(1100, &[""]), Err(412));
        assert_eq!(read(1101, &["", "  "]), Err(412));
        assert_eq!(read(1103, &["", "Which?"]), Err(412));
        assert_eq!(read(1100, &["", &"x".repeat(UI_TEXT_BYTES_MAX + 1)]), Err(416));
        assert_eq!(read(1104, &vec!["a"; UI_CHOICES_MAX + 3]), Err(416));
        assert!(read(1104, &vec!["a"; UI_CHOICES_MAX + 2]).is_ok());
        assert!(Interaction::parse(1105, &[]).is_none());
    }

    #[test]
    fn every_answer_has_its_code() {
        let answers = [
            Answer::Yes,
            Answer::No,
            Answer::Text("t".to_owned()),
            Answer::Chosen(vec![2]),
            Answer::Chosen(vec![1, 2]),
            Answer::Cancel,
            Answer::Timeout,
            Answer::NotShown,
            Answer::Unsupported,
        ];
        let table = [
            (1100, [200, 416, 416, 416, 416, 200, 200, 416, 406]),
            (1101, [200, 304, 416, 416, 416, 214, 408, 416, 406]),
            (1102, [416, 416, 200, 416, 416, 214, 408, 416, 406]),
            (1103, [416, 416, 416, 200, 416, 214, 408, 416, 406]),
            (1104, [416, 416, 416, 200, 200, 214, 408, 416, 406]),
        ];
        for (number, codes) in table {
            let interaction = read(number, &["", "Text", "one", "two"]).unwrap();
            for (answer, code) in answers.iter().zip(codes) {
                assert_eq!(interaction.status(answer.clone()).0.0, code, "{number} {answer:?}");
            }
        }
        let choices = read(1104, &["", "Text", "one", "two"]).unwrap();
        assert_eq!(choices.status(Answer::Chosen(vec![2, 1])).1, items(&["2", "1"]));
        assert_eq!(choices.status(Answer::Chosen(vec![3])).0, Code::NOT_SATISFIABLE);
        assert_eq!(choices.status(Answer::Chosen(vec![0])).0, Code::NOT_SATISFIABLE);
        let input = read(1102, &["MAXLEN=2", "Text"]).unwrap();
        assert_eq!(input.status(Answer::Text("äö".to_owned())).0, Code::OK);
        assert_eq!(input.status(Answer::Text("äöü".to_owned())).0, Code::NOT_SATISFIABLE);
    }
}
