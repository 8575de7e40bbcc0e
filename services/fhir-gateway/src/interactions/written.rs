//! What a write left behind, and the answers to it.
use bytes::Bytes;
use fhir::outcome::{Issue, Severity};
use http::StatusCode;
use messaging::event::ResourceEvent;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    exchange::{Answer, Return},
    site::Site,
};

/// A version that was written, or found by `If-None-Exist`.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// Type name.
    pub(crate) resource_type: &'static str,
    /// Logical id.
    pub(crate) id: Uuid,
    /// Version.
    pub(crate) version: u64,
    /// Milliseconds since 1970.
    pub(crate) last_updated: i64,
    /// How it came to be.
    pub(crate) how: How,
    /// The version as clients see it, compact JSON; empty for [`How::Existed`].
    pub(crate) content: Bytes,
    /// `status` of the version.
    pub(crate) resource_status: Option<String>,
    /// Warnings and remarks of the validation.
    pub(crate) notes: Vec<Issue>,
}

/// How a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Created.
    Created,
    /// Updated.
    Updated,
    /// There before: `If-None-Exist` found it.
    Existed,
}

impl Written {
    /// `BASE/Type/id/_history/version`
    pub(crate) fn location(&self, site: &Site) -> String {
        format!("{}/_history/{}", self.full_url(site), self.version)
    }

    /// `BASE/Type/id`
    pub(crate) fn full_url(&self, site: &Site) -> String {
        format!("{}/{}/{}", site.base_url, self.resource_type, self.id)
    }

    /// The event to tell of it; none for what was there before.
    pub(crate) fn event(&self) -> Option<ResourceEvent> {
        (self.how != How::Existed).then(|| ResourceEvent {
            resource_type: self.resource_type.to_owned(),
            id: self.id.to_string(),
            version: self.version,
            status: self.resource_status.clone(),
            deleted: false,
        })
    }

    /// The OperationOutcome for `Prefer: return=OperationOutcome`, or for what was there before.
    pub(crate) fn outcome(&self, site: &Site) -> fhir::Resource {
        let (code, text) = match self.how {
            How::Created => {
                ("informational", format!("Resource created at location '{}'", self.location(site)))
            }
            How::Updated => {
                ("informational", format!("Resource updated at location '{}'", self.location(site)))
            }
            How::Existed => ("duplicate", "Resource already exists".to_owned()),
        };
        let issue = Issue::new(Severity::Information, code, &text);
        fhir::outcome::many(std::iter::once(&issue).chain(&self.notes))
    }

    /// The answer to a direct request.
    pub(crate) fn answer(&self, site: &Site, returns: Return) -> Answer {
        let status = if self.how == How::Created { StatusCode::CREATED } else { StatusCode::OK };
        let mut answer = match (self.how, returns) {
            (How::Existed, _) | (_, Return::OperationOutcome) => Answer::resource(status, self.outcome(site)),
            (_, Return::Minimal) => Answer::empty(status),
            (_, Return::Representation) => Answer::stored(status, self.content.clone()),
        };
        answer.version = Some(self.version);
        answer.last_modified = OffsetDateTime::from_unix_timestamp(self.last_updated.div_euclid(1000)).ok();
        answer.location = Some(self.location(site));
        answer
    }
}
