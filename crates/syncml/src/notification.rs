//! Package #0: the notification with which a server asks for a session. It comes from anywhere; until its digest
//! fits, nothing in it may be believed.

use crate::auth::{Credentials, equal};
use crate::error::SyncmlError;
use crate::limits::{NOTIFICATION_BYTES_MAX, NOTIFICATION_BYTES_MIN};

/// How the user shall be involved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UiMode {
    /// As the client likes.
    Unspecified,
    /// Not at all.
    Background,
    /// Tell the user.
    Informative,
    /// Ask before the session starts.
    AskUser,
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Version times ten; 11 for OMA DM 1.2.
    pub version: u16,
    /// How the user shall be involved.
    pub ui_mode: UiMode,
    /// Whether the server itself wants the session, rather than a user.
    pub server_initiated: bool,
    /// The session; the same number again means the same session.
    pub session_id: u16,
    /// Which server asks; the account to look for.
    pub server_id: String,
    /// What follows, for whoever knows the server.
    pub vendor: Vec<u8>,
    digest: [u8; 16],
    trigger: Vec<u8>,
}

/// Default nonces for when server and client lost each other's: the texts leave open which of the two is meant.
const DEFAULT_NONCES: [&[u8]; 2] = [&[0; 4], b"0x00000000"];

impl Notification {
    /// Takes a notification apart.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyncmlError> {
        if bytes.len() < NOTIFICATION_BYTES_MIN {
            return Err(SyncmlError::Notification("too short"));
        }
        if bytes.len() > NOTIFICATION_BYTES_MAX {
            return Err(SyncmlError::Notification("too long"));
        }
        let short = SyncmlError::Notification("too short");
        let (digest, trigger) = bytes.split_first_chunk::<16>().ok_or(short.clone())?;
        let (packed, rest) = trigger.split_first_chunk::<8>().ok_or(short)?;
        let packed = u64::from_be_bytes(*packed);
        // Ten bits version, two mode, one initiator, 27 reserved, 16 session, eight length of the identifier.
        let bits = |shift: u32, count: u32| (packed >> shift) & ((1 << count) - 1);
        let length = usize::try_from(bits(0, 8)).unwrap_or(usize::MAX);
        let (server_id, vendor) = rest
            .split_at_checked(length)
            .filter(|(id, _)| !id.is_empty())
            .ok_or(SyncmlError::Notification("the server identifier is empty or longer than the rest"))?;
        let server_id = std::str::from_utf8(server_id).ok().filter(|id| !id.contains(char::is_control));
        let server_id = server_id.ok_or(SyncmlError::Notification("the server identifier is not text"))?;
        let session_id = u16::try_from(bits(8, 16)).unwrap_or_default();
        if session_id == 0 {
            return Err(SyncmlError::Notification("the session has the number 0"));
        }
        let ui_mode = match bits(52, 2) {
            0 => UiMode::Unspecified,
            1 => UiMode::Background,
            2 => UiMode::Informative,
            _ => UiMode::AskUser,
        };
        Ok(Self {
            version: u16::try_from(bits(54, 10)).unwrap_or_default(),
            ui_mode,
            server_initiated: bits(51, 1) == 1,
            session_id,
            server_id: server_id.to_owned(),
            vendor: vendor.to_owned(),
            digest: *digest,
            trigger: trigger.to_owned(),
        })
    }

    /// The nonce with which the digest fits, if any: the stored one, else a default one.
    ///
    /// A default nonce means that the two sides lost each other's nonces: open the session with credentials made from
    /// it, and expect new nonces in both directions. Anybody can replay a notification made with a default nonce, so
    /// limit how often one opens a session.
    #[must_use]
    pub fn verify(&self, server: &Credentials, stored_nonce: &[u8]) -> Option<Vec<u8>> {
        let fits = |nonce: &&[u8]| equal(&server.notification_digest(nonce, &self.trigger), &self.digest);
        let nonces = std::iter::once(stored_nonce).chain(DEFAULT_NONCES);
        if server.user() != self.server_id {
            return None;
        }
        nonces.into_iter().find(fits).map(<[u8]>::to_vec)
    }

    /// The `SessionID` of the session that is asked for.
    #[must_use]
    pub fn session_id_text(&self) -> String {
        session_id_text(self.session_id)
    }
}

/// A session's number as the protocol writes it: hexadecimal, upper case, no zeros in front.
#[must_use]
pub fn session_id_text(number: u16) -> String {
    format!("{number:X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    const VECTOR: &str = "9c1ae347278bc0d11a8a79383439818e02f80000001a2b0473727631";

    #[test]
    fn the_known_notification_is_read_and_verified() {
        let notification = Notification::parse(&bytes(VECTOR)).unwrap();
        assert_eq!((notification.version, notification.ui_mode), (11, UiMode::AskUser));
        assert!(notification.server_initiated && notification.vendor.is_empty());
        assert_eq!(
            (notification.session_id_text().as_str(), notification.server_id.as_str()),
            ("1A2B", "srv1")
        );
        let server = Credentials::new("srv1", "srvsecret");
        assert_eq!(notification.verify(&server, b"nonce123"), Some(b"nonce123".to_vec()));
        assert_eq!(notification.verify(&server, b"other"), None);
        assert_eq!(notification.verify(&Credentials::new("srv1", "wrong"), b"nonce123"), None);
        assert_eq!(notification.verify(&Credentials::new("srv2", "srvsecret"), b"nonce123"), None);
        assert_eq!(session_id_text(0x000F), "F");
    }

    #[test]
    fn a_default_nonce_is_tried_and_told() {
        let server = Credentials::new("srv1", "srvsecret");
        for nonce in DEFAULT_NONCES {
            let mut made = bytes(VECTOR);
            let digest = server.notification_digest(nonce, &made[16..]);
            made[..16].copy_from_slice(&digest);
            let notification = Notification::parse(&made).unwrap();
            assert_eq!(notification.verify(&server, b"nonce123"), Some(nonce.to_vec()));
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let server = Credentials::new("srv1", "srvsecret");
        let good = bytes(VECTOR);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let verified = Notification::parse(&bad).ok().and_then(|n| n.verify(&server, b"nonce123"));
            assert_eq!(verified, None, "bit {bit}");
        }
    }

    #[test]
    fn malformed_notifications_are_refused() {
        let good = bytes(VECTOR);
        for length in 0..good.len() {
            assert!(Notification::parse(&good[..length]).is_err(), "{length} bytes");
        }
        let mut long = good.clone();
        long.resize(NOTIFICATION_BYTES_MAX, b'v');
        assert_eq!(Notification::parse(&long).unwrap().vendor.len(), NOTIFICATION_BYTES_MAX - good.len());
        long.push(b'v');
        assert!(Notification::parse(&long).is_err());
        let mut no_session = good.clone();
        no_session[21..23].fill(0);
        assert!(Notification::parse(&no_session).is_err());
        let mut control = good;
        control[24] = 7;
        assert!(Notification::parse(&control).is_err());
    }
}
