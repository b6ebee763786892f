//! Where packages come from: a source is taken apart once, here, and nowhere else.

use std::path::{Component, Path, PathBuf};

use scomo_core::id::Digest;

use crate::error::PackageError;
use crate::oci::shorten;

/// Longest source in bytes; longer than any registry or path allows.
pub const SOURCE_BYTES_MAX: usize = 4096;
const REF_BYTES_MAX: usize = 128;
const SCHEMES: &str = "use docker://host/repository[:tag|@sha256:…], oci:/path[:ref], file:/path/name.scomo, \
                       or ostree+https://host/repository?ref=…";

/// A parsed source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `docker://host/repository[:tag|@sha256:…]`: a repository of an OCI registry.
    Registry {
        /// `host[:port]` in lower case.
        host: String,
        /// The repository below it.
        repository: String,
        /// Tag; `latest` when the source names neither tag nor digest.
        tag: Option<String>,
        /// Digest of the manifest; stands above the tag.
        digest: Option<Digest>,
    },
    /// `oci:/path[:ref]`: an OCI image layout folder.
    Layout {
        /// Absolute path of the folder.
        path: PathBuf,
        /// Its entry in `index.json`; None: the only one.
        name: Option<String>,
    },
    /// `file:/path/name.scomo`, or the path alone: an OCI image layout in one tar file.
    Archive {
        /// Absolute path of the file.
        path: PathBuf,
    },
    /// `ostree+https://…?ref=…[&commit=…]`: read by the OS backend.
    Ostree {
        /// The repository's URL without the `ostree+` and the query.
        url: String,
        /// The branch; empty: none was named.
        ref_name: String,
        /// The commit checksum; empty: the newest of the branch.
        commit: String,
    },
}

/// Whether `url` names a source that this crate resolves, as opposed to OSTree or something unknown.
#[must_use]
pub fn is_ours(url: &str) -> bool {
    matches!(Source::parse(url), Ok(source) if !matches!(source, Source::Ostree { .. }))
}

impl Source {
    /// Parses a source as users and servers write it.
    pub fn parse(url: &str) -> Result<Self, PackageError> {
        Self::parse_inner(url).map_err(|reason| PackageError::Source { url: shorten(url), reason })
    }

    fn parse_inner(url: &str) -> Result<Self, String> {
        if url.len() > SOURCE_BYTES_MAX {
            return Err(format!("it is longer than {SOURCE_BYTES_MAX} bytes"));
        }
        if url.chars().any(|c| c.is_control() || c == ' ') {
            return Err("it holds a space or control character".to_owned());
        }
        if let Some(rest) = url.strip_prefix("docker://") {
            return registry(rest);
        }
        if let Some(rest) = url.strip_prefix("oci:") {
            return layout(rest);
        }
        if let Some(rest) = url.strip_prefix("file:") {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            return Ok(Self::Archive { path: absolute(rest)? });
        }
        if let Some(rest) = url.strip_prefix("ostree+") {
            return ostree(rest);
        }
        if url.starts_with('/') && url.ends_with(".scomo") {
            return Ok(Self::Archive { path: absolute(url)? });
        }
        Err(SCHEMES.to_owned())
    }

    /// The source without tag, digest, ref and query: what policies are matched against.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Registry { host, repository, .. } => format!("docker://{host}/{repository}"),
            Self::Layout { path, .. } => format!("oci:{}", path.display()),
            Self::Archive { path } => format!("file:{}", path.display()),
            Self::Ostree { url, .. } => format!("ostree+{url}"),
        }
    }

    /// Whether a policy's prefix covers this source. A prefix ends at a border, so that `docker://a.org` does not
    /// cover `docker://a.org.evil.example`.
    #[must_use]
    pub fn is_below(&self, prefix: &str) -> bool {
        match self.place().strip_prefix(prefix) {
            None => false,
            Some(rest) => {
                prefix.is_empty() || rest.is_empty() || prefix.ends_with(['/', ':']) || rest.starts_with('/')
            }
        }
    }
}

/// Whether a policy's prefix can match anything. One that cannot, for a capital letter or a tag in it, would quietly
/// leave its sources to a wider policy.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.is_empty() {
        return Ok(());
    }
    if let Some(rest) = prefix.strip_prefix("docker://") {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !host.is_empty() && check_host(host)? != host {
            return Err("write the host in lower case".to_owned());
        }
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        return if path.chars().all(good) { Ok(()) } else { Err("leave out tag and digest".to_owned()) };
    }
    if let Some(rest) = prefix.strip_prefix("oci:").or_else(|| prefix.strip_prefix("file:")) {
        let plain =
            |path: &PathBuf| path.as_os_str() == rest.strip_suffix('/').unwrap_or(rest) || rest == "/";
        return match absolute(rest) {
            _ if rest.is_empty() => Ok(()),
            Ok(path) if plain(&path) => Ok(()),
            Ok(path) => Err(format!("write the path as {}", path.display())),
            Err(reason) => Err(reason),
        };
    }
    let ostree = prefix.strip_prefix("ostree+");
    let schemes = ["https://", "http://", "file://"];
    if ostree.is_some_and(|rest| rest.is_empty() || schemes.iter().any(|s| rest.starts_with(s))) {
        return Ok(());
    }
    Err("begin with docker://, oci:/, file:/ or ostree+, or leave it empty for every source".to_owned())
}

