//! Steps that direct requests and bundle entries share: authorization, preparing and writing a version.
use std::sync::Arc;

use access::{Facts, Identity, Interaction, questionnaire_response, read_access, scope, task, type_rules};
use bytes::Bytes;
use deadpool_postgres::GenericClient;
use fhir::{Format, Resource, datetime, reference};
use messaging::{
    event::ResourceEvent,
    seal::seal,
    subject::{self, Lane},
};
use uuid::Uuid;

use super::{
    binary,
    failure::Failure,
    references,
    written::{How, Written},
};
use crate::{
    identity::directory::Directory,
    site::Site,
    store::{AccessFilter, DataRef, NewEvent, NewVersion, Session, Stored, TokenTest},
};

/// One request or bundle entry at work: who asks, what is known, and a session of the store.
pub(crate) struct Unit<'a, C> {
    /// The site.
    pub(crate) site: &'a Site,
    /// Allow list and process definitions of this moment.
    pub(crate) directory: Arc<Directory>,
    /// Who asks.
    pub(crate) identity: &'a Identity,
    /// Store, inside or outside of a transaction.
    pub(crate) session: &'a Session<C>,
    /// Trace parent to be stored with events.
    pub(crate) trace_parent: Option<&'a str>,
    /// The session is a transaction: what it has written is not in the directory yet.
    pub(crate) transaction: bool,
}

/// Which version is written.
pub(crate) enum Target<'a> {
    /// A new resource with this id.
    New(Uuid),
    /// The version after this one.
    After(&'a Stored, &'a Resource),
}

