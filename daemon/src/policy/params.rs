//! The SCOMO leaf `InstallParams`: `key=value;key=value`. Pure.
//!
//! The specification leaves the syntax to the device; this one is our choice. What is not known is refused: a
//! parameter that is overlooked could be one that matters.

use super::config::RebootValue;

/// What `InstallParams` asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Params {
    /// Whether a package that failed before may be tried again.
    pub retry_failed: Option<bool>,
    /// When to restart the device; it stands above the leaf `Reboot`.
    pub reboot: Option<RebootValue>,
}

impl Params {
    /// Reads the leaf. Err: what is wrong, for people.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut params = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("InstallParams: '{part}' has no value; write key=value"))?;
            let wrong = |known: &str| format!("InstallParams: '{key}' takes {known}, not '{value}'");
            match key.trim() {
                "retry-failed" => {
                    let value = value.trim().parse().map_err(|_| wrong("true or false"))?;
                    params.retry_failed = Some(value);
                }
                "reboot" => {
                    let value = reboot(value.trim()).ok_or_else(|| wrong("none, before, after or both"))?;
                    params.reboot = Some(value);
                }
                _ => {
                    return Err(format!(
                        "InstallParams: '{key}' is not known here; known are: reboot, retry-failed"
                    ));
                }
            }
        }
        Ok(params)
    }
}

fn reboot(text: &str) -> Option<RebootValue> {
    let value = match text {
        "none" => RebootValue::None,
        "before" => RebootValue::Before,
        "after" => RebootValue::After,
        "both" => RebootValue::Both,
        _ => return None,
    };
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read() {
        assert_eq!(Params::read(""), Ok(Params::default()));
        assert_eq!(
            Params::read(" retry-failed = true ; reboot=after;"),
            Ok(Params { retry_failed: Some(true), reboot: Some(RebootValue::After) })
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (text, said) in [
            ("colour=red", "'colour' is not known"),
            ("reboot", "'reboot' has no value"),
            ("reboot=soon", "'reboot' takes none, before, after or both, not 'soon'"),
            ("retry-failed=1", "'retry-failed' takes true or false, not '1'"),
        ] {
            let error = Params::read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
