//! OSTree sources: `ostree+https://host/repository?ref=branch[&commit=checksum][&id=component]`.

use scomo_core::id::ComponentId;
use scomo_core::spec::{Payload, Release};

use crate::error::OsError;

/// Longest source in bytes: longer URLs are refused by many servers anyway.
const SOURCE_BYTES_MAX: usize = 4096;
/// Longest branch name: it becomes a file name.
const REF_BYTES_MAX: usize = 200;
/// The component of an OSTree source that names none.
pub(crate) const DEFAULT_ID: &str = "os";

/// A parsed source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// URL of the repository: `https`, `http` or `file`, without query and without a slash at the end.
    pub url: String,
    /// The branch.
    pub ref_name: String,
    /// The commit that is wanted; None: the branch's newest.
    pub commit: Option<String>,
    /// The component that the commit is a release of.
    pub id: ComponentId,
}

impl Source {
    /// Parses a source as it was given.
    pub fn parse(text: &str) -> Result<Self, OsError> {
        let wrong = |why| OsError::Source { source_text: shorten(text), why };
        let rest = text.strip_prefix("ostree+").ok_or_else(|| OsError::NotOstree(shorten(text)))?;
        if text.len() > SOURCE_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let (url, query) = rest.split_once('?').ok_or_else(|| wrong("it needs '?ref=' and a branch"))?;
        let (mut ref_name, mut commit, mut id) = (None, None, None);
        for pair in query.split('&') {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| wrong("its query is not made of key=value"))?;
            let slot = match key {
                "ref" => &mut ref_name,
                "commit" => &mut commit,
                "id" => &mut id,
                _ => return Err(wrong("its query may hold 'ref', 'commit' and 'id' only")),
            };
            let value = decode(value).ok_or_else(|| wrong("its query has a bad %-escape"))?;
            if slot.replace(value).is_some() {
                return Err(wrong("its query says something twice"));
            }
        }
        let ref_name = ref_name.ok_or_else(|| wrong("it needs '?ref=' and a branch"))?;
        check_ref(&ref_name).map_err(wrong)?;
        if let Some(commit) = &commit {
            check_commit(commit)?;
        }
        let id = id.unwrap_or_else(|| DEFAULT_ID.to_owned());
        let id = ComponentId::new(id).map_err(|_| wrong("its 'id' is not a component identifier"))?;
        Ok(Self { url: check_url(url).map_err(wrong)?, ref_name, commit, id })
    }
}

/// What a release's payload says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pinned {
    pub(crate) url: String,
    pub(crate) ref_name: String,
    pub(crate) commit: String,
}

