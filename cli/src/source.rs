//! Sources as people type them: paths become absolute, because the daemon has another working directory.

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Makes a source that means the same to the daemon as it means here.
///
/// - what has another scheme, and absolute paths, stay as they are;
/// - `oci:dir` and `file:x.scomo` get an absolute path;
/// - a bare path of a `.scomo` file or of a folder with an OCI layout gets its scheme.
pub fn absolute(source: &str, here: &Path) -> Result<String, Failure> {
    if source.is_empty() {
        return Err(Failure::usage(
            "the source is empty; see 'scomoctl install --help' for the forms it may have",
        ));
    }
    for scheme in ["oci:", "file:"] {
        if let Some(path) = source.strip_prefix(scheme) {
            return Ok(format!("{scheme}{}", against(path, here)?));
        }
    }
    if has_scheme(source) {
        return Ok(source.to_owned());
    }
    if source.ends_with(".scomo") {
        return Ok(format!("file:{}", against(source, here)?));
    }
    if here.join(source).join("oci-layout").is_file() {
        return Ok(format!("oci:{}", against(source, here)?));
    }
    Err(Failure::usage(format!(
        "'{source}' is not a source: use docker://host/repository:tag, oci:/folder[:reference], a .scomo file, or \
         ostree+https://host/repository?ref=name"
    )))
}

/// Whether it begins with a scheme. Which ones there are is for the daemon to say.
fn has_scheme(source: &str) -> bool {
    let scheme = source.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.chars().all(fits)
}

/// The path as absolute text. It is not resolved: what follows a colon may be a reference.
fn against(path: &str, here: &Path) -> Result<String, Failure> {
    if path.is_empty() {
        return Err(Failure::usage("the source names no path"));
    }
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    let mut joined = PathBuf::from(here);
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                joined.pop();
            }
            part => joined.push(part),
        }
    }
    let text =
        joined.to_str().ok_or_else(|| Failure::usage("the path of the working directory is not UTF-8"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_urls_stay() {
        let here = tempfile::tempdir().unwrap();
        let layout = here.path().join("layout");
        std::fs::create_dir(&layout).unwrap();
        std::fs::write(layout.join("oci-layout"), "{}").unwrap();
        let root = here.path().to_str().unwrap();
        for (given, want) in [
            ("docker://r.example/a/b:1", "docker://r.example/a/b:1".to_owned()),
            ("ostree+https://o.example/repo?ref=x", "ostree+https://o.example/repo?ref=x".to_owned()),
            ("oci:/abs:v1", "oci:/abs:v1".to_owned()),
            ("oci:layout:v1", format!("oci:{root}/layout:v1")),
            ("oci:./layout", format!("oci:{root}/layout")),
            ("file:x.scomo", format!("file:{root}/x.scomo")),
            ("sub/../x.scomo", format!("file:{root}/x.scomo")),
            ("/srv/x.scomo", "file:/srv/x.scomo".to_owned()),
            ("layout", format!("oci:{root}/layout")),
        ] {
            assert_eq!(absolute(given, here.path()).unwrap(), want, "{given}");
        }
    }

    #[test]
    fn what_is_no_source_is_refused_with_the_forms_it_may_have() {
        for given in ["", "nonsense", "oci:", "file:"] {
            let failure = absolute(given, Path::new("/nowhere")).unwrap_err();
            assert_eq!(failure.code, crate::exit::USAGE, "{given}");
        }
    }
}
