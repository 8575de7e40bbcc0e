//! A client certificate that passed the handshake.
use std::sync::atomic::AtomicU64;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha512};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::roles::Credentials;

/// What we know of the certificate of a connection.
#[derive(Debug)]
pub struct Certificate {
    /// Leaf first, as shown by the client.
    pub chain: Vec<CertificateDer<'static>>,
    /// SHA-512 over the DER leaf, lower-case hex: what allow lists hold (fhir-endpoint contract 3.1).
    pub thumbprint: String,
    /// Mail address of the holder: SAN rfc822Name, else the subject's E.
    pub email: Option<String>,
    /// Surname of the subject, else its common name.
    pub surname: Option<String>,
    /// Given name of the subject.
    pub given_name: Option<String>,
    /// Begin and end of its validity, seconds since 1970.
    validity: (u64, u64),
    /// Generation of the trust material it was last checked against; see `listener::tls`.
    pub(crate) generation: AtomicU64,
}

/// SHA-512 over a DER certificate, in lower-case hex (fhir-endpoint contract 3.1).
pub fn thumbprint(certificate: &[u8]) -> String {
    hex::encode(Sha512::digest(certificate))
}

impl Certificate {
    /// Reads the chain of a handshake under a generation of the trust material. `None` without a leaf, or with one that cannot be read (rustls has
    /// read it before, so that does not happen).
    pub fn from_chain(chain: Vec<CertificateDer<'static>>, generation: u64) -> Option<Self> {
        let leaf = chain.first()?;
        let thumbprint = thumbprint(leaf);
        let (_, parsed) = parse_x509_certificate(leaf).ok()?;
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let validity = (seconds(parsed.validity().not_before), seconds(parsed.validity().not_after));
        let subject = parsed.subject();
        let first = |mut values: Box<dyn Iterator<Item = Option<String>> + '_>| values.next().flatten();
        let text =
            |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().ok().map(str::to_owned);
        let alternative = parsed.subject_alternative_name().ok().flatten().and_then(|names| {
            names.value.general_names.iter().find_map(|name| match name {
                GeneralName::RFC822Name(mail) => Some((*mail).to_owned()),
                _ => None,
            })
        });
        let oid_value =
            |oid: x509_parser::oid_registry::Oid<'static>| subject.iter_by_oid(&oid).find_map(text);
        let email = alternative.or_else(|| first(Box::new(subject.iter_email().map(text))));
        let surname = oid_value(x509_parser::oid_registry::OID_X509_SURNAME)
            .or_else(|| first(Box::new(subject.iter_common_name().map(text))));
        let given_name = oid_value(x509_parser::oid_registry::OID_X509_GIVEN_NAME);
        Some(Self {
            thumbprint,
            email,
            surname,
            given_name,
            validity,
            generation: AtomicU64::new(generation),
            chain,
        })
    }

    /// What it says of its holder as a person; without mail address they are named after the thumbprint
    /// (fhir-endpoint contract 3.1).
    pub fn credentials(&self) -> Credentials {
        Credentials {
            thumbprint: Some(self.thumbprint.clone()),
            email: self.email.clone(),
            otherwise: format!("{}@certificate.invalid", self.thumbprint),
            ..Credentials::default()
        }
    }

    /// Whether it is valid at a time, in seconds since 1970.
    pub fn valid_at(&self, now: u64) -> bool {
        self.validity.0 <= now && now <= self.validity.1
    }
}
