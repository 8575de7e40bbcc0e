//! A person as a patient index has it: typed fields, nothing normalised.
use zeroize::Zeroize;

/// Who gave an identifier out. HL7 v2 and v3 name a domain by OID, v2 also by a short name, FHIR by a URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Domain {
    /// Short name (v2 CX-4.1).
    pub namespace: Option<String>,
    /// OID as a rule (v2 CX-4.2, v3 II root).
    pub universal_id: Option<String>,
    /// Kind of the universal id, `ISO` for OIDs.
    pub universal_id_type: Option<String>,
    /// FHIR system.
    pub system: Option<String>,
}

impl Domain {
    /// True if every part that `self` states is stated the same by `other`. A domain that states
    /// nothing matches nothing.
    pub fn matches(&self, other: &Domain) -> bool {
        let same = |ours: &Option<String>, theirs: &Option<String>| ours.is_none() || ours == theirs;
        let stated = self.namespace.is_some() || self.universal_id.is_some() || self.system.is_some();
        stated
            && same(&self.namespace, &other.namespace)
            && same(&self.universal_id, &other.universal_id)
            && same(&self.system, &other.system)
    }
}

/// An identifier with its domain.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Identifier {
    /// The value.
    pub value: String,
    /// Who gave it out.
    pub domain: Domain,
    /// Kind (v2 CX-5), for example `MR`.
    pub kind: Option<String>,
}

impl std::fmt::Debug for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identifier").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Administrative sex: one of `D F M O U X` (contract 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sex {
    /// `divers`.
    Diverse,
    /// Female.
    Female,
    /// Male.
    Male,
    /// Other.
    Other,
    /// Unknown.
    Unknown,
    /// `unbestimmt`.
    Undetermined,
}

impl Sex {
    /// The letter.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Diverse => "D",
            Self::Female => "F",
            Self::Male => "M",
            Self::Other => "O",
            Self::Unknown => "U",
            Self::Undetermined => "X",
        }
    }

    /// From a code of HL7 v2 (table 0001) or v3: ambiguous is `X`, undifferentiated and not
    /// applicable are `O`.
    pub fn from_hl7(code: &str) -> Option<Self> {
        Some(match code.trim().to_ascii_uppercase().as_str() {
            "D" => Self::Diverse,
            "F" => Self::Female,
            "M" => Self::Male,
            "O" | "N" | "UN" => Self::Other,
            "U" | "UNK" => Self::Unknown,
            "X" | "A" => Self::Undetermined,
            _ => return None,
        })
    }
}

/// A person. Texts are as the index has them; absent is absent, never empty.
#[derive(Clone, PartialEq, Default)]
pub struct Person {
    /// All identifiers.
    pub identifiers: Vec<Identifier>,
    /// Identifier of the configured authority.
    pub medic_id: Option<String>,
    /// Surname.
    pub last: Option<String>,
    /// First given name.
    pub first: Option<String>,
    /// ISO date at the precision of the source: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub birth: Option<String>,
    /// Administrative sex.
    pub sex: Option<Sex>,
    /// Street with house number.
    pub street: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Country as the source writes it.
    pub country: Option<String>,
    /// Health insurance number.
    pub insurance: Option<String>,
    /// Confidence of a match, 0 to 100.
    pub confidence: Option<u8>,
    /// Score of a match, 0 to 1, as written.
    pub score: Option<String>,
    /// Grade of a match: `certain`, `probable`, `possible`, `certainly-not`.
    pub grade: Option<String>,
    /// Address of the resource where the index is a FHIR server.
    pub resource: Option<String>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person(…)")
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        for identifier in &mut self.identifiers {
            identifier.value.zeroize();
        }
        for text in [
            &mut self.medic_id,
            &mut self.last,
            &mut self.first,
            &mut self.birth,
            &mut self.street,
            &mut self.zip,
            &mut self.city,
            &mut self.country,
            &mut self.insurance,
        ] {
            text.zeroize();
        }
    }
}

/// Which of several names or addresses is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// The first.
    First,
    /// The legal or official name, the home address that is no postal box; else the first.
    Preferred,
}

/// What readers of persons need to know.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Domain of `medic_id`.
    pub authority: Domain,
    /// Domain of the insurance number, where it is an identifier.
    pub insurance_authority: Option<Domain>,
    /// Which name and address; the protocol's default where absent.
    pub repetition: Option<Repetition>,
}

impl Profile {
    /// Sets `medic_id`: the asked one if the person carries it, else the last of the authority.
    pub(crate) fn name(&self, person: &mut Person, asked: Option<&str>) {
        let own = || person.identifiers.iter().filter(|id| self.authority.matches(&id.domain));
        let asked = own().find(|id| asked == Some(id.value.as_str()));
        person.medic_id = asked.or_else(|| own().next_back()).map(|id| id.value.clone());
    }
}

