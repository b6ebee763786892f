//! Identifiers: newtypes with limits, so that a name from outside cannot be mistaken for another kind of name.
//!
//! Every constructor checks length and characters; a value of one of these types is safe to log, to store and to
//! show. They are not file names: a backend derives its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest identifier in bytes. SCOMO leaves it open; 255 fits every DM node value and every file system name.
pub const ID_BYTES_MAX: usize = 255;

/// Why a string is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The string is empty.
    #[error("an identifier must not be empty")]
    Empty,
    /// The string is longer than [`ID_BYTES_MAX`].
    #[error("an identifier has at most {ID_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// The string holds a control character.
    #[error("an identifier must not hold control characters")]
    Control,
    /// The string is not a lower-case `sha256:` digest.
    #[error("a digest is 'sha256:' and 64 lower-case hexadecimal digits")]
    NotADigest,
}

fn check(value: &str) -> Result<(), InvalidId> {
    if value.is_empty() {
        return Err(InvalidId::Empty);
    }
    if value.len() > ID_BYTES_MAX {
        return Err(InvalidId::TooLong(value.len()));
    }
    if value.chars().any(char::is_control) {
        return Err(InvalidId::Control);
    }
    Ok(())
}

fn check_digest(value: &str) -> Result<(), InvalidId> {
    let hex = value.strip_prefix("sha256:").ok_or(InvalidId::NotADigest)?;
    let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if hex.len() == 64 && hex.bytes().all(lower_hex) { Ok(()) } else { Err(InvalidId::NotADigest) }
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps `value`.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidId> {
                let value = value.into();
                $check(&value)?;
                Ok(Self(value))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

string_id!(
    /// SCOMO `PkgID`: names a Delivery Package; chosen by whoever adds it.
    PackageId,
    check
);
string_id!(
    /// SCOMO Deployment Component `ID`: names a component across its versions.
    ComponentId,
    check
);
string_id!(
    /// One exact release of one component: the digest of its canonical description, payload digest included.
    /// Two releases with equal ids are the same software with the same settings.
    ReleaseId,
    check_digest
);
string_id!(
    /// A content digest, `sha256:` and 64 lower-case hexadecimal digits.
    Digest,
    check_digest
);
string_id!(
    /// The kernel's boot id: differs after every boot.
    BootId,
    check
);
string_id!(
    /// Chosen by a client so that the same request, sent twice, is carried out once.
    RequestId,
    check
);

impl Digest {
    /// The digest of a finished SHA-256.
    #[must_use]
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        Self(hex_digest(hash))
    }
}

impl ReleaseId {
    /// The id whose digest is a finished SHA-256.
    #[must_use]
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        Self(hex_digest(hash))
    }
}

fn hex_digest(hash: [u8; 32]) -> String {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in hash {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// Number of a job; rises by one and is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the Unix epoch. An input everywhere: core has no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// `self` later by `ms`; saturates.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_limits() {
        assert_eq!(PackageId::new(""), Err(InvalidId::Empty));
        assert_eq!(PackageId::new("a\nb"), Err(InvalidId::Control));
        assert_eq!(PackageId::new("x".repeat(256)), Err(InvalidId::TooLong(256)));
        assert!(PackageId::new("x".repeat(255)).is_ok());
    }

    #[test]
    fn a_digest_is_exact() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert!(Digest::new(good.clone()).is_ok());
        assert_eq!(Digest::new(good.to_uppercase()), Err(InvalidId::NotADigest));
        assert_eq!(Digest::new(&good[..70]), Err(InvalidId::NotADigest));
        assert!(serde_json::from_str::<Digest>("\"sha512:00\"").is_err());
        let made = Digest::from_sha256([0x0a; 32]);
        assert_eq!(Digest::new(made.as_str()), Ok(made.clone()));
        assert_eq!(made.as_str(), format!("sha256:{}", "0a".repeat(32)));
    }
}
