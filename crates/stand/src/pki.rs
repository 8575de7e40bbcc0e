//! The test CA: certificates of sites, people and strangers, and a revocation list.
use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use sha2::{Digest, Sha512};
use time::{Duration, OffsetDateTime};

use crate::description::write_private;

/// How long certificates of a stand are valid.
const VALIDITY: Duration = Duration::days(30);
/// Clocks of other machines may be behind.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// A certificate with its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Certificate file.
    pub certificate: PathBuf,
    /// Private key file, readable by its owner only.
    pub key: PathBuf,
    /// SHA-512 of the certificate in lower-case hex, as allow lists hold it.
    pub thumbprint: String,
    serial: u64,
}

/// A certificate authority of a stand.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its certificate file.
    pub certificate: PathBuf,
    /// Its revocation list file.
    pub revocation_list: PathBuf,
    revoked: Mutex<Vec<u64>>,
}

impl Authority {
    /// Makes an authority with an empty revocation list below `folder`.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        set_validity(&mut parameters, VALIDITY);
        let issuer =
            CertifiedIssuer::self_signed(parameters, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)?;
        let (certificate, revocation_list) = (folder.join("ca.pem"), folder.join("ca.crl.pem"));
        std::fs::write(&certificate, issuer.pem())?;
        let authority = Self { issuer, certificate, revocation_list, revoked: Mutex::new(Vec::new()) };
        authority.write_revocation_list()?;
        Ok(authority)
    }

    /// Issues a certificate for servers and clients, valid now.
    pub fn issue(&self, folder: &Path, name: &str) -> Result<Identity> {
        self.issue_valid(folder, name, VALIDITY)
    }

    /// Issues a certificate of a person with a mail address, valid now.
    pub fn issue_person(&self, folder: &Path, name: &str, mail: &str) -> Result<Identity> {
        let mail = SanType::Rfc822Name(mail.try_into()?);
        self.sign(folder, name, vec![mail], &[ExtendedKeyUsagePurpose::ClientAuth], VALIDITY)
    }

    /// Issues a certificate that ends `validity` from now; a negative one has expired.
    pub fn issue_valid(&self, folder: &Path, name: &str, validity: Duration) -> Result<Identity> {
        let names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::DnsName(name.try_into()?),
            SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        ];
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(folder, name, names, &usages, validity)
    }

    fn sign(
        &self,
        folder: &Path,
        name: &str,
        alternative_names: Vec<SanType>,
        usages: &[ExtendedKeyUsagePurpose],
        validity: Duration,
    ) -> Result<Identity> {
        std::fs::create_dir_all(folder)?;
        let serial = u64::from(rand::random::<u32>()) + 1;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = alternative_names;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.serial_number = Some(SerialNumber::from(serial));
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = usages.to_vec();
        set_validity(&mut parameters, validity);
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            thumbprint: hex::encode(Sha512::digest(certificate.der())),
            serial,
        };
        std::fs::write(&identity.certificate, certificate.pem())?;
        write_private(&identity.key, key.serialize_pem().as_bytes())?;
        Ok(identity)
    }

    /// Puts a certificate on the revocation list.
    pub fn revoke(&self, identity: &Identity) -> Result<()> {
        self.revoked.lock().map_err(|_| anyhow::anyhow!("revocation list is locked"))?.push(identity.serial);
        self.write_revocation_list()
    }

    fn write_revocation_list(&self) -> Result<()> {
        let now = OffsetDateTime::now_utc();
        let revoked = self.revoked.lock().map_err(|_| anyhow::anyhow!("revocation list is locked"))?;
        let list = CertificateRevocationListParams {
            this_update: now - CLOCK_SKEW,
            next_update: now + VALIDITY,
            crl_number: SerialNumber::from(revoked.len() as u64 + 1),
            issuing_distribution_point: None,
            key_identifier_method: KeyIdMethod::Sha256,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: now - CLOCK_SKEW,
                    reason_code: Some(RevocationReason::KeyCompromise),
                    invalidity_date: None,
                })
                .collect(),
        }
        .signed_by(&self.issuer)?;
        // Written aside and renamed, so that a gateway never reads half a list.
        let aside = self.revocation_list.with_extension("new");
        std::fs::write(&aside, list.pem()?)?;
        std::fs::rename(&aside, &self.revocation_list).context("the revocation list cannot be replaced")
    }
}

fn set_validity(parameters: &mut CertificateParams, validity: Duration) {
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - CLOCK_SKEW + validity.min(Duration::ZERO);
    parameters.not_after = now + validity;
}
