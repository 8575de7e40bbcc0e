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
    references::{self, Verified},
    written::{How, Written},
};
use crate::{
    audit::Permit,
    exchange::{Request, TYPES},
    identity::directory::Directory,
    site::Site,
    store::{AccessFilter, DataRef, NewEvent, NewVersion, Session, Stored, WriteError},
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
    /// References to other sites that were found there.
    pub(crate) verified: Verified,
}

/// Which version is written.
pub(crate) enum Target<'a> {
    /// A new resource.
    New {
        /// Its id.
        id: Uuid,
        /// What a conditional create takes with it ([`super::create::Reserved`]).
        once: Option<String>,
    },
    /// The version after this one.
    After(&'a Stored, &'a Resource),
}

impl<'a, C: GenericClient> Unit<'a, C> {
    /// For a direct request: every write commits by itself.
    pub(crate) fn direct(site: &'a Site, request: &'a Request, session: &'a Session<C>) -> Self {
        Self {
            site,
            directory: site.directory(),
            identity: &request.identity,
            session,
            trace_parent: request.trace_parent.as_deref(),
            transaction: false,
            verified: Verified::default(),
        }
    }

    /// Facts for rules.
    pub(crate) fn facts(&self) -> &dyn Facts {
        &self.directory.facts
    }

    /// Records a denied interaction with the rule and gives the contract's failure.
    pub(crate) fn deny(
        &self,
        interaction: Interaction,
        resource_type: &str,
        id: Option<String>,
        reason: &str,
    ) -> Failure {
        tracing::info!(
            caller = self.identity.kind(),
            interaction = interaction.word(),
            resource_type,
            reason,
            "denied"
        );
        let ty = TYPES.into_iter().find(|known| *known == resource_type);
        self.site.audit.decided(self.identity, interaction, ty, id, Err(reason));
        Failure::forbidden(interaction)
    }

    /// Records an allowed interaction that changes nothing.
    pub(crate) fn allow(&self, interaction: Interaction, resource_type: &'static str, id: Option<String>) {
        self.site.audit.decided(self.identity, interaction, Some(resource_type), id, Ok(()));
    }

    /// The right to write or remove; recorded with the deed.
    fn permit(
        &self,
        interaction: Interaction,
        resource: &Resource,
        read_tags: Vec<String>,
    ) -> Result<Permit, Failure> {
        let ty = TYPES
            .into_iter()
            .find(|known| *known == resource.resource_type())
            .ok_or(Failure::Internal("a type that is not served"))?;
        let id = (interaction != Interaction::Create).then(|| resource.id().map(str::to_owned)).flatten();
        Ok(self.site.audit.permit(self.identity, interaction, ty, id, read_tags))
    }

    /// Stores the event of a removal ahead of it; a transaction queues it, as it may be rolled back.
    pub(crate) async fn record_first(&self, mut permit: Permit, stored: &Stored) -> Result<(), Failure> {
        if !self.transaction
            && let Some(event) = permit.event(stored.id, stored.version)
        {
            self.session.audit(&event).await?;
            permit.stored();
        }
        Ok(())
    }