impl Pinned {
    /// Of a release.
    pub(crate) fn of(release: &Release) -> Result<Self, OsError> {
        let Payload::Ostree { url, ref_name, commit } = &release.spec.payload else {
            return Err(OsError::Payload(release.spec.id.to_string()));
        };
        let wrong = |why| OsError::Source { source_text: shorten(url), why };
        check_commit(commit)?;
        if !ref_name.is_empty() {
            check_ref(ref_name).map_err(wrong)?;
        }
        Ok(Self { url: check_url(url).map_err(wrong)?, ref_name: ref_name.clone(), commit: commit.clone() })
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn check_commit(text: &str) -> Result<(), OsError> {
    let good = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if good { Ok(()) } else { Err(OsError::Commit(shorten(text))) }
}

/// Whether a branch is one that OSTree can have.
pub(crate) fn is_ref(text: &str) -> bool {
    check_ref(text).is_ok()
}

/// Branches as OSTree has them: parts of letters, digits, `-`, `_` and `.`, joined by `/`.
fn check_ref(text: &str) -> Result<(), &'static str> {
    let part = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    if text.len() > REF_BYTES_MAX || !text.split('/').all(part) {
        return Err("its branch is not one that OSTree can have");
    }
    Ok(())
}

/// The URL without a slash at the end. Everything that could make two prefixes mean the same place is refused.
fn check_url(url: &str) -> Result<String, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no '://'")?;
    if url.len() > SOURCE_BYTES_MAX {
        return Err("its URL is too long");
    }
    if url.bytes().any(|b| b.is_ascii_control() || b.is_ascii_whitespace() || b"?#\\\"<>{}|^`".contains(&b)) {
        return Err("its URL holds a character that no URL may hold");
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match scheme {
        "https" | "http" if host.is_empty() => return Err("its URL names no host"),
        "https" | "http" if host.contains('@') => {
            return Err("its URL holds credentials; they would end up in logs and on screens");
        }
        "https" | "http" if host.bytes().any(|b| b.is_ascii_uppercase() || b == b'%') => {
            return Err("its host must be written in lower case, without escapes");
        }
        "file" if !host.is_empty() || path.len() < 2 => {
            return Err("a local URL is file:// and an absolute path");
        }
        "https" | "http" | "file" => {}
        _ => return Err("repositories are reached by https, http or file"),
    }
    let decoded = decode(path).ok_or("its URL has a bad %-escape")?;
    if decoded.split('/').any(|part| part == "." || part == "..") {
        return Err("its URL has '.' or '..' as a folder");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Resolves %-escapes; None: they are wrong, or what they stand for is not text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: u8| char::from(b).to_digit(16);
            let value = digit(bytes.next()?)?.checked_mul(16)?.checked_add(digit(bytes.next()?)?)?;
            decoded.push(u8::try_from(value).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    let text = String::from_utf8(decoded).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scomo_core::failure::FailureKind;

    #[test]
    fn a_source_is_taken_apart() {
        let commit = "0a".repeat(32);
        let text = format!("ostree+https://a.org:8443/os/repo/?ref=stable%2Fx86&commit={commit}&id=base");
        let source = Source::parse(&text).expect("source");
        assert_eq!(source.url, "https://a.org:8443/os/repo");
        assert_eq!((source.ref_name.as_str(), source.id.as_str()), ("stable/x86", "base"));
        assert_eq!(source.commit, Some(commit));
        let source = Source::parse("ostree+file:///srv/repo?ref=a").expect("source");
        assert_eq!((source.url.as_str(), source.id.as_str()), ("file:///srv/repo", "os"));
        assert_eq!(source.commit, None);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let long = format!("ostree+https://a.org/{}?ref=a", "x".repeat(5000));
        let cases = [
            "ostree+https://a.org/repo",
            "ostree+https://a.org/repo?ref=",
            "ostree+https://a.org/repo?ref=a&ref=b",
            "ostree+https://a.org/repo?ref=a&x=1",
            "ostree+https://a.org/repo?ref=../x",
            "ostree+https://a.org/repo?ref=a/",
            "ostree+https://a.org/repo?ref=%zz",
            "ostree+https://a.org/repo?ref=%0a",
            "ostree+https://a.org/repo?ref=a&commit=12",
            "ostree+https://a.org/repo?ref=a&commit=",
            "ostree+https://a.org/repo?ref=a&id=",
            "ostree+https://?ref=a",
            "ostree+https:///repo?ref=a",
            "ostree+https://user:secret@a.org/repo?ref=a",
            "ostree+https://A.org/repo?ref=a",
            "ostree+https://a.org/x/../y?ref=a",
            "ostree+https://a.org/x/%2e%2E/y?ref=a",
            "ostree+https://a.org/x y?ref=a",
            "ostree+https://a.org/x#y?ref=a",
            "ostree+ftp://a.org/x?ref=a",
            "ostree+file://host/x?ref=a",
            "ostree+file:///?ref=a",
            "ostree+?ref=a",
            long.as_str(),
        ];
        for text in cases {
            let error = Source::parse(text).expect_err(text);
            assert_eq!(error.kind(), FailureKind::Invalid, "{text}: {error}");
        }
        for text in ["", "docker://a.org/x", "ostree:x", "\u{fffd}"] {
            assert_eq!(Source::parse(text).expect_err(text).kind(), FailureKind::Unsupported);
        }
    }
}
