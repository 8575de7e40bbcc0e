//! TLS of the listener: server certificate, which client certificates are accepted, reload.
//!
//! A client certificate is optional in the handshake, because "none" has an answer of its own (403). One
//! that is shown must hold up against the configured CAs and revocation lists, else the handshake
//! ends with an alert.
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem::PemObject,
};
use sha2::{Digest, Sha256};

use super::tickets::{MIN_SECRET, SharedTicketer, TicketError};
use crate::identity::certificate::Certificate;

/// Protocols offered by ALPN, best first. WebSockets work over HTTP/1.1 only.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the material is and how revocation lists are used.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// PEM file with the server certificate and its chain.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub private_key: PathBuf,
    /// PEM files or folders of PEM files with the CAs of client certificates.
    pub client_ca: Vec<PathBuf>,
    /// PEM files with revocation lists.
    pub client_crl: Vec<PathBuf>,
    /// Check only the client certificate itself against the lists, not the CAs above it.
    pub crl_leaf_only: bool,
    /// Accept certificates of a CA without a list, although lists are configured.
    pub crl_allow_unknown: bool,
    /// Refuse certificates of a CA whose list has expired.
    pub crl_refuse_expired: bool,
    /// File with the secret that all replicas derive their ticket keys from.
    pub ticket_key: Option<PathBuf>,
}

/// Why TLS cannot be set up. Each names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read ({reason})")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no usable {what}: PEM is expected")]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The ticket secret is not usable.
    #[error("the session ticket key file is not usable: {0}")]
    Tickets(#[from] TicketError),
    /// rustls refuses the combination, for example a key that does not belong to the certificate.
    #[error("the TLS settings are refused: {0}")]
    Refused(String),
}

/// What is in force at present.
struct State {
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    /// Grows with every change.
    generation: u64,
    /// Digest of all files.
    digest: Vec<u8>,
}

/// The TLS side of the listener; replaced as a whole by [`Tls::reload`].
pub struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    state: ArcSwap<State>,
    /// The ticket secret where no file is configured: sessions are then resumed at this replica only.
    own_secret: [u8; MIN_SECRET],
}

/// All files, as bytes.
struct Material {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    client_ca: Vec<(PathBuf, Vec<u8>)>,
    client_crl: Vec<(PathBuf, Vec<u8>)>,
    ticket_key: Option<Vec<u8>>,
}

