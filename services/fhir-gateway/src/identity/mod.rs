//! Who calls: from the client certificate to an identity, by the allow list and the role configuration
//! (fhir-endpoint contract 3.1). Decided anew for every request.

pub mod certificate;
pub mod directory;
mod facts;
mod roles;

use std::sync::Arc;

use access::{Facts, Identity};

use directory::Holder;
pub use facts::SnapshotFacts;
pub use roles::{Credentials, RoleConfig, RolesError};

use crate::{
    listener::{Peer, tls::Tls},
    site::Site,
};

/// Why there is no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No certificate, one that is not good any more, or one that belongs to nobody we know.
    Unknown,
    /// The allow list cannot be read at present.
    Unavailable,
}

/// The identity behind a connection, now.
///
/// # Errors
/// See [`Refusal`].
pub async fn decide(site: &Site, tls: &Tls, peer: &Peer) -> Result<Arc<Identity>, Refusal> {
    let certificate = peer.certificate.as_ref().ok_or(Refusal::Unknown)?;
    if !tls.still_trusted(certificate) {
        return Err(Refusal::Unknown);
    }
    let directory = site.directory.fresh(&site.store).await.map_err(|error| {
        tracing::debug!(%error, "the allow list cannot be read");
        Refusal::Unavailable
    })?;
    match directory.holder(&certificate.thumbprint) {
        Some(Holder::Organization(identity)) => return Ok(Arc::clone(identity)),
        Some(Holder::Ambiguous) => return Err(Refusal::Unknown),
        None => {}
    }
    // Persons belong to the local organization, so it must exist.
    if !directory.facts.organization_is_active(&site.organization) {
        return Err(Refusal::Unknown);
    }
    let practitioner =
        site.roles.practitioner(&certificate.credentials(), &site.organization).ok_or(Refusal::Unknown)?;
    Ok(Arc::new(Identity::Practitioner(practitioner)))
}
