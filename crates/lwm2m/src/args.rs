//! Arguments of Execute, as the grammar of LwM2M has them: single digits, each with a quoted text or without.

/// Arguments in the order in which they came; at most ten, each digit once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments(Vec<(u8, Option<String>)>);

/// The text is not a list of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("arguments are digits with or without a quoted text, separated by commas: 0='a',1")]
pub struct InvalidArguments;

impl Arguments {
    /// Reads the payload of an Execute.
    pub fn parse(payload: &[u8]) -> Result<Self, InvalidArguments> {
        let mut rest = std::str::from_utf8(payload).map_err(|_| InvalidArguments)?;
        let mut arguments = Vec::new();
        while !rest.is_empty() || !arguments.is_empty() {
            let mut chars = rest.chars();
            let digit = chars.next().and_then(|c| c.to_digit(10)).ok_or(InvalidArguments)?;
            let digit = u8::try_from(digit).map_err(|_| InvalidArguments)?;
            if arguments.iter().any(|(known, _)| *known == digit) {
                return Err(InvalidArguments);
            }
            rest = chars.as_str();
            let mut text = None;
            if let Some(quoted) = rest.strip_prefix("='") {
                let (value, after) = quoted.split_once('\'').ok_or(InvalidArguments)?;
                if value.chars().any(char::is_control) {
                    return Err(InvalidArguments);
                }
                text = Some(value.to_owned());
                rest = after;
            }
            arguments.push((digit, text));
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None if rest.is_empty() => break,
                None => return Err(InvalidArguments),
            }
        }
        Ok(Self(arguments))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Digits and their texts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Option<&str>)> {
        self.0.iter().map(|(digit, text)| (*digit, text.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_follow_their_grammar() {
        let parse = |text: &str| Arguments::parse(text.as_bytes());
        assert!(parse("").unwrap().is_empty());
        let all = parse("0='a,b',2,5=''").unwrap();
        assert_eq!(all.iter().collect::<Vec<_>>(), [(0, Some("a,b")), (2, None), (5, Some(""))]);
        for bad in [",", "0,", ",0", "a", "10", "0=", "0='", "0=a", "0='a'b", "0,0", "0 ", "0='\n'", "0=''1"]
        {
            assert_eq!(parse(bad), Err(InvalidArguments), "{bad}");
        }
        assert_eq!(Arguments::parse(&[0xff]), Err(InvalidArguments));
    }
}
