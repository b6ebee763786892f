//! `InstallParams`: parameters for whoever installs a package, as one text. The syntax is our choice.

/// The parameters in a text: `key=value`, separated by `;`, blanks around them of no meaning. A value may hold `=`. None:
/// the text is no such list, or a key is there twice.
#[must_use]
pub fn install_params(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut params: Vec<(&str, &str)> = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || params.iter().any(|(known, _)| *known == key) {
            return None;
        }
        params.push((key, value));
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_keys_with_values() {
        assert_eq!(install_params(""), Some(vec![]));
        assert_eq!(install_params(" a = 1;b==2;; c="), Some(vec![("a", "1"), ("b", "=2"), ("c", "")]));
        for bad in ["a", "=1", "a=1;a=2", "a=1;b"] {
            assert_eq!(install_params(bad), None, "{bad}");
        }
    }
}
