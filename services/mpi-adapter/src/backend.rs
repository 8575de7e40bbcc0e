//! The four ways to ask an index, as one.
use adapter::{Trouble, guard::Guard, tls::SetupError};
use hospital::{
    audit::{Transaction, table},
    person::{Domain, Identifier, Person, Persons, Query, Verdict},
};
use messaging::hospital::Demographics;

use crate::{BackendKind, Config, fhir::Fhir, table::Table, v2::Hl7V2, v3::Hl7V3};

/// What an index knows about one question.
#[derive(Debug)]
pub enum Lookup {
    /// Exactly one person.
    Person(Box<Person>),
    /// Nobody.
    NotFound,
    /// More than one, or no single certain match.
    Ambiguous,
}

/// A patient index.
pub enum Backend {
    /// HL7 v2 over MLLP.
    Hl7V2(Hl7V2),
    /// FHIR.
    Fhir(Fhir),
    /// HL7 v3 over SOAP.
    Hl7V3(Hl7V3),
    /// A table of our own.
    Table(Table),
}

impl Backend {
    /// Connects on first use.
    ///
    /// # Errors
    /// [`SetupError`]: files, addresses or names that cannot be used.
    pub async fn new(config: &Config) -> Result<Self, SetupError> {
        Ok(match config.backend {
            BackendKind::Hl7V2 => Self::Hl7V2(Hl7V2::new(config)?),
            BackendKind::Fhir => Self::Fhir(Fhir::new(config)?),
            BackendKind::Hl7V3 => Self::Hl7V3(Hl7V3::new(config)?),
            BackendKind::Table => Self::Table(Table::new(config).await?),
        })
    }

    /// The person with an identifier of the configured authority.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn find(&self, id: &str) -> Result<Lookup, Trouble> {
        match self {
            Self::Hl7V2(backend) => backend.find(id).await,
            Self::Fhir(backend) => backend.find(id).await,
            Self::Hl7V3(backend) => backend.find(id).await,
            Self::Table(backend) => backend.find(id).await,
        }
    }

    /// The one person with some demographic values.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn match_person(&self, known: &Demographics) -> Result<Lookup, Trouble> {
        match self {
            Self::Hl7V2(backend) => backend.match_person(known).await,
            Self::Fhir(backend) => backend.match_person(known).await,
            Self::Hl7V3(backend) => backend.match_person(known).await,
            Self::Table(backend) => backend.match_person(known).await,
        }
    }

    /// Other identifiers of the person with an identifier of the configured authority.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn cross_reference(&self, id: &str, targets: &[Domain]) -> Result<Vec<Identifier>, Trouble> {
        match self {
            Self::Hl7V2(backend) => backend.cross_reference(id, targets).await,
            Self::Fhir(backend) => backend.cross_reference(id, targets).await,
            Self::Hl7V3(backend) => backend.cross_reference(id, targets).await,
            Self::Table(backend) => backend.cross_reference(id, targets).await,
        }
    }

    /// Transactions of find, match and cross reference, for audit records.
    pub fn transactions(&self) -> [Transaction; 3] {
        match self {
            Self::Hl7V2(_) => [table::ITI_21, table::ITI_21, table::ITI_9],
            Self::Fhir(_) => [table::ITI_78, table::ITI_119, table::ITI_83],
            Self::Hl7V3(_) => [table::ITI_47, table::ITI_47, table::ITI_45],
            Self::Table(_) => [table::TABLE_FIND, table::TABLE_MATCH, table::TABLE_CROSS_REFERENCE],
        }
    }

    /// What stands between us and the index.
    pub fn guard(&self) -> &Guard {
        match self {
            Self::Hl7V2(backend) => backend.guard(),
            Self::Fhir(backend) => backend.guard(),
            Self::Hl7V3(backend) => backend.guard(),
            Self::Table(backend) => backend.guard(),
        }
    }

    /// False while the index is left alone because it failed too often.
    pub fn is_healthy(&self) -> bool {
        self.guard().is_healthy()
    }
}

/// The one person of an answer to an identifier or match query.
pub(crate) fn single(
    mut persons: Persons,
    query: Query,
    asked: Option<&str>,
    authority: &Domain,
) -> Result<Lookup, Trouble> {
    Ok(match persons.verdict(query, asked, authority)? {
        Verdict::NotFound => Lookup::NotFound,
        Verdict::Ambiguous | Verdict::Continue => Lookup::Ambiguous,
        Verdict::Found => match (persons.single(query).cloned(), persons.persons.len()) {
            (Some(_), 1) => {
                persons.persons.pop().map_or(Lookup::NotFound, |one| Lookup::Person(Box::new(one)))
            }
            (Some(person), _) if query == Query::Match => Lookup::Person(Box::new(person)),
            (Some(_), _) => Lookup::Ambiguous,
            (None, _) => Lookup::NotFound,
        },
    })
}

/// Everybody with some demographic values: only exactly one is somebody.
pub(crate) fn only(mut persons: Vec<Person>, more: bool) -> Lookup {
    match (persons.pop(), persons.is_empty()) {
        (None, _) => Lookup::NotFound,
        (Some(person), true) if !more => Lookup::Person(Box::new(person)),
        _ => Lookup::Ambiguous,
    }
}
