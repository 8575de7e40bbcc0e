//! Decisions on records, and what they mean together (contract 2.2). Everything fails closed.
use std::collections::BTreeMap;

use crate::failure::Told;

/// What a decision point said about one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// May be used.
    Permit,
    /// The decision point does not manage the record: treated as a refusal.
    NotApplicable,
    /// No decision was possible: fails the whole check.
    Indeterminate,
    /// Must not be used.
    Deny,
}

impl Decision {
    /// Name in metrics and vectors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::NotApplicable => "not-applicable",
            Self::Indeterminate => "indeterminate",
            Self::Deny => "deny",
        }
    }

    /// From the word that XACML uses.
    pub fn from_xacml(text: &str) -> Option<Self> {
        Some(match text {
            "Permit" => Self::Permit,
            "Deny" => Self::Deny,
            "NotApplicable" => Self::NotApplicable,
            "Indeterminate" => Self::Indeterminate,
            _ => return None,
        })
    }

    /// Of two contradicting answers the more restrictive one counts.
    fn strictness(self) -> u8 {
        match self {
            Self::Permit => 0,
            Self::NotApplicable => 1,
            Self::Indeterminate => 2,
            Self::Deny => 3,
        }
    }
}

/// Why a record was refused by us, not by the decision point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// Several answers that differ.
    Contradictory,
    /// No answer for the record.
    Missing,
    /// A permit under an obligation that we do not understand.
    ObligationUnknown,
}

impl DenyReason {
    /// Name in metrics and vectors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contradictory => "contradictory",
            Self::Missing => "missing",
            Self::ObligationUnknown => "obligation-unknown",
        }
    }
}

/// One result of a decision point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The record; `None` where the answer does not name it.
    pub id: Option<String>,
    /// The decision.
    pub decision: Decision,
    /// Obligations of a permit.
    pub obligations: Vec<String>,
    /// Status code.
    pub status: Option<String>,
    /// What the status says.
    pub told: Option<Told>,
}

/// All records of one question, decided.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Check {
    /// The effective decision per asked record.
    pub decisions: BTreeMap<String, Decision>,
    /// Records that we refused ourselves.
    pub deny_reasons: BTreeMap<String, DenyReason>,
    /// Records nobody asked about.
    pub ignored: Vec<String>,
    /// Status codes per record.
    pub statuses: BTreeMap<String, String>,
    /// Status texts per record.
    pub texts: BTreeMap<String, String>,
    /// Records that may be used, in asked order; none when the check failed.
    pub kept: Vec<String>,
    /// Some decision was not possible: the caller gets an error, never a shorter list.
    pub failed: bool,
    /// Why, where the decision point says it.
    pub told: Option<Told>,
}

impl Check {
    /// Brings results and asked records together.
    pub fn new(asked: &[String], answered: Vec<Answered>, understood: &[String]) -> Self {
        let mut check = Self::default();
        // An answer without id can only be about the one record that was asked.
        let single = match (asked, answered.len()) {
            ([only], 1) => Some(only.clone()),
            _ => None,
        };
        for answer in answered {
            if answer.decision == Decision::Indeterminate {
                check.failed = true;
                check.told = check.told.or(answer.told.clone());
            }
            let Some(id) = answer.id.or_else(|| single.clone()) else { continue };
            if !asked.contains(&id) {
                if !check.ignored.contains(&id) {
                    check.ignored.push(id);
                }
                continue;
            }
            if let Some(status) = answer.status {
                check.statuses.insert(id.clone(), status);
            }
            if let Some(text) = answer.told.and_then(|told| told.text) {
                check.texts.insert(id.clone(), text);
            }
            let strange = answer.obligations.iter().any(|obligation| !understood.contains(obligation));
            let decision = if answer.decision == Decision::Permit && strange {
                check.deny_reasons.insert(id.clone(), DenyReason::ObligationUnknown);
                Decision::Deny
            } else {
                answer.decision
            };
            match check.decisions.get(&id).copied() {
                None => {
                    check.decisions.insert(id, decision);
                }
                Some(before) if before == decision => {}
                Some(before) => {
                    let stricter =
                        if decision.strictness() > before.strictness() { decision } else { before };
                    if stricter == Decision::Deny {
                        check.deny_reasons.insert(id.clone(), DenyReason::Contradictory);
                    }
                    check.decisions.insert(id, stricter);
                }
            }
        }
        check.failed |= check.decisions.values().any(|decision| *decision == Decision::Indeterminate);
        for id in asked {
            if !check.decisions.contains_key(id) && !check.failed {
                check.decisions.insert(id.clone(), Decision::Deny);
                check.deny_reasons.insert(id.clone(), DenyReason::Missing);
            }
        }
        if !check.failed {
            let permitted = |id: &&String| check.decisions.get(*id) == Some(&Decision::Permit);
            check.kept = asked.iter().filter(permitted).cloned().collect();
        }
        check
    }

    /// One word for the whole check.
    pub fn outcome(&self, asked: &[String]) -> &'static str {
        match asked {
            _ if self.failed => Decision::Indeterminate.as_str(),
            [only] => self.decisions.get(only).map_or("deny", |decision| decision.as_str()),
            _ => "decided",
        }
    }
}
