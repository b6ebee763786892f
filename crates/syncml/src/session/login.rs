//! Who is who in a session: our credentials, the server's, challenges and nonces, both ways.

use super::config::{ClientLogin, Event, ServerLogin, SessionError};
use crate::auth::{HmacHeader, Nonces, Scheme};
use crate::base64;
use crate::code::Code;
use crate::limits::{CHALLENGES_MAX, NONCE_BYTES_MAX};
use crate::message::{Cred, Format, Meta, Status};

/// What the server thinks of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Welcome {
    /// We are in.
    Accepted,
    /// Send the same again with credentials.
    Challenged,
}

/// What we think of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is who it should be.
    Proven,
    /// It did not say.
    Missing,
    /// It said something wrong.
    Wrong,
}

/// Both sides' logins.
#[derive(Debug)]
pub(super) struct Login {
    client: Option<Client>,
    server: Option<Server>,
    nonces: Nonces,
}

#[derive(Debug)]
struct Client {
    login: ClientLogin,
    scheme: Option<Scheme>,
    /// Credentials of this scheme were sent: no other will do in this session, as it could be a weaker one.
    fixed: bool,
    /// Accepted for the whole session.
    accepted: bool,
    challenges: u8,
    /// The nonce is new, and to be stored once the server is proven.
    news: bool,
}

#[derive(Debug)]
struct Server {
    login: ServerLogin,
    proven: bool,
    challenges: u8,
    /// The nonce is new, and to be stored once the server has it.
    news: bool,
    /// The nonce is for the next session.
    settled: bool,
}

impl Login {
    pub(super) fn new(client: Option<ClientLogin>, server: Option<ServerLogin>, seed: [u8; 32]) -> Self {
        let client = client.map(|login| {
            let scheme = login.schemes.first().copied();
            Client { login, scheme, fixed: false, accepted: false, challenges: 0, news: false }
        });
        let new = |login| Server { login, proven: false, challenges: 0, news: false, settled: false };
        Self { client, server: server.map(new), nonces: Nonces::new(seed) }
    }

    /// The user's name for the header.
    pub(super) fn user(&self) -> Option<&str> {
        self.client.as_ref().map(|client| client.login.credentials.user())
    }

    /// The `Cred` of our next message.
    pub(super) fn cred(&mut self) -> Option<Cred> {
        let client = self.client.as_mut().filter(|client| !client.accepted)?;
        let scheme = client.scheme?;
        let nonce = match scheme {
            Scheme::Basic => &[],
            Scheme::Md5 | Scheme::Mac => client.login.nonce.as_deref()?,
        };
        let cred = client.login.credentials.cred(scheme, nonce)?;
        client.fixed = true;
        Some(cred)
    }

    /// The HMAC header of our next message. Its nonce is used up; without one only a first message can go out.
    pub(super) fn hmac(&mut self, body: &[u8], first: bool) -> Result<Option<String>, SessionError> {
        let Some(client) = self.client.as_mut().filter(|client| client.scheme == Some(Scheme::Mac)) else {
            return Ok(None);
        };
        match client.login.nonce.take() {
            Some(nonce) => {
                client.fixed = true;
                let credentials = &client.login.credentials;
                let header =
                    HmacHeader { user: credentials.user().to_owned(), mac: credentials.mac(&nonce, body) };
                Ok(Some(header.to_string()))
            }
            None if first => Ok(None),
            None => Err(SessionError::NoNonce),
        }
    }

