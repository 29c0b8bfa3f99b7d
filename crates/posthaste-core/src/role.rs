//! What a node does. One alone does everything; several may share the work out among themselves.

use std::fmt;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Answers senders, their customers and operators.
    Api,
    /// Takes in what providers send.
    Inbound,
    /// Sends what is owed, and does all that needs no caller: jobs, schedules, retention.
    Deliver,
}

impl Role {
    /// All of them, in the order in which data meets them.
    pub const ALL: [Self; 3] = [Self::Api, Self::Inbound, Self::Deliver];

    /// As it is written in settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Inbound => "inbound",
            Self::Deliver => "deliver",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The roles of a node, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    api: bool,
    inbound: bool,
    deliver: bool,
}

impl Roles {
    /// What a node does that nobody told otherwise.
    pub const ALL: Self = Self { api: true, inbound: true, deliver: true };

    /// Reads names between commas. The error ends a sentence: "… must be …".
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut roles = Self { api: false, inbound: false, deliver: false };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match Role::ALL.into_iter().find(|role| role.word() == word) {
                Some(Role::Api) => roles.api = true,
                Some(Role::Inbound) => roles.inbound = true,
                Some(Role::Deliver) => roles.deliver = true,
                None => return Err(format!("must be one or more of {}: \"{word}\" is none", Self::ALL)),
            }
        }
        if Role::ALL.into_iter().any(|role| roles.has(role)) {
            Ok(roles)
        } else {
            Err(format!("must name at least one of {}", Self::ALL))
        }
    }

    /// Whether this is one of them.
    pub const fn has(self, role: Role) -> bool {
        match role {
            Role::Api => self.api,
            Role::Inbound => self.inbound,
            Role::Deliver => self.deliver,
        }
    }

    /// Whether other nodes must do a part of the work.
    pub fn are_some(self) -> bool {
        self != Self::ALL
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = Role::ALL.into_iter().filter(|role| self.has(*role)).map(Role::word).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_in_any_order_and_shown_in_one() {
        for (text, shown) in [
            ("api", "api"),
            ("deliver,api", "api, deliver"),
            (" inbound , inbound,", "inbound"),
            ("api,inbound,deliver", "api, inbound, deliver"),
        ] {
            assert_eq!(Roles::parse(text).unwrap().to_string(), shown, "{text:?}");
        }
        assert!(!Roles::parse("deliver,inbound,api").unwrap().are_some());
        assert!(Roles::parse("deliver,inbound").unwrap().are_some());
    }

    #[test]
    fn what_is_no_role_is_named_beside_those_that_are() {
        assert_eq!(
            Roles::parse("api,worker").unwrap_err(),
            "must be one or more of api, inbound, deliver: \"worker\" is none"
        );
        assert_eq!(Roles::parse(" , ").unwrap_err(), "must name at least one of api, inbound, deliver");
    }
}
