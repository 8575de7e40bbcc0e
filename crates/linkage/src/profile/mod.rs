//! Normalisation profiles: how the identifying data of a person become what is hashed.
//!
//! Sites must agree on every bit, so a profile is part of the network's agreement: it has a name and a
//! version, stands in the header of every set of filters, and sets of different profiles are not linked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name and version of a profile, written `name-version`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileId {
    /// Its name.
    pub name: String,
    /// Its version; every change of a rule is a new one.
    pub version: u32,
}

/// A text that names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a profile is written as name, hyphen, version, such as `de-1`")]
pub struct ProfileIdError;

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.version)
    }
}

impl FromStr for ProfileId {
    type Err = ProfileIdError;

    fn from_str(text: &str) -> Result<ProfileId, ProfileIdError> {
        let (name, version) = text.rsplit_once('-').ok_or(ProfileIdError)?;
        let plain = version.bytes().all(|byte| byte.is_ascii_digit()) && !version.starts_with('0');
        match version.parse() {
            Ok(version) if plain && !name.is_empty() => Ok(ProfileId { name: name.to_owned(), version }),
            _ => Err(ProfileIdError),
        }
    }
}

impl TryFrom<String> for ProfileId {
    type Error = ProfileIdError;

    fn try_from(text: String) -> Result<ProfileId, ProfileIdError> {
        text.parse()
    }
}

impl From<ProfileId> for String {
    fn from(id: ProfileId) -> String {
        id.to_string()
    }
}

mod german;
mod highmed;

pub use german::{German, Names, Street, german};

use crate::idat::Idat;
use crate::rbf::Attributes;

/// The profiles of the HiGHmed wire. They do not normalise: they say in which form the nine attributes
/// are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireProfile {
    /// `highmed-stub-1`: as the interface documents them, dates `dd.MM.yyyy`. Sites that feed the
    /// original from its stub or from an adapter that keeps to the interface.
    Stub1,
    /// `highmed-java-pdq-1`: as the HL7 v2 client of the original delivers them, dates without leading
    /// zeros. Sites whose partners use that client.
    JavaPdq1,
}

impl WireProfile {
    /// Name and version.
    #[must_use]
    pub fn id(self) -> ProfileId {
        let name = match self {
            WireProfile::Stub1 => "highmed-stub",
            WireProfile::JavaPdq1 => "highmed-java-pdq",
        };
        ProfileId { name: name.to_owned(), version: 1 }
    }

    /// The attributes of a person in this form.
    #[must_use]
    pub fn attributes(self, person: &Idat) -> Attributes {
        match self {
            WireProfile::Stub1 => highmed::stub(person),
            WireProfile::JavaPdq1 => highmed::java_pdq(person),
        }
    }
}

/// Name and version of our own profile, `de-1`: [`german`].
#[must_use]
pub fn de_1() -> ProfileId {
    ProfileId { name: "de".to_owned(), version: 1 }
}