impl<C: GenericClient> Unit<'_, C> {
    /// Facts for rules.
    pub(crate) fn facts(&self) -> &dyn Facts {
        &self.directory.facts
    }

    /// Logs a denied interaction with the rule, for audit, and gives the contract's failure.
    fn deny(&self, interaction: Interaction, resource_type: &str, reason: &str) -> Failure {
        tracing::info!(
            caller = self.identity.kind(),
            interaction = interaction.word(),
            resource_type,
            reason,
            "denied"
        );
        Failure::forbidden(interaction)
    }

    /// May the caller create this resource? Read tags that will be stored with it.
    pub(crate) async fn authorize_create(&self, resource: &Resource) -> Result<Vec<String>, Failure> {
        let ty = resource.resource_type();
        let interaction = Interaction::Create;
        let decision = match ty {
            "Task" => task::may_create(self.identity, resource, self.facts()),
            "QuestionnaireResponse" => questionnaire_response::may_create(self.identity, resource),
            _ => access::Decision::when(
                self.identity.may(interaction, ty) && self.identity.is_local(),
                "the caller's roles do not include creating this type",
            )
            .and(|| type_rules::complete(resource)),
        };
        if let access::Decision::Deny(reason) = decision {
            return Err(self.deny(interaction, ty, reason));
        }
        let tags = self.read_tags(resource, interaction)?;
        if self.session.taken(&type_rules::unique_keys(resource)).await? {
            return Err(self.deny(interaction, ty, "a resource with the same unique key exists"));
        }
        Ok(tags)
    }

    /// May the caller replace `old` by `new`?
    pub(crate) async fn authorize_update(
        &self,
        old: &Resource,
        new: &Resource,
    ) -> Result<Vec<String>, Failure> {
        let ty = new.resource_type();
        let interaction = Interaction::Update;
        let decision = match ty {
            "Task" => task::may_update(self.identity, old, new, self.facts()),
            "QuestionnaireResponse" => questionnaire_response::may_update(self.identity, old, new),
            _ => access::Decision::when(
                self.identity.may(interaction, ty) && self.identity.is_local(),
                "the caller's roles do not include updating this type",
            )
            .and(|| type_rules::complete(new))
            .and(|| type_rules::unchanged(old, new)),
        };
        if let access::Decision::Deny(reason) = decision {
            return Err(self.deny(interaction, ty, reason));
        }
        let tags = self.read_tags(new, interaction)?;
        let known = type_rules::unique_keys(old);
        let added: Vec<String> =
            type_rules::unique_keys(new).into_iter().filter(|key| !known.contains(key)).collect();
        if self.session.taken(&added).await? {
            return Err(self.deny(interaction, ty, "a resource with the same unique key exists"));
        }
        Ok(tags)
    }

    /// May the caller delete it?
    pub(crate) fn authorize_delete(&self, resource: &Resource) -> Result<(), Failure> {
        let ty = resource.resource_type();
        let decision = match ty {
            "Task" => task::may_delete(self.identity, resource),
            "QuestionnaireResponse" => questionnaire_response::may_delete(self.identity),
            _ => access::Decision::when(
                self.identity.may(Interaction::Delete, ty) && self.identity.is_local(),
                "the caller's roles do not include deleting this type",
            ),
        };
        match decision {
            access::Decision::Allow => Ok(()),
            access::Decision::Deny(reason) => Err(self.deny(Interaction::Delete, ty, reason)),
        }
    }

    /// May the caller read this version?
    pub(crate) fn authorize_read(&self, resource_type: &str, stored: &Stored) -> Result<(), Failure> {
        let denied = |reason: &str| self.deny(Interaction::Read, resource_type, reason);
        match scope::of(self.identity, resource_type, self.facts()) {
            scope::Scope::Everything => Ok(()),
            scope::Scope::Nothing => Err(denied("the caller's roles do not include reading this type")),
            scope::Scope::Tags(grants) => {
                if grants.iter().any(|grant| stored.read_tags.contains(grant)) {
                    Ok(())
                } else {
                    Err(denied("no read-access tag names the caller"))
                }
            }
            scope::Scope::AnyOf(_) | scope::Scope::Authorized => {
                match scope::may_read(self.identity, &parsed(stored)?, &stored.read_tags, self.facts()) {
                    access::Decision::Allow => Ok(()),
                    access::Decision::Deny(reason) => Err(denied(reason)),
                }
            }
        }
    }

    fn read_tags(&self, resource: &Resource, interaction: Interaction) -> Result<Vec<String>, Failure> {
        let ty = resource.resource_type();
        if matches!(ty, "Task" | "QuestionnaireResponse") {
            return Ok(Vec::new());
        }
        if ty == "Binary" && resource.child("securityContext").is_some() {
            if read_access::has_tag(resource) {
                return Err(self.deny(interaction, ty, "both a read-access tag and a security context"));
            }
            return Ok(Vec::new());
        }
        match read_access::tags(resource, self.facts()) {
            Ok(tags) => Ok(tags.iter().map(read_access::ReadTag::text).collect()),
            Err(error) => Err(self.deny(interaction, ty, &error.to_string())),
        }
    }

    /// Profile validation takes its place here (issue 2); until then nothing is refused.
    pub(crate) fn validate(&self, _resource: &Resource) -> Result<(), Failure> {
        Ok(())
    }

    /// Writes a version. References are resolved and checked already.
    pub(crate) async fn write(
        &self,
        resource_type: &'static str,
        mut resource: Resource,
        target: Target<'_>,
        read_tags: Vec<String>,
    ) -> Result<Written, Failure> {
        if resource_type != "Binary" {
            return self.write_version(resource_type, resource, target, read_tags, None).await;
        }
        let sent = resource.child("data").cloned();
        let data = binary::set_aside(self.session, &mut resource).await?;
        let written = self.write_version(resource_type, resource, target, read_tags, data).await;
        let Some(data) = data else { return written };
        match written {
            Ok(mut written) => {
                self.session.keep_upload(data.id).await?;
                // The client gets back what it sent.
                let mut whole = fhir::parse(&written.content, Format::Json)
                    .map_err(|_| Failure::Internal("a stored resource cannot be read"))?;
                if let Some(sent) = sent {
                    whole.push(sent);
                }
                written.content = fhir::to_json(&whole).into();
                Ok(written)
            }
            Err(failure) => {
                // Within a transaction everything is rolled back; else the sweep would come later.
                let _ = self.session.discard_upload(data.id).await;
                Err(failure)
            }
        }
    }

    /// As [`Unit::write`], with data that were written before.
    pub(super) async fn write_version(
        &self,
        resource_type: &'static str,
        mut resource: Resource,
        target: Target<'_>,
        read_tags: Vec<String>,
        data: Option<DataRef>,
    ) -> Result<Written, Failure> {
        let now = datetime::now_millis();
        let (id, version, last_updated, old_keys) = match &target {
            Target::New(id) => (*id, 1, now, Vec::new()),
            // Versions of one resource never go back in time, whatever the clock does.
            Target::After(stored, old) => (
                stored.id,
                stored.version + 1,
                now.max(stored.last_updated + 1),
                type_rules::unique_keys(old),
            ),
        };
        resource.set_id(&id.to_string());
        resource.set_meta(version, &datetime::format(last_updated));
        let (index, keys) = {
            let relative = references::own_relative(&resource, &self.site.base_url);
            (fhir::search::extract(&relative), type_rules::unique_keys(&relative))
        };
        let context = references::security_context(&resource, &self.site.base_url);
        let status = resource.text("status").map(str::to_owned);
        let lane = match fhir::task::Task::of(&resource).and_then(|task| task.business_key()) {
            Some(_) => Lane::Keyed,
            None => Lane::New,
        };
        reference::clean(&mut resource);
        let content = Bytes::from(fhir::to_json(&resource));
        let written = Written {
            resource_type,
            id,
            version,
            last_updated,
            how: if version == 1 { How::Created } else { How::Updated },
            content: content.clone(),
            resource_status: status,
        };
        let new = NewVersion {
            resource_type,
            id,
            version,
            last_updated,
            content: content.to_vec(),
            index,
            read_tags,
            context,
            data,
            keys_removed: old_keys.iter().filter(|key| !keys.contains(key)).cloned().collect(),
            keys_added: keys.into_iter().filter(|key| !old_keys.contains(key)).collect(),
            events: self.outbox_events(&written, lane)?,
        };
        self.session.write(&new).await?;
        Ok(written)
    }

    /// Events for the router: Tasks that wait to be taken up.
    fn outbox_events(&self, written: &Written, lane: Lane) -> Result<Vec<NewEvent>, Failure> {
        if written.resource_type != "Task" || written.resource_status.as_deref() != Some("requested") {
            return Ok(Vec::new());
        }
        let Some(event) = written.event() else { return Ok(Vec::new()) };
        let payload =
            seal::<ResourceEvent>(&event).map_err(|_| Failure::Internal("the event cannot be written"))?;
        Ok(vec![NewEvent {
            subject: subject::event("Task", Some("requested"), lane),
            payload,
            traceparent: self.trace_parent.map(str::to_owned),
        }])
    }

    /// What the caller may see of a type, as a filter of searches. `None`: rights are decided per
    /// resource in memory.
    pub(crate) fn filter(&self, resource_type: &str) -> Option<AccessFilter> {
        match scope::of(self.identity, resource_type, self.facts()) {
            scope::Scope::Everything => Some(AccessFilter::Everything),
            scope::Scope::Nothing => Some(AccessFilter::Nothing),
            scope::Scope::Tags(tags) => Some(AccessFilter::Tags(tags)),
            scope::Scope::AnyOf(conditions) => Some(AccessFilter::AnyOf(
                conditions
                    .into_iter()
                    .map(|condition| TokenTest {
                        parameter: condition.parameter.to_owned(),
                        system: condition.system.map(str::to_owned),
                        values: condition.values,
                        and: condition.and.map(|(key, code)| (key.to_owned(), code.to_owned())),
                    })
                    .collect(),
            )),
            scope::Scope::Authorized => None,
        }
    }
}

/// A stored version as a resource.
pub(crate) fn parsed(stored: &Stored) -> Result<Resource, Failure> {
    fhir::parse(&stored.content, Format::Json)
        .map_err(|_| Failure::Internal("a stored resource cannot be read"))
}

/// The id of a path or reference; resources of ours have UUIDs only.
pub(crate) fn uuid(id: &str) -> Option<Uuid> {
    // The parser also takes forms without hyphens, which are no ids of ours.
    (id.len() == 36).then(|| Uuid::parse_str(id).ok()).flatten()
}

/// A [`Failure::Gone`] for a deleted resource.
pub(crate) fn gone(stored: &Stored, deleted: i64) -> Failure {
    Failure::Gone { id: stored.id.to_string(), version: stored.version + 1, deleted }
}
