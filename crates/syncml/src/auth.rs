//! Authentication of OMA DM: credentials, challenges, the HMAC header, nonces. Both directions use the same formulas.
//!
//! MD5 is what the protocol has. It keeps honest parties apart inside TLS; it is no protection without TLS.

use std::fmt;

use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::base64;
use crate::error::SyncmlError;
use crate::message::{Cred, Format, Meta};

/// How a party proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `syncml:auth-basic`: user and password as they are.
    Basic,
    /// `syncml:auth-md5`: a digest over a nonce, in the header of the message.
    Md5,
    /// `syncml:auth-MAC`: a digest over a nonce and the message, in a header of HTTP.
    Mac,
}

impl Scheme {
    /// The type as `Meta` has it.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Basic => "syncml:auth-basic",
            Self::Md5 => "syncml:auth-md5",
            Self::Mac => "syncml:auth-MAC",
        }
    }

    /// The scheme of a type; servers differ in upper and lower case.
    #[must_use]
    pub fn of_type(name: &str) -> Option<Self> {
        [Self::Basic, Self::Md5, Self::Mac].into_iter().find(|s| name.eq_ignore_ascii_case(s.type_name()))
    }
}

/// A user and what it knows. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: Option<String>,
    digest: String,
}

impl Credentials {
    /// Credentials with a password.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        let digest = base64::encode(&md5(&[user.as_bytes(), b":", password.as_bytes()]));
        Self { user, password: Some(password), digest }
    }

    /// Credentials of which only the digest is kept: the base64 of the MD5 of `user:password`.
    /// They cannot be used with [`Scheme::Basic`].
    #[must_use]
    pub fn from_digest(user: impl Into<String>, digest: impl Into<String>) -> Self {
        Self { user: user.into(), password: None, digest: digest.into() }
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// `Data` of a `Cred`, or `None` where the scheme has no `Cred` or the password is not known.
    #[must_use]
    pub fn cred_data(&self, scheme: Scheme, nonce: &[u8]) -> Option<String> {
        match scheme {
            Scheme::Basic => {
                self.password.as_ref().map(|p| base64::encode(format!("{}:{p}", self.user).as_bytes()))
            }
            Scheme::Md5 => Some(base64::encode(&md5(&[self.digest.as_bytes(), b":", nonce]))),
            Scheme::Mac => None,
        }
    }

    /// A whole `Cred`.
    #[must_use]
    pub fn cred(&self, scheme: Scheme, nonce: &[u8]) -> Option<Cred> {
        let meta = Meta::typed(Format::B64, scheme.type_name());
        self.cred_data(scheme, nonce).map(|data| Cred { meta, data })
    }

    /// Whether somebody else's `Cred` is what these credentials give.
    #[must_use]
    pub fn accept(&self, cred: &Cred, scheme: Scheme, nonce: &[u8]) -> bool {
        let said = cred.meta.mime.as_deref().and_then(Scheme::of_type);
        let expected = self.cred_data(scheme, nonce);
        said == Some(scheme)
            && expected.is_some_and(|expected| equal(expected.as_bytes(), cred.data.as_bytes()))
    }

    /// The base64 that proves a message, as it stands in [`HmacHeader::mac`].
    #[must_use]
    pub fn mac(&self, nonce: &[u8], body: &[u8]) -> String {
        let body = base64::encode(&md5(&[body]));
        base64::encode(&md5(&[self.digest.as_bytes(), b":", nonce, b":", body.as_bytes()]))
    }

    /// Whether a header proves a message.
    #[must_use]
    pub fn accept_mac(&self, header: &HmacHeader, nonce: &[u8], body: &[u8]) -> bool {
        let same_user = equal(header.user.as_bytes(), self.user.as_bytes());
        same_user & equal(header.mac.as_bytes(), self.mac(nonce, body).as_bytes())
    }

    /// The digest of a notification whose trigger is `trigger`.
    #[must_use]
    pub fn notification_digest(&self, nonce: &[u8], trigger: &[u8]) -> [u8; 16] {
        let trigger = base64::encode(&md5(&[trigger]));
        md5(&[self.digest.as_bytes(), b":", nonce, b":", trigger.as_bytes()])
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The value of the HTTP header `x-syncml-hmac`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HmacHeader {
    /// Who sent the message.
    pub user: String,
    /// The proof, base64.
    pub mac: String,
}

impl HmacHeader {
    /// Reads the header. The order of the parameters is free; an algorithm other than MD5 is refused.
    pub fn parse(value: &str) -> Result<Self, SyncmlError> {
        let mut user = None;
        let mut mac = None;
        for (name, value) in parameters(value) {
            if name.eq_ignore_ascii_case("username") {
                user = Some(value);
            } else if name.eq_ignore_ascii_case("mac") {
                mac = Some(value);
            } else if name.eq_ignore_ascii_case("algorithm") && !value.eq_ignore_ascii_case("MD5") {
                return Err(SyncmlError::HmacHeader("algorithm that is known"));
            }
        }
        let user = user.ok_or(SyncmlError::HmacHeader("username"))?.to_owned();
        let mac = mac.ok_or(SyncmlError::HmacHeader("mac"))?.to_owned();
        Ok(Self { user, mac })
    }
}

/// As it is sent.
impl fmt::Display for HmacHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "algorithm=MD5, username=\"{}\", mac={}", self.user, self.mac)
    }
}