fn registry(rest: &str) -> Result<Source, String> {
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(Digest::new(digest).map_err(|e| e.to_string())?)),
        None => (rest, None),
    };
    let (host, path) = rest.split_once('/').ok_or("the host must be followed by a slash and a repository")?;
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    let host = check_host(host)?;
    let part = |p: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        p.chars().all(inner) && edge(p.chars().next()) && edge(p.chars().next_back()) && !p.contains("..")
    };
    if repository.len() > 255 || !repository.split('/').all(part) {
        return Err(
            "a repository has lower-case letters, digits, '.', '_', '-', and '/' between names".to_owned()
        );
    }
    let tag = tag.map(check_ref).transpose()?;
    let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
    Ok(Source::Registry { host, repository: repository.to_owned(), tag, digest })
}

fn check_host(host: &str) -> Result<String, String> {
    let lower = host.to_ascii_lowercase();
    let (name, port) = match lower.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (lower.as_str(), None),
    };
    if port.is_some_and(|p| p.is_empty() || p.len() > 5 || p.parse::<u16>().map_or(true, |p| p == 0)) {
        return Err("the port must be a number from 1 to 65535".to_owned());
    }
    let v6 = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    if let Some(address) = v6 {
        address.parse::<std::net::Ipv6Addr>().map_err(|_| "the IPv6 address is malformed".to_owned())?;
        return Ok(lower);
    }
    let label = |l: &str| {
        let good = l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        good && !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("the host name is malformed".to_owned());
    }
    // A name without dot and port is a short name; what it stands for would depend on somebody's search list.
    if port.is_none() && !name.contains('.') && name != "localhost" {
        return Err(format!(
            "'{name}' is not a full host name; write for example docker://docker.io/library/{name}"
        ));
    }
    Ok(lower)
}

fn layout(rest: &str) -> Result<Source, String> {
    let (path, name) = match rest.rsplit_once(':') {
        Some((path, name)) if !name.contains('/') => (path, Some(check_ref(name)?)),
        _ => (rest, None),
    };
    Ok(Source::Layout { path: absolute(path)?, name })
}

fn check_ref(name: &str) -> Result<String, String> {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let other = |c: char| first(c) || matches!(c, '.' | '-' | '+');
    if name.is_empty() || name.len() > REF_BYTES_MAX || !name.starts_with(first) || !name.chars().all(other) {
        return Err(format!("a tag or ref has 1 to {REF_BYTES_MAX} letters, digits, '_', '.', '-' or '+'"));
    }
    Ok(name.to_owned())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err("the path must be absolute".to_owned());
    }
    if path.components().any(|c| matches!(c, Component::ParentDir)) {
        return Err("the path must not contain '..'".to_owned());
    }
    // Rebuilt from its components: `//`, `/./` and a trailing slash would slip past the prefixes of policies.
    Ok(path.components().collect())
}

fn ostree(rest: &str) -> Result<Source, String> {
    let (url, query) = rest.split_once('?').unwrap_or((rest, ""));
    let tail = ["https://", "http://", "file://"].iter().find_map(|s| url.strip_prefix(s));
    if tail.is_none_or(str::is_empty) {
        return Err(
            "an OSTree source starts with ostree+https://, ostree+http:// or ostree+file://".to_owned()
        );
    }
    if url.contains('#') || url.split('/').any(|p| p == "..") {
        return Err("the address must not contain '#' or '..'".to_owned());
    }
    let (mut ref_name, mut commit) = (String::new(), String::new());
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        match pair.split_once('=') {
            Some(("ref", value)) if ref_name.is_empty() && is_ostree_ref(value) => {
                value.clone_into(&mut ref_name)
            }
            Some(("commit", value)) if commit.is_empty() && is_checksum(value) => {
                value.clone_into(&mut commit)
            }
            _ => return Err(format!("'{}' is not ref=… or commit=<64 hexadecimal digits>", shorten(pair))),
        }
    }
    if ref_name.is_empty() && commit.is_empty() {
        return Err("an OSTree source names ?ref=…, &commit=… or both".to_owned());
    }
    Ok(Source::Ostree { url: url.to_owned(), ref_name, commit })
}

fn is_ostree_ref(value: &str) -> bool {
    let part = |p: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
        !p.is_empty() && !p.starts_with('.') && !p.starts_with('-') && p.chars().all(good)
    };
    value.len() <= 255 && value.split('/').all(part)
}

fn is_checksum(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests;