    /// May the caller create this resource? Read tags that will be stored with it.
    pub(crate) async fn authorize_create(&self, resource: &Resource) -> Result<Permit, Failure> {
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
            return Err(self.deny(interaction, ty, None, reason));
        }
        let tags = self.read_tags(resource, interaction)?;
        if self.session.taken(&type_rules::unique_keys(resource)).await? {
            return Err(self.deny(interaction, ty, None, "a resource with the same unique key exists"));
        }
        self.permit(interaction, resource, tags)
    }

    /// May the caller replace `old` by `new`?
    pub(crate) async fn authorize_update(&self, old: &Resource, new: &Resource) -> Result<Permit, Failure> {
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
            return Err(self.deny(interaction, ty, id(old), reason));
        }
        let tags = self.read_tags(new, interaction)?;
        let known = type_rules::unique_keys(old);
        let added: Vec<String> =
            type_rules::unique_keys(new).into_iter().filter(|key| !known.contains(key)).collect();
        if self.session.taken(&added).await? {
            return Err(self.deny(interaction, ty, id(old), "a resource with the same unique key exists"));
        }
        self.permit(interaction, old, tags)
    }

    /// May the caller delete it?
    pub(crate) fn authorize_delete(&self, resource: &Resource) -> Result<Permit, Failure> {
        match self.may_delete(resource) {
            access::Decision::Allow => self.permit(Interaction::Delete, resource, Vec::new()),
            access::Decision::Deny(reason) => {
                Err(self.deny(Interaction::Delete, resource.resource_type(), id(resource), reason))
            }
        }
    }

    fn may_delete(&self, resource: &Resource) -> access::Decision {
        let ty = resource.resource_type();
        match ty {
            "Task" => task::may_delete(self.identity, resource),
            "QuestionnaireResponse" => questionnaire_response::may_delete(self.identity),
            _ => access::Decision::when(
                self.identity.may(Interaction::Delete, ty) && self.identity.is_local(),
                "the caller's roles do not include deleting this type",
            ),
        }
    }

    /// May the caller remove all versions of it?
    pub(crate) fn authorize_permanent_delete(&self, resource: &Resource) -> Result<Permit, Failure> {
        let ty = resource.resource_type();
        let interaction = Interaction::PermanentDelete;
        let decision = access::Decision::when(
            self.identity.may(interaction, ty),
            "the caller's roles do not include deleting this type permanently",
        )
        .and(|| self.may_delete(resource));
        match decision {
            access::Decision::Allow => self.permit(interaction, resource, Vec::new()),
            access::Decision::Deny(reason) => Err(self.deny(interaction, ty, id(resource), reason)),
        }
    }

    /// May the caller read this version?
    pub(crate) fn authorize_read(&self, resource_type: &'static str, stored: &Stored) -> Result<(), Failure> {
        let id = Some(stored.id.to_string());
        match scope::may_read(self.identity, resource_type, &stored.read_tags, self.facts()) {
            access::Decision::Allow => {
                self.allow(Interaction::Read, resource_type, id);
                Ok(())
            }
            access::Decision::Deny(reason) => Err(self.deny(Interaction::Read, resource_type, id, reason)),
        }
    }

    fn read_tags(&self, resource: &Resource, interaction: Interaction) -> Result<Vec<String>, Failure> {
        let ty = resource.resource_type();
        if ty == "Binary" && resource.child("securityContext").is_some() {
            if read_access::has_tag(resource) {
                return Err(self.deny(
                    interaction,
                    ty,
                    None,
                    "both a read-access tag and a security context",
                ));
            }
            return Ok(Vec::new());
        }
        match scope::tags(resource, self.facts()) {
            Ok(tags) => Ok(tags),
            Err(error) => Err(self.deny(interaction, ty, None, &error.to_string())),
        }
    }

    /// Writes a version. References are resolved and checked already.
    pub(crate) async fn write(
        &self,
        resource_type: &'static str,
        mut resource: Resource,
        target: Target<'_>,
        permit: Permit,
    ) -> Result<Written, Failure> {
        if resource_type != "Binary" {
            return self.write_version(resource_type, resource, target, permit, None).await;
        }
        let sent = resource.child("data").cloned();
        let data = binary::set_aside(self.session, &mut resource).await?;
        let written = self.write_version(resource_type, resource, target, permit, data).await;
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
        mut target: Target<'_>,
        mut permit: Permit,
        data: Option<DataRef>,
    ) -> Result<Written, Failure> {
        let now = datetime::now_millis();
        let (id, version, last_updated, old_keys) = match &target {
            Target::New { id, .. } => (*id, 1, now, Vec::new()),
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
            notes: Vec::new(),
        };
        let once = match &mut target {
            Target::New { once, .. } => once.take(),
            Target::After(..) => None,
        };
        let conditional = once.is_some();
        let new = NewVersion {
            resource_type,
            id,
            version,
            last_updated,
            content: content.to_vec(),
            index,
            read_tags: std::mem::take(&mut permit.read_tags),
            context,
            data,
            keys_removed: old_keys.iter().filter(|key| !keys.contains(key)).cloned().collect(),
            keys_added: keys.into_iter().filter(|key| !old_keys.contains(key)).chain(once).collect(),
            events: self.outbox_events(&written, lane)?,
        };
        let event = permit.event(id, version);
        let done = if self.transaction {
            // Queued instead: a decision stays one when the transaction is rolled back.
            self.session.write(&new).await
        } else {
            let done = self.session.write_audited(&new, event.as_deref()).await;
            if done.is_ok() {
                permit.stored();
            }
            done
        };
        match done {
            Err(WriteError::Duplicate) if conditional => Err(Failure::Raced),
            done => Ok(done.map(|()| written)?),
        }
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

    /// What the caller may see of a type, as a filter of searches.
    pub(crate) fn filter(&self, resource_type: &str) -> AccessFilter {
        scope::of(self.identity, resource_type, self.facts())
    }
}

fn id(resource: &Resource) -> Option<String> {
    resource.id().map(str::to_owned)
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