/// `name=value` parts between commas; a value may stand in quotes, and then hold commas.
fn parameters(mut text: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        let (name, rest) = text.split_once('=')?;
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest
                .split_once(',')
                .map_or((rest, ""), |(value, _)| (value, rest.get(value.len()..).unwrap_or(""))),
        };
        text = rest.trim_start().strip_prefix(',').unwrap_or("");
        Some((name.trim(), value.trim()))
    })
}

/// Makes nonces from a secret seed: this crate has no randomness of its own.
#[derive(Clone)]
pub(crate) struct Nonces {
    seed: [u8; 32],
    count: u64,
}

impl Nonces {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// The next nonce: 16 bytes that say nothing about the others.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.count += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.count.to_be_bytes());
        hash.finalize().iter().take(16).copied().collect()
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Compares without telling by the time it takes where the difference is.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_give_the_known_values() {
        let bruce = Credentials::new("Bruce2", "OhBehave");
        let dev1 = Credentials::new("dev1", "secret1");
        let data = |c: &Credentials, scheme, nonce: &[u8]| c.cred_data(scheme, nonce).unwrap();
        assert_eq!(data(&bruce, Scheme::Basic, b""), "QnJ1Y2UyOk9oQmVoYXZl");
        assert_eq!(data(&bruce, Scheme::Md5, b"Nonce"), "Zz6EivR3yeaaENcRN6lpAQ==");
        assert_eq!(data(&dev1, Scheme::Md5, &[0; 4]), "1hsUXQgKR7ByPTcahL8wkg==");
        assert_eq!(data(&dev1, Scheme::Md5, b"0x00000000"), "Ts21ZyJq0X2ymcc8txK63g==");
        assert_eq!(dev1.mac(b"n0", b"<SyncML/>"), "Jl/mc/NIVZ3yWQYG5/4j6A==");
    }

    #[test]
    fn a_digest_serves_instead_of_the_password() {
        let known = Credentials::new("dev1", "secret1");
        let digest = Credentials::from_digest("dev1", known.digest.clone());
        assert_eq!(known.cred(Scheme::Md5, b"n"), digest.cred(Scheme::Md5, b"n"));
        assert_eq!(digest.cred(Scheme::Basic, b""), None);
        assert!(!format!("{known:?}").contains("secret1"));
    }

    #[test]
    fn credentials_are_accepted_only_as_they_are_expected() {
        let server = Credentials::new("srv", "pw");
        let cred = server.cred(Scheme::Md5, b"n").unwrap();
        assert!(server.accept(&cred, Scheme::Md5, b"n"));
        assert!(!server.accept(&cred, Scheme::Md5, b"m"));
        assert!(!server.accept(&cred, Scheme::Basic, b"n"));
        assert!(!Credentials::new("srv", "px").accept(&cred, Scheme::Md5, b"n"));
        assert!(!server.accept(&Cred { data: String::new(), ..cred }, Scheme::Md5, b"n"));
    }

    #[test]
    fn the_hmac_header_is_read_in_any_order_and_written_in_one() {
        let header = HmacHeader { user: "a, b".to_owned(), mac: "x==".to_owned() };
        let text = header.to_string();
        assert_eq!(text, "algorithm=MD5, username=\"a, b\", mac=x==");
        for text in [text.as_str(), "mac=x==,username=\"a, b\"", " MAC=x== , UserName = \"a, b\" , other=1"] {
            assert_eq!(HmacHeader::parse(text).unwrap(), header, "{text}");
        }
        for bad in ["", "mac=x", "username=\"a", "algorithm=SHA, username=\"a\", mac=x", "username=a"] {
            assert!(HmacHeader::parse(bad).is_err(), "{bad}");
        }
        let known = Credentials::new("u", "p");
        let proof = HmacHeader { user: "u".to_owned(), mac: known.mac(b"n", b"body") };
        assert!(known.accept_mac(&proof, b"n", b"body"));
        assert!(!known.accept_mac(&proof, b"n", b"bode") && !known.accept_mac(&proof, b"m", b"body"));
        assert!(!known.accept_mac(&HmacHeader { user: "v".to_owned(), ..proof }, b"n", b"body"));
    }

    #[test]
    fn nonces_differ_and_follow_from_the_seed() {
        let mut nonces = Nonces::new([7; 32]);
        let (first, second) = (nonces.next(), nonces.next());
        assert!(first != second && first.len() == 16);
        assert_eq!(Nonces::new([7; 32]).next(), first);
        assert_ne!(Nonces::new([8; 32]).next(), first);
    }
}
