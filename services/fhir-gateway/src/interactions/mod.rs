//! The FHIR interactions (placeholder, the owner replaces it).
use std::sync::Arc;

use crate::{
    exchange::{Answer, Request},
    site::Site,
};

/// Carries out one request.
pub async fn handle(_site: &Arc<Site>, _request: Request) -> Answer {
    Answer::empty(http::StatusCode::NOT_IMPLEMENTED)
}
