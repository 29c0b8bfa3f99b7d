//! What an app is for, as a number.

/// What an app is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A customer of the sender.
    Customer,
    /// The environment's own operational webhooks: never found by name.
    Operational,
    /// What one source received: found by its id, and in no list.
    Source,
}

impl Role {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Customer => 0,
            Self::Operational => 1,
            Self::Source => 2,
        }
    }

    pub(crate) fn from_number(number: i64) -> Self {
        [Self::Operational, Self::Source].into_iter().find(|r| r.number() == number).unwrap_or(Self::Customer)
    }
}
