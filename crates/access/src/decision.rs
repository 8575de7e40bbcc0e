//! The outcome of a rule.

/// Allowed, or not and why. The reason is for audit and logs: it names rules, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Allowed.
    Allow,
    /// Not allowed.
    Deny(&'static str),
}

impl Decision {
    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allow
    }

    /// Why it is not allowed.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Allow => None,
            Self::Deny(reason) => Some(reason),
        }
    }

    /// Allowed if the condition holds.
    pub fn when(condition: bool, reason: &'static str) -> Self {
        if condition { Self::Allow } else { Self::Deny(reason) }
    }

    /// This decision, or the next one if this one allows.
    pub fn and(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Allow => next(),
            deny @ Self::Deny(_) => deny,
        }
    }
}
