//! Access control lists of nodes (OMA DM 1.2): who may do what. Evaluation by the nearest ancestor is the reader's.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::nodes::Access;

/// Longest list in bytes: room for some dozen servers.
pub const ACL_BYTES_MAX: usize = 1024;

/// Everybody.
const ALL: &str = "*";

/// On whose behalf the tree is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// Somebody on this device who was let in by other means; lists do not apply.
    #[default]
    Local,
    /// The management server of that `ServerID`.
    Server(String),
}

/// Who may do what with a node. Empty: it has no list of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Acl {
    /// Servers by command, in the order of [`Access::NAMED`]; `*` stands alone.
    servers: [BTreeSet<String>; 5],
}

/// Why a text is not an access control list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAcl {
    /// It is longer than [`ACL_BYTES_MAX`].
    #[error("an ACL has at most {ACL_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// A part of it is no command with servers.
    #[error("'{0}' is not an entry of an ACL; write, for example, Add=*&Get=srv1+srv2")]
    Entry(String),
}

impl Acl {
    /// Whether it says nothing, so that the parent's counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.iter().all(BTreeSet::is_empty)
    }

    /// Whether the subject may do `command`, this list being in force.
    #[must_use]
    pub fn permits(&self, subject: &Subject, command: Access) -> bool {
        let Subject::Server(id) = subject else { return true };
        let mut named = Access::NAMED.iter().zip(&self.servers);
        let servers = named.find(|((access, _), _)| *access == command).map(|(_, servers)| servers);
        servers.is_some_and(|servers| servers.contains(ALL) || servers.contains(id))
    }

    /// The same with everything that `other` permits.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for (servers, more) in self.servers.iter_mut().zip(&other.servers) {
            servers.extend(more.iter().cloned());
            only_all(servers);
        }
        self
    }

    /// What a server gets on an interior node that it made without a Replace right on the parent.
    #[must_use]
    pub fn of_maker(server: &str) -> Self {
        let mut acl = Self::default();
        if !is_server(server) {
            return acl;
        }
        for ((access, _), servers) in Access::NAMED.iter().zip(&mut acl.servers) {
            if [Access::ADD, Access::DELETE, Access::REPLACE].contains(access) {
                servers.insert(server.to_owned());
            }
        }
        acl
    }

    /// The list that a management tree has at its root by default: everybody may read and add.
    #[must_use]
    pub fn of_root() -> Self {
        let (all, nobody) = (BTreeSet::from([ALL.to_owned()]), BTreeSet::new());
        Self { servers: [all.clone(), nobody.clone(), nobody.clone(), all, nobody] }
    }
}

fn only_all(servers: &mut BTreeSet<String>) {
    if servers.contains(ALL) {
        servers.retain(|server| server == ALL);
    }
}

/// Whether a text can stand for a server in a list.
fn is_server(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "=&*+".contains(c);
    !text.is_empty() && !text.chars().any(odd)
}

impl std::str::FromStr for Acl {
    type Err = InvalidAcl;

    fn from_str(text: &str) -> Result<Self, InvalidAcl> {
        if text.len() > ACL_BYTES_MAX {
            return Err(InvalidAcl::TooLong(text.len()));
        }
        Self::read(text)
    }
}

impl Acl {
    fn read(text: &str) -> Result<Self, InvalidAcl> {
        let mut acl = Self::default();
        for entry in text.split('&').filter(|entry| !entry.is_empty()) {
            let bad = || InvalidAcl::Entry(entry.to_owned());
            let (command, servers) = entry.split_once('=').ok_or_else(bad)?;
            let index = Access::NAMED.iter().position(|(_, name)| *name == command).ok_or_else(bad)?;
            let known = acl.servers.get_mut(index).ok_or_else(bad)?;
            for server in servers.split('+').filter(|server| !server.is_empty()) {
                if server != ALL && !is_server(server) {
                    return Err(bad());
                }
                known.insert(server.to_owned());
            }
            only_all(known);
        }
        Ok(acl)
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for ((_, name), servers) in Access::NAMED.iter().zip(&self.servers).filter(|(_, s)| !s.is_empty()) {
            write!(f, "{separator}{name}=")?;
            for (index, server) in servers.iter().enumerate() {
                write!(f, "{}{server}", if index == 0 { "" } else { "+" })?;
            }
            separator = "&";
        }
        Ok(())
    }
}

impl TryFrom<String> for Acl {
    type Error = InvalidAcl;

    fn try_from(text: String) -> Result<Self, InvalidAcl> {
        // What was stored was within its limits, whatever they were.
        Self::read(&text)
    }
}

impl From<Acl> for String {
    fn from(acl: Acl) -> Self {
        acl.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_written() {
        for (text, normal) in [
            ("", ""),
            ("Get=*&Add=*", "Add=*&Get=*"),
            ("Replace=b+a+a&Replace=c", "Replace=a+b+c"),
            ("Exec=a+*", "Exec=*"),
            ("Delete=&Get=a", "Get=a"),
        ] {
            let acl: Acl = text.parse().unwrap();
            assert_eq!(acl.to_string(), normal);
            assert_eq!(normal.parse(), Ok(acl));
        }
        assert_eq!(Acl::of_root().to_string(), "Add=*&Get=*");
        assert_eq!(Acl::of_maker("s").to_string(), "Add=s&Delete=s&Replace=s");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in ["Get", "Copy=a", "get=a", "Get=a b", "Get=a*", "Get=a=b"] {
            assert_eq!(bad.parse::<Acl>(), Err(InvalidAcl::Entry(bad.to_owned())));
        }
        let long = format!("Get={}", "a".repeat(ACL_BYTES_MAX));
        assert_eq!(long.parse::<Acl>(), Err(InvalidAcl::TooLong(ACL_BYTES_MAX + 4)));
    }

    #[test]
    fn a_list_permits_what_it_names() {
        let acl: Acl = "Get=*&Exec=a".parse().unwrap();
        let server = |id: &str| Subject::Server(id.to_owned());
        assert!(acl.permits(&server("a"), Access::EXEC) && acl.permits(&server("b"), Access::GET));
        assert!(!acl.permits(&server("b"), Access::EXEC) && !acl.permits(&server("a"), Access::REPLACE));
        assert!(acl.permits(&Subject::Local, Access::REPLACE));
        let both = acl.with(&"Exec=b&Get=c".parse().unwrap());
        assert_eq!(both.to_string(), "Exec=a+b&Get=*");
    }
}