/// How many persons the server says there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// In all.
    pub total: Option<u64>,
    /// In this answer.
    pub current: Option<u64>,
    /// After this answer.
    pub remaining: Option<u64>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// The person with one identifier.
    Identifier,
    /// All persons with some demographic values.
    Demographics,
    /// The person that fits best ($match).
    Match,
}

/// Where the next page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// Pointer (v2) or address (FHIR).
    Pointer(String),
    /// Number of the next result (v3), from 1.
    Start(u64),
}

/// Persons of one answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Persons {
    /// In the order of the answer.
    pub persons: Vec<Person>,
    /// As the server states them.
    pub counts: Counts,
    /// Where the next page is.
    pub continuation: Option<Continuation>,
}

/// What an answer says about a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Complete, with at least one person; exactly one for an identifier or a match.
    Found,
    /// The index knows none.
    NotFound,
    /// More than one for an identifier, or no single certain match: nobody is handed over.
    Ambiguous,
    /// One page of several.
    Continue,
}

impl Verdict {
    /// Name in metrics and vectors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not-found",
            Self::Ambiguous => "ambiguous",
            Self::Continue => "continue",
        }
    }
}

/// Grade of a match that may be used without a person looking at it.
const CERTAIN: &str = "certain";

impl Persons {
    /// What these persons say about a query. An identifier that several carry is ambiguous, never
    /// the first of them (contract 1.4).
    ///
    /// # Errors
    /// [`crate::failure::Reason::IdentifierMissing`] when the one person is not the asked one.
    pub fn verdict(
        &self,
        query: Query,
        asked: Option<&str>,
        authority: &Domain,
    ) -> Result<Verdict, crate::failure::Reason> {
        let more = self.continuation.is_some();
        match query {
            Query::Demographics if more => Ok(Verdict::Continue),
            Query::Demographics if self.persons.is_empty() => Ok(Verdict::NotFound),
            Query::Demographics => Ok(Verdict::Found),
            Query::Match => {
                let certain = self.persons.iter().filter(|p| p.grade.as_deref() == Some(CERTAIN)).count();
                Ok(match (self.persons.len(), certain) {
                    (0, _) => Verdict::NotFound,
                    (_, 1) if !more => Verdict::Found,
                    _ => Verdict::Ambiguous,
                })
            }
            Query::Identifier => {
                let stated = self.counts.total.unwrap_or(0);
                match self.persons.as_slice() {
                    [] if more || stated > 0 => {
                        Err(crate::failure::Reason::Malformed("persons are announced but not there"))
                    }
                    [] => Ok(Verdict::NotFound),
                    [_] if more || stated > 1 => Ok(Verdict::Ambiguous),
                    [person] => {
                        let carries = asked.is_none_or(|asked| {
                            let ids = &person.identifiers;
                            ids.iter().any(|id| id.value == asked && authority.matches(&id.domain))
                        });
                        if carries {
                            Ok(Verdict::Found)
                        } else {
                            Err(crate::failure::Reason::IdentifierMissing)
                        }
                    }
                    _ => Ok(Verdict::Ambiguous),
                }
            }
        }
    }

    /// The person that may be handed over after [`Verdict::Found`] for an identifier or a match.
    pub fn single(&self, query: Query) -> Option<&Person> {
        match query {
            Query::Match => self.persons.iter().find(|person| person.grade.as_deref() == Some(CERTAIN)),
            _ => self.persons.first(),
        }
    }
}

/// An HL7 time stamp (`YYYY[MM[DD[…]]]`) as ISO date at its precision; `None` when it is not one.
pub(crate) fn iso_date(stamp: &str) -> Option<String> {
    let digits: String = stamp.trim().chars().take_while(char::is_ascii_digit).take(8).collect();
    let number = |range: std::ops::Range<usize>| digits.get(range).and_then(|text| text.parse::<u32>().ok());
    let (year, month, day) = (number(0..4)?, number(4..6), number(6..8));
    if year == 0
        || month.is_some_and(|m| !(1..=12).contains(&m))
        || day.is_some_and(|d| !(1..=31).contains(&d))
    {
        return None;
    }
    match (digits.len(), month, day) {
        (4, ..) => Some(digits),
        (6, Some(_), _) => Some(format!("{}-{}", &digits[..4], &digits[4..])),
        (8, Some(_), Some(_)) => Some(format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..])),
        _ => None,
    }
}

/// Text with something in it.
pub(crate) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
