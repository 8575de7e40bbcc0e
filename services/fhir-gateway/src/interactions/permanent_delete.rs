//! `$permanent-delete`: all versions of a resource that is marked as deleted (fhir-endpoint contract 1.8).
use access::Interaction;
use fhir::outcome::Severity;
use http::StatusCode;

use super::{
    delete::unknown,
    failure::Failure,
    unit::{Unit, parsed, uuid},
};
use crate::{
    exchange::{Answer, Request},
    site::Site,
    store::Erased,
};

/// `POST /T/{id}/$permanent-delete`
pub(super) async fn direct(
    site: &Site,
    request: &Request,
    ty: &'static str,
    id: &str,
) -> Result<Answer, Failure> {
    let id = uuid(id).ok_or_else(|| unknown(ty))?;
    let session = site.store.session().await?;
    let unit = Unit::direct(site, request, &session);
    let stored = session.read(ty, id).await?.ok_or_else(|| unknown(ty))?;
    unit.authorize_permanent_delete(&parsed(&stored)?)?;
    match session.erase(ty, id).await? {
        Erased::All => {
            tracing::info!(caller = request.identity.kind(), interaction = Interaction::PermanentDelete.word(), ty, %id);
            let text = format!("{ty} permanently deleted");
            Ok(Answer::outcome(StatusCode::OK, Severity::Information, "informational", &text))
        }
        Erased::NotDeleted => {
            Err(Failure::BadRequest(format!("{ty} is not marked as deleted: delete it first")))
        }
    }
}
