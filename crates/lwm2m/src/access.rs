//! Access control of LwM2M: who may do what, from the instances of object 2.
//!
//! A pure function over data, for whoever serves object 2.

use std::collections::BTreeMap;

use crate::objects::Operation;
use crate::path::ID_NONE;

/// Bit of the right to read, observe and set attributes.
pub const READ: u16 = 1;
/// Bit of the right to write.
pub const WRITE: u16 = 2;
/// Bit of the right to execute.
pub const EXECUTE: u16 = 4;
/// Bit of the right to delete.
pub const DELETE: u16 = 8;
/// Bit of the right to create.
pub const CREATE: u16 = 16;

/// An instance of object 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Resource 0.
    pub object: u16,
    /// Resource 1; [`ID_NONE`] for the right to create.
    pub instance: u16,
    /// Resource 2: rights by Short Server ID; 0 for everybody who is not named.
    pub rights: BTreeMap<u16, u16>,
    /// Resource 3; [`ID_NONE`] when only bootstrap may change it.
    pub owner: u16,
}

/// What a server wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Short Server ID.
    pub server: u16,
    /// What it wants to do.
    pub operation: Operation,
    /// With which object.
    pub object: u16,
    /// With which instance; none for Create.
    pub instance: Option<u16>,
    /// How many servers are configured, without bootstrap servers. With one alone there is no access control.
    pub servers: usize,
    /// Whether the instance is the one of object 1 that describes the asking server.
    pub own_account: bool,
}

/// Whether `question` is permitted by `controls`, the instances of object 2 by their identifiers.
#[must_use]
pub fn permits(question: Question, controls: &BTreeMap<u16, Control>) -> bool {
    let Question { server, operation, object, instance, servers, own_account } = question;
    if object == 0 {
        return false;
    }
    if servers <= 1 {
        return true;
    }
    if object == 2 {
        let owner = instance.and_then(|id| controls.get(&id)).map(|control| control.owner);
        return match operation {
            Operation::Read | Operation::Discover => true,
            Operation::Write => owner == Some(server),
            Operation::Execute | Operation::Create | Operation::Delete => false,
        };
    }
    if object == 1 && own_account {
        return !matches!(operation, Operation::Create | Operation::Delete);
    }
    let target = instance.unwrap_or(ID_NONE);
    let Some(control) = controls.values().find(|c| c.object == object && c.instance == target) else {
        return false;
    };
    let named = control.rights.get(&server).copied();
    let rights = match named {
        Some(rights) => rights,
        None if control.rights.is_empty() && control.owner == server => READ | WRITE | EXECUTE | DELETE,
        None => control.rights.get(&0).copied().unwrap_or_default(),
    };
    match operation {
        Operation::Discover => rights != 0,
        Operation::Read => rights & READ != 0,
        Operation::Write => rights & WRITE != 0,
        Operation::Execute => rights & EXECUTE != 0,
        Operation::Delete => rights & DELETE != 0,
        Operation::Create => rights & CREATE != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(object: u16, instance: u16, owner: u16, rights: &[(u16, u16)]) -> Control {
        Control { object, instance, rights: rights.iter().copied().collect(), owner }
    }

    fn ask(server: u16, operation: Operation, object: u16, instance: Option<u16>) -> bool {
        let controls = BTreeMap::from([
            (0, control(9, ID_NONE, ID_NONE, &[(7, CREATE)])),
            (3, control(9, 0, 7, &[])),
            (5, control(9, 1, 7, &[(8, READ), (0, EXECUTE)])),
        ]);
        let question = Question {
            server,
            operation,
            object,
            instance,
            servers: 2,
            own_account: server == 7 && instance == Some(4),
        };
        permits(question, &controls)
    }

    #[test]
    fn rights_are_those_of_the_instance() {
        use Operation::{Create, Delete, Discover, Execute, Read, Write};
        assert!(ask(7, Create, 9, None) && !ask(8, Create, 9, None));
        assert!(ask(7, Delete, 9, Some(0)) && !ask(8, Read, 9, Some(0)), "no list: the owner alone");
        assert!(
            ask(8, Read, 9, Some(1)) && !ask(8, Execute, 9, Some(1)),
            "named: the default does not count"
        );
        assert!(ask(9, Execute, 9, Some(1)) && !ask(9, Write, 9, Some(1)), "not named: the default counts");
        assert!(!ask(7, Read, 9, Some(1)), "an owner is not special once there is a list");
        assert!(ask(7, Discover, 9, Some(1)) && !ask(9, Discover, 9, Some(0)));
        assert!(!ask(7, Read, 9, Some(2)), "nothing says anything");
    }

    #[test]
    fn the_objects_of_the_enabler_have_their_own_rules() {
        use Operation::{Create, Delete, Execute, Read, Write};
        assert!(!ask(7, Read, 0, Some(0)));
        assert!(ask(8, Read, 2, Some(3)) && ask(7, Write, 2, Some(3)) && !ask(8, Write, 2, Some(3)));
        assert!(!ask(7, Delete, 2, Some(3)) && !ask(7, Create, 2, None));
        assert!(ask(7, Write, 1, Some(4)) && ask(7, Execute, 1, Some(4)) && !ask(7, Delete, 1, Some(4)));
        assert!(!ask(8, Read, 1, Some(4)));
    }

    #[test]
    fn one_server_alone_may_do_everything_but_see_keys() {
        let question = Question {
            server: 1,
            operation: Operation::Delete,
            object: 9,
            instance: Some(0),
            servers: 1,
            own_account: false,
        };
        assert!(permits(question, &BTreeMap::new()));
        assert!(!permits(Question { object: 0, ..question }, &BTreeMap::new()));
    }
}
