//! The actions that polkit knows, and which of them a command or method needs: one for each verb, so that an
//! administrator can allow one and not another.
//!
//! `packaging/polkit/org.scomo1.policy` says the same to polkit; a test compares them.

use scomo_core::command::{Command, Then};
use zbus::message::Header;

macro_rules! actions {
    ($($name:ident = $id:literal, $doing:literal;)+) => {
        /// What a caller may be allowed to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $(#[doc = concat!("To ", $doing, ".")] $name,)+
        }

        impl Action {
            /// Every action.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name that polkit knows.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => concat!("org.scomo1.", $id),)+ }
            }

            /// What is done, to follow "to".
            pub fn doing(self) -> &'static str {
                match self { $(Self::$name => $doing,)+ }
            }
        }
    };
}

actions! {
    Download = "download", "add, fetch or forget downloadable packages";
    Deliver = "deliver", "hand packages to this device";
    Install = "install", "install software";
    Activate = "activate", "start installed software";
    Deactivate = "deactivate", "stop installed software";
    Remove = "remove", "remove software";
    Rollback = "rollback", "bring back the software that was installed before";
    Cancel = "cancel", "cancel a software update";
    ConfirmBoot = "confirm-boot", "accept the booted operating system as healthy";
    CollectGarbage = "collect-garbage", "delete stored software that nothing needs";
    Logs = "logs", "read the output of software components";
    Inhibit = "inhibit", "hold back software updates";
    Approve = "approve", "approve software updates for the user";
    Reboot = "reboot", "restart this device";
    TreeWrite = "tree-write", "change the software management tree";
    Reports = "reports", "acknowledge reports of software updates";
    Downgrade = "downgrade", "replace software by an older version";
    RemoveOs = "remove-os", "remove an operating system";
    UntrustedSource = "untrusted-source", "install software that nobody signed";
}

/// What the methods need that do not end in a command. Of the others the command decides, however it is given.
const METHODS: &[(&str, &str, Action)] = &[
    ("org.scomo1.Manager", "Deliver", Action::Deliver),
    ("org.scomo1.Manager", "Logs", Action::Logs),
    ("org.scomo1.Manager", "Inhibit", Action::Inhibit),
    ("org.scomo1.Manager", "RegisterAgent", Action::Approve),
    ("org.scomo1.Manager", "AskUser", Action::Approve),
    ("org.scomo1.Manager", "Approve", Action::Approve),
    ("org.scomo1.Manager", "Refuse", Action::Approve),
    ("org.scomo1.Manager", "Reboot", Action::Reboot),
    ("org.scomo1.Tree", "Add", Action::TreeWrite),
    ("org.scomo1.Tree", "Replace", Action::TreeWrite),
    ("org.scomo1.Tree", "ReplaceData", Action::TreeWrite),
    ("org.scomo1.Tree", "Delete", Action::TreeWrite),
    ("org.scomo1.Tree", "Apply", Action::TreeWrite),
    // The action of the primitive comes on top.
    ("org.scomo1.Tree", "Exec", Action::TreeWrite),
    ("org.scomo1.Tree", "SetProperty", Action::TreeWrite),
    ("org.scomo1.Reports", "Acknowledge", Action::Reports),
];

impl Action {
    /// What the method that is called needs; `None`: it is not in the table, or the call names no interface.
    pub fn of_method(header: &Header<'_>) -> Option<Self> {
        let (interface, member) = (header.interface()?, header.member()?);
        let found = METHODS.iter().find(|(i, m, _)| *i == interface.as_str() && *m == member.as_str());
        found.map(|(_, _, action)| *action)
    }

    /// What a command needs, whatever the state.
    pub fn of_command(command: &Command) -> Self {
        match command {
            Command::AddDownload { .. } | Command::SetDownload { .. } | Command::DeleteDownload { .. } => {
                Self::Download
            }
            Command::AddDelivered { .. } | Command::SetDelivered { .. } | Command::SetData { .. } => {
                Self::Deliver
            }
            Command::Permit { .. } | Command::Refuse { .. } => Self::Approve,
            Command::AcknowledgeReport { .. } => Self::Reports,
            Command::Fetch { then, .. } | Command::FetchFrom { then, .. } => match then {
                Then::Stop => Self::Download,
                Then::Install | Then::InstallInactive => Self::Install,
            },
            Command::Install { .. } | Command::InstallInactive { .. } => Self::Install,
            Command::RemovePackage { .. } | Command::RemoveComponent { .. } => Self::Remove,
            Command::Activate { .. } => Self::Activate,
            Command::Deactivate { .. } => Self::Deactivate,
            Command::Rollback => Self::Rollback,
            Command::Cancel { .. } => Self::Cancel,
            Command::ConfirmBoot => Self::ConfirmBoot,
            Command::Tree { .. } => Self::TreeWrite,
            Command::CollectGarbage => Self::CollectGarbage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actions that a rule of the group does not cover.
    const STRICT: [Action; 3] = [Action::Downgrade, Action::RemoveOs, Action::UntrustedSource];

    #[test]
    fn the_shipped_policy_has_the_same_actions() {
        let text = include_str!("../../../../packaging/polkit/org.scomo1.policy");
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(text, options).unwrap();
        let actions: Vec<_> = document.descendants().filter(|n| n.has_tag_name("action")).collect();
        let ids: Vec<_> = actions.iter().map(|n| n.attribute("id").unwrap()).collect();
        assert_eq!(ids, Action::ALL.iter().map(|action| action.id()).collect::<Vec<_>>());
        for (node, action) in actions.iter().zip(Action::ALL) {
            let text = |tag: &str| node.descendants().find(|n| n.has_tag_name(tag)).and_then(|n| n.text());
            let mut doing = action.doing().to_owned();
            assert_eq!(
                text("message"),
                Some(format!("Authentication is required to {doing}").as_str()),
                "{action:?}"
            );
            doing[..1].make_ascii_uppercase();
            assert_eq!(text("description"), Some(doing.as_str()), "{action:?}");
            let default = if STRICT.contains(action) { "auth_admin" } else { "auth_admin_keep" };
            let defaults = ["allow_any", "allow_inactive", "allow_active"].map(text);
            assert_eq!(defaults, [Some(default); 3], "{action:?}");
        }
    }

    #[test]
    fn the_shipped_rule_spares_the_group_the_password_but_for_strict_actions() {
        let rule = include_str!("../../../../packaging/polkit/org.scomo1.rules");
        for action in Action::ALL {
            assert_eq!(rule.contains(&format!("\"{}\"", action.id())), STRICT.contains(action), "{action:?}");
        }
    }

    #[test]
    fn a_method_is_in_the_table_once() {
        for (index, row) in METHODS.iter().enumerate() {
            assert!(!METHODS[..index].iter().any(|(i, m, _)| (i, m) == (&row.0, &row.1)), "{row:?}");
        }
    }
}
