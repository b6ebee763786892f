//! The configuration that a worker is handed with its job.

use scomo_core::failure::{Failure, FailureKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads the settings that a worker needs out of the configuration in a [`super::Job`].
///
/// The failure names the setting that is wrong: whoever reads it sees a result code for "the download failed" only.
pub fn settings<T: DeserializeOwned>(config: &Value) -> Result<T, Failure> {
    serde_path_to_error::deserialize(config).map_err(|error| {
        let place = error.path().to_string();
        wrong_setting(&place, error.inner())
    })
}

/// The failure of a job because a setting, for example `container.runtime`, is wrong.
pub fn wrong_setting(setting: &str, problem: impl std::fmt::Display) -> Failure {
    let detail = format!("the setting '{setting}' is wrong: {problem}; correct the configuration of scomod");
    Failure::new(FailureKind::Broken, detail)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_setting_is_named() {
        type Sections = BTreeMap<String, BTreeMap<String, Vec<u32>>>;
        let good = json!({"web": {"ports": [80, 443]}});
        assert_eq!(settings::<Sections>(&good).expect("good")["web"]["ports"], [80, 443]);
        let failure = settings::<Sections>(&json!({"web": {"ports": [80, "https"]}})).expect_err("wrong");
        assert_eq!(failure.kind, FailureKind::Broken);
        assert!(failure.detail.starts_with("the setting 'web.ports[1]' is wrong: "), "{}", failure.detail);
        assert!(failure.detail.contains("\"https\""), "{}", failure.detail);
    }
}