    /// Takes the server's status for our header.
    pub(super) fn welcome(&mut self, status: Option<&Status>) -> Result<Welcome, SessionError> {
        // A server that forgets the status does not complain.
        let Some(status) = status else { return Ok(Welcome::Accepted) };
        let nonce = status.chal.as_ref().and_then(|chal| chal.next_nonce.as_deref());
        let nonce = nonce.and_then(|text| base64::decode(text.as_bytes()));
        let nonce = nonce.filter(|nonce| (1..=NONCE_BYTES_MAX).contains(&nonce.len()));
        let code = status.code;
        let Some(client) = &mut self.client else {
            return if code.is_success() { Ok(Welcome::Accepted) } else { Err(SessionError::Refused(code)) };
        };
        if code.is_success() {
            client.challenges = 0;
            client.accepted |= code == Code::AUTHENTICATED && client.scheme != Some(Scheme::Mac);
            client.news |= nonce.is_some();
            client.login.nonce = nonce.or(client.login.nonce.take());
            return Ok(Welcome::Accepted);
        }
        let challenged = matches!(code, Code::INVALID_CREDENTIALS | Code::MISSING_CREDENTIALS);
        let Some(chal) = status.chal.as_ref().filter(|_| challenged) else {
            return Err(SessionError::Refused(code));
        };
        if client.challenges >= CHALLENGES_MAX {
            return Err(SessionError::Refused(code));
        }
        let asked = chal.mime.as_deref().and_then(Scheme::of_type).ok_or(SessionError::Challenge)?;
        let permitted =
            client.login.schemes.contains(&asked) && (!client.fixed || client.scheme == Some(asked));
        if !permitted {
            return Err(SessionError::Challenge);
        }
        if asked == Scheme::Basic && client.fixed {
            // The same password would be wrong again.
            return Err(SessionError::Refused(code));
        }
        client.challenges += 1;
        client.scheme = Some(asked);
        client.accepted = false;
        client.news |= nonce.is_some();
        client.login.nonce = nonce;
        Ok(Welcome::Challenged)
    }

    /// Checks what the server says of itself.
    pub(super) fn trust(&mut self, cred: Option<&Cred>, hmac: Option<&str>, body: &[u8]) -> Trust {
        let Some(server) = &mut self.server else { return Trust::Proven };
        let login = &server.login;
        let nonce = login.nonce.as_deref().unwrap_or_default();
        if login.scheme == Scheme::Mac {
            let Some(header) = hmac else { return Trust::Missing };
            // Without a nonce of ours anybody could replay an old message.
            let fits = |header| login.nonce.is_some() && login.credentials.accept_mac(&header, nonce, body);
            server.proven = HmacHeader::parse(header).is_ok_and(fits);
        } else if !server.proven {
            let Some(cred) = cred else { return Trust::Missing };
            let known = login.nonce.is_some() || login.scheme == Scheme::Basic;
            server.proven = known && login.credentials.accept(cred, login.scheme, nonce);
        }
        if server.proven {
            server.challenges = 0;
            Trust::Proven
        } else {
            Trust::Wrong
        }
    }

    /// The status for the server's header, with a challenge or a nonce for next time.
    pub(super) fn answer(&mut self, trust: Trust) -> (Code, Option<Meta>) {
        let Some(server) = &mut self.server else { return (Code::OK, None) };
        let scheme = server.login.scheme;
        let code = match trust {
            Trust::Proven if scheme == Scheme::Mac => Code::OK,
            Trust::Proven => Code::AUTHENTICATED,
            Trust::Missing => Code::MISSING_CREDENTIALS,
            Trust::Wrong => Code::INVALID_CREDENTIALS,
        };
        // A server with MD5 gets one nonce when it is accepted, for the next session; one with HMAC a new one each time.
        let once = trust == Trust::Proven && scheme != Scheme::Mac;
        if once && (scheme == Scheme::Basic || server.settled) {
            return (code, None);
        }
        server.settled = once;
        let mut chal = Meta::typed(Format::B64, scheme.type_name());
        if scheme != Scheme::Basic {
            let nonce = self.nonces.next();
            chal.next_nonce = Some(base64::encode(&nonce));
            server.login.nonce = Some(nonce);
            server.news = true;
        }
        (code, Some(chal))
    }

    /// Counts a challenge of ours; `false` when the server had its chances.
    pub(super) fn may_challenge(&mut self) -> bool {
        let Some(server) = &mut self.server else { return false };
        server.challenges += 1;
        server.challenges <= CHALLENGES_MAX
    }

    /// Nonces to store, now that a message of a proven server arrived: it has the nonce that we gave before.
    pub(super) fn news(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(client) = &mut self.client
            && std::mem::take(&mut client.news)
        {
            events.extend(client.login.nonce.clone().map(Event::ClientNonce));
        }
        if let Some(server) = &mut self.server
            && std::mem::take(&mut server.news)
        {
            events.extend(server.login.nonce.clone().map(Event::ServerNonce));
        }
        events
    }
}