impl Material {
    fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut client_ca = Vec::new();
        for path in &settings.client_ca {
            for path in pem_files(path)? {
                let bytes = read(&path)?;
                client_ca.push((path, bytes));
            }
        }
        let lists = settings.client_crl.iter();
        let client_crl =
            lists.map(|path| Ok((path.clone(), read(path)?))).collect::<Result<Vec<_>, TlsError>>()?;
        Ok(Self {
            certificate: read(&settings.certificate)?,
            private_key: read(&settings.private_key)?,
            client_ca,
            client_crl,
            ticket_key: settings.ticket_key.as_deref().map(read).transpose()?,
        })
    }

    /// Digest of what client certificates are checked against.
    fn trust_digest(&self) -> Vec<u8> {
        let mut digest = Sha256::new();
        for (_, bytes) in self.client_ca.iter().chain(&self.client_crl) {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        digest.finalize().to_vec()
    }

    fn digest(&self) -> Vec<u8> {
        let mut digest = Sha256::new_with_prefix(self.trust_digest());
        for bytes in [&self.certificate, &self.private_key].into_iter().chain(&self.ticket_key) {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        digest.finalize().to_vec()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::File { path: path.to_owned(), reason: error.to_string() })
}

/// The file itself, or the files of a folder in the order of their names.
fn pem_files(path: &Path) -> Result<Vec<PathBuf>, TlsError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| TlsError::File { path: path.to_owned(), reason: error.to_string() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let known = ["pem", "crt", "cer"];
        if file.extension().and_then(|end| end.to_str()).is_some_and(|end| known.contains(&end)) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = || TlsError::Content { path: path.to_owned(), what: "certificate" };
    let found =
        CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().map_err(|_| content())?;
    if found.is_empty() { Err(content()) } else { Ok(found) }
}

impl Tls {
    /// Reads all files and builds the configuration.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let own_secret = rand::random::<[u8; MIN_SECRET]>();
        let state = State::build(&settings, &provider, &Material::read(&settings)?, &own_secret, 1)?;
        Ok(Self { settings, provider, state: ArcSwap::from_pointee(state), own_secret })
    }

    /// Reads the files again and takes over what changed; false where nothing did. Open connections stay,
    /// their certificates are checked again at the next request.
    ///
    /// # Errors
    /// See [`TlsError`]; what was in force stays in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let material = Material::read(&self.settings)?;
        let present = self.state.load();
        if present.digest == material.digest() {
            return Ok(false);
        }
        let generation = present.generation + 1;
        let state = State::build(&self.settings, &self.provider, &material, &self.own_secret, generation)?;
        self.state.store(Arc::new(state));
        Ok(true)
    }

    /// The configuration for a new connection, and its generation.
    pub fn config(&self) -> (Arc<ServerConfig>, u64) {
        let state = self.state.load();
        (Arc::clone(&state.config), state.generation)
    }

    /// Whether a certificate that was accepted in a handshake is still within its validity and still stands
    /// against the present CAs and revocation lists. Cheap: signatures are checked again only after
    /// a change of the files.
    pub fn still_trusted(&self, certificate: &Certificate) -> bool {
        let now = UnixTime::now();
        if !certificate.valid_at(now.as_secs()) {
            return false;
        }
        let state = self.state.load();
        if certificate.generation.load(Ordering::Acquire) == state.generation {
            return true;
        }
        let Some((leaf, above)) = certificate.chain.split_first() else { return false };
        let good = state.verifier.verify_client_cert(leaf, above, now).is_ok();
        if good {
            certificate.generation.store(state.generation, Ordering::Release);
        }
        good
    }
}

impl State {
    fn build(
        settings: &TlsSettings,
        provider: &Arc<CryptoProvider>,
        material: &Material,
        own_secret: &[u8],
        generation: u64,
    ) -> Result<Self, TlsError> {
        let verifier = verifier(settings, provider, material)?;
        let config = server_config(settings, provider, material, Arc::clone(&verifier), own_secret)?;
        Ok(Self { config, verifier, generation, digest: material.digest() })
    }
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    material: &Material,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for (path, bytes) in &material.client_ca {
        for certificate in certificates(path, bytes)? {
            roots
                .add(certificate)
                .map_err(|_| TlsError::Content { path: path.clone(), what: "CA certificate" })?;
        }
    }
    let mut lists = Vec::new();
    for (path, bytes) in &material.client_crl {
        let content = || TlsError::Content { path: path.clone(), what: "revocation list" };
        let found = CertificateRevocationListDer::pem_slice_iter(bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| content())?;
        if found.is_empty() {
            return Err(content());
        }
        lists.extend(found);
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
        .with_crls(lists)
        .allow_unauthenticated();
    if settings.crl_leaf_only {
        builder = builder.only_check_end_entity_revocation();
    }
    if settings.crl_allow_unknown {
        builder = builder.allow_unknown_revocation_status();
    }
    if settings.crl_refuse_expired {
        builder = builder.enforce_revocation_expiration();
    }
    builder.build().map_err(|error| TlsError::Refused(error.to_string()))
}

fn server_config(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    material: &Material,
    verifier: Arc<dyn ClientCertVerifier>,
    own_secret: &[u8],
) -> Result<Arc<ServerConfig>, TlsError> {
    let refused = |error: rustls::Error| TlsError::Refused(error.to_string());
    let chain = certificates(&settings.certificate, &material.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&material.private_key)
        .map_err(|_| TlsError::Content { path: settings.private_key.clone(), what: "private key" })?;
    // `safe default versions` are TLS 1.3 and 1.2.
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(refused)?;
    config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let secret = material.ticket_key.as_deref().unwrap_or(own_secret);
    config.ticketer = Arc::new(SharedTicketer::new(secret, &material.trust_digest())?);
    Ok(Arc::new(config))
}
