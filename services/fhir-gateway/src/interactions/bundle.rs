//! Batch and transaction (fhir-endpoint contract 1.11).
use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use deadpool_postgres::GenericClient;
use fhir::{Format, Resource, bundle};
use http::StatusCode;
use messaging::event::ResourceEvent;
use uuid::Uuid;

use super::{
    body,
    bundle_entry::{self, Action, Planned},
    create::{MAX_RACES, Reserved},
    delete,
    failure::Failure,
    references::{Verified, absolute_urls, replace_references},
    search::split_query,
    unit::{Target, Unit, gone, uuid},
    update::keeps_status,
    written::Written,
};
use crate::{
    data::Embedding,
    exchange::{Answer, Prefer, Request},
    identity::directory::Change,
    site::Site,
    store::WATCHED,
};

/// `POST /`
pub(super) async fn direct(site: &Site, request: &Request) -> Result<Answer, Failure> {
    let bundle = body(site, request, "Bundle")?;
    let json = match bundle.text("type") {
        Some("transaction") => {
            transaction(site, &request.identity, &bundle, request.prefer, request.trace_parent.as_deref())
                .await?
        }
        Some("batch") => batch(site, request, &bundle).await?,
        _ => return Err(Failure::Forbidden("bundle")),
    };
    Ok(Answer::stored(StatusCode::OK, Bytes::from(json)))
}

/// Executes a transaction as an identity, outside of a request; for initial data.
pub(crate) async fn execute_transaction(
    site: &Site,
    identity: &access::Identity,
    bundle: &Resource,
) -> Result<(), Failure> {
    transaction(site, identity, bundle, Prefer::default(), None).await.map(drop)
}

/// Carries out a transaction. Where it refers to other sites it is rolled back, they are asked, and it
/// begins again: no transaction is open while a partner thinks.
async fn transaction(
    site: &Site,
    identity: &access::Identity,
    bundle: &Resource,
    prefer: Prefer,
    trace_parent: Option<&str>,
) -> Result<String, Failure> {
    let mut verified = Verified::default();
    let mut races = 0;
    loop {
        match transaction_once(site, identity, bundle, (prefer, trace_parent), &verified).await {
            Err(Failure::Unverified(pending)) => verified.ask(site, pending).await?,
            Err(Failure::Raced) if races < MAX_RACES => races += 1,
            other => return other,
        }
    }
}

fn plan(site: &Site, bundle: &Resource) -> Result<Vec<Planned>, Failure> {
    let mut planned = Vec::new();
    for (index, entry) in bundle::entries(bundle).enumerate() {
        if index >= site.limits.max_bundle_entries {
            return Err(Failure::TooLarge(format!(
                "a bundle may have {} entries: send several",
                site.limits.max_bundle_entries
            )));
        }
        planned.push(bundle_entry::plan(index, entry)?);
    }
    Ok(planned)
}

fn response(kind: &str, mut entries: Vec<(usize, String)>) -> String {
    entries.sort_by_key(|(index, _)| *index);
    let entries: Vec<String> = entries.into_iter().map(|(_, entry)| entry).collect();
    match entries.is_empty() {
        true => format!(r#"{{"resourceType":"Bundle","type":"{kind}"}}"#),
        false => format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entries.join(",")),
    }
}

async fn batch(site: &Site, request: &Request, bundle: &Resource) -> Result<String, Failure> {
    let mut planned = plan(site, bundle)?;
    planned.sort_by(|left, right| {
        rank(&left.action).cmp(&rank(&right.action)).then(left.index.cmp(&right.index))
    });
    let mut references = HashMap::new();
    let mut responses = Vec::new();
    let mut embedding = Embedding::default();
    for entry in planned {
        // Each entry sees the allow list as the entries before it have left it.
        site.directory.fresh(&site.store).await?;
        let (index, ty) = (entry.index, entry.action.resource_type());
        let mut verified = Verified::default();
        let mut races = 0;
        let done = loop {
            let done = async {
                bundle_entry::check_ids(site, &entry)?;
                let session = site.store.session().await?;
                let unit = Unit { verified: verified.clone(), ..Unit::direct(site, request, &session) };
                unit.entry(entry.clone(), request.prefer, &mut references, None, &mut embedding).await
            }
            .await;
            match done {
                Err(Failure::Unverified(pending)) => match verified.ask(site, pending).await {
                    Ok(()) => {}
                    Err(failure) => break Err(failure),
                },
                Err(Failure::Raced) if races < MAX_RACES => races += 1,
                done => break done,
            }
        };
        let json = match done {
            Ok(done) => {
                site.changes.committed(done.events);
                done.json
            }
            Err(Failure::Database(error)) => return Err(Failure::Database(error)),
            Err(failure) => bundle_entry::status(failure.status(), failure.outcome(ty).as_ref()),
        };
        responses.push((index, json));
    }
    Ok(response("batch-response", responses))
}

async fn transaction_once(
    site: &Site,
    identity: &access::Identity,
    bundle: &Resource,
    (prefer, trace_parent): (Prefer, Option<&str>),
    verified: &Verified,
) -> Result<String, Failure> {
    let mut planned = plan(site, bundle)?;
    for entry in &planned {
        bundle_entry::check_ids(site, entry)?;
    }
    planned.sort_by(|left, right| {
        rank(&left.action).cmp(&rank(&right.action)).then(left.index.cmp(&right.index))
    });
    let mut connection = site.store.session().await?;
    let session = connection.begin().await?;
    let mut unit = Unit {
        site,
        directory: site.directory(),
        identity,
        session: &session,
        trace_parent,
        transaction: true,
        verified: verified.clone(),
    };
    let mut references = HashMap::new();
    let mut new_ids = HashMap::new();
    let mut responses = Vec::new();
    let mut events = Vec::new();
    let mut embedding = Embedding::default();
    let mut checks = Vec::new();
    let mut changes: Vec<Change> = Vec::new();
    let (mut writes, reads): (Vec<Planned>, Vec<Planned>) = planned
        .into_iter()
        .partition(|entry| !matches!(entry.action, Action::Read { .. } | Action::Search { .. }));
    let whole = |failure: Failure, index: usize, ty: &str| -> Failure { refuse(failure, index, ty) };
    // Every temporary id is known before the first write, so that entries may refer to later ones.
    for entry in &writes {
        let ty = entry.action.resource_type();
        unit.assign(entry, &mut references, &mut new_ids)
            .await
            .map_err(|failure| whole(failure, entry.index, ty))?;
    }
    for entry in writes.drain(..) {
        let (index, ty) = (entry.index, entry.action.resource_type());
        let new_id = new_ids.get(&index).copied();
        if entry.resource.as_ref().is_some_and(|resource| asks_the_directory(resource, &changes)) {
            unit.see(&mut changes);
        }
        let done = unit
            .entry(entry, prefer, &mut references, Some(new_id), &mut embedding)
            .await
            .map_err(|failure| whole(failure, index, ty))?;
        changes.extend(done.change);
        events.extend(done.events);
        checks.extend(done.unchecked.map(|resource| (index, ty, resource)));
        responses.push((index, done.json));
    }
    unit.see(&mut changes);
    let mut unverified = Vec::new();
    for (index, ty, resource) in checks {
        match unit.check_references(&resource).await {
            Err(Failure::Unverified(pending)) => unverified.extend(pending),
            other => other.map_err(|failure| whole(failure, index, ty))?,
        }
    }
    if !unverified.is_empty() {
        return Err(Failure::Unverified(unverified));
    }
    for entry in reads {
        let (index, ty) = (entry.index, entry.action.resource_type());
        let json = match unit.entry(entry, prefer, &mut references, Some(None), &mut embedding).await {
            Ok(done) => done.json,
            // What is not there is told in the entry; the bundle is still carried out.
            Err(failure @ (Failure::NotFound | Failure::NotFoundOutcome(_) | Failure::Gone { .. })) => {
                bundle_entry::status(failure.status(), failure.outcome(ty).as_ref())
            }
            Err(failure) => return Err(whole(failure, index, ty)),
        };
        responses.push((index, json));
    }
    session.commit().await?;
    site.changes.committed(events);
    Ok(response("transaction-response", responses))
}

/// In a transaction everything but 403 and server errors becomes 400 (contract 1.11).
fn refuse(failure: Failure, index: usize, ty: &str) -> Failure {
    if matches!(failure, Failure::Raced) {
        return failure;
    }
    if keeps_status(failure.status()) {
        return match failure {
            Failure::Invalid(text) => Failure::Invalid(format!("{text}, at bundle index {index}")),
            other => other,
        };
    }
    let text = failure
        .outcome(ty)
        .and_then(|outcome| outcome.text("issue.diagnostics").map(str::to_owned))
        .unwrap_or_else(|| failure.status().to_string());
    Failure::BadRequest(format!("{text}, at bundle index {index}"))
}

/// Whether rules about a resource need more of the directory than the changes of a usual allow list
/// leave as it was: what a tag names, and everything about a process. A new state of the directory is made
/// only then, so that an allow list costs no more than its entries.
fn asks_the_directory(resource: &Resource, changes: &[Change]) -> bool {
    const MEMBERS: [&str; 3] = ["Organization", "Endpoint", "OrganizationAffiliation"];
    !changes.is_empty()
        && (!MEMBERS.contains(&resource.resource_type())
            || changes.iter().any(|change| !MEMBERS.contains(&change.resource_type))
            || resource
                .at("meta.tag.code")
                .iter()
                .any(|code| matches!(code.value(), Some("ORGANIZATION" | "ROLE"))))
}

/// How an entry creates.
struct New {
    /// The id that other entries know it by.
    id: Option<Uuid>,
    /// Key to write with it, where the create is conditional.
    once: Option<String>,
    in_transaction: bool,
}

/// DELETE, POST, PUT, GET.
fn rank(action: &Action) -> u8 {
    match action {
        Action::Delete { .. } | Action::ConditionalDelete { .. } => 0,
        Action::Create { .. } => 1,
        Action::Update { .. } | Action::ConditionalUpdate { .. } => 2,
        Action::Read { .. } | Action::Search { .. } => 3,
    }
}

/// A finished entry.
struct Done {
    json: String,
    events: Vec<ResourceEvent>,
    /// What it changes of the directory.
    change: Option<Change>,
    /// Its literal references are still to be checked.
    unchecked: Option<Resource>,
}

impl Done {
    fn answer(json: String) -> Self {
        Self { json, events: Vec::new(), change: None, unchecked: None }
    }
}

impl<C: GenericClient> Unit<'_, C> {
    /// From here on the rules see what the transaction has written.
    fn see(&mut self, changes: &mut Vec<Change>) {
        if !changes.is_empty() {
            let changes = std::mem::take(changes);
            self.directory = Arc::new(self.site.directory.with(&self.directory, changes));
        }
    }

    /// Decides the id behind the temporary id of an entry of a transaction.
    async fn assign(
        &self,
        entry: &Planned,
        references: &mut HashMap<String, String>,
        new_ids: &mut HashMap<usize, Uuid>,
    ) -> Result<(), Failure> {
        let Some(full_url) = entry.full_url.clone() else { return Ok(()) };
        let ty = entry.action.resource_type();
        let id = match &entry.action {
            Action::Create { if_none_exist, .. } => {
                match self.existing(ty, if_none_exist.as_deref()).await? {
                    Some(existing) => existing.id,
                    None => *new_ids.entry(entry.index).or_insert_with(Uuid::new_v4),
                }
            }
            Action::ConditionalUpdate { query, .. } => match self.condition_target(ty, query, None).await? {
                Some(id) => id,
                None => *new_ids.entry(entry.index).or_insert_with(Uuid::new_v4),
            },
            _ => return Ok(()),
        };
        references.insert(full_url, format!("{ty}/{id}"));
        Ok(())
    }

    /// Carries out one entry. `transaction` holds the id a new resource gets and defers reference
    /// checks; without it the entry stands alone.
    async fn entry(
        &self,
        entry: Planned,
        prefer: Prefer,
        references: &mut HashMap<String, String>,
        transaction: Option<Option<Uuid>>,
        embedding: &mut Embedding,
    ) -> Result<Done, Failure> {
        let Planned { full_url, resource, action, if_match, if_none_match, if_modified_since, .. } = entry;
        let ty = action.resource_type();
        match action {
            Action::Delete { id, .. } => {
                let id = uuid(&id).ok_or(Failure::NotFound)?;
                self.entry_delete(ty, id).await
            }
            Action::ConditionalDelete { query, .. } => match self.condition_delete(ty, &query).await? {
                None => Ok(Done::answer(bundle_entry::status(StatusCode::NO_CONTENT, None))),
                Some(id) => self.entry_delete(ty, id).await,
            },
            Action::Create { if_none_exist, .. } => {
                let resource = self.entry_resource(resource, references).await?;
                match self.reserve(ty, if_none_exist.as_deref()).await? {
                    Reserved::Existed(existing) => {
                        Ok(self.wrote(existing, full_url, None, prefer, references))
                    }
                    Reserved::Free(once) => {
                        let id = transaction.flatten();
                        let new = New { id, once, in_transaction: transaction.is_some() };
                        self.entry_create(ty, resource, full_url, prefer, references, new).await
                    }
                }
            }
            Action::Update { id, .. } => {
                let id = uuid(&id).ok_or(Failure::UpdateAsCreate)?;
                let resource = self.entry_resource(resource, references).await?;
                let unchecked = self.deferred(ty, &resource, transaction.is_some());
                let written = self.update(ty, id, resource, if_match, transaction.is_none()).await?;
                Ok(self.wrote(written, full_url, unchecked, prefer, references))
            }
            Action::ConditionalUpdate { query, .. } => {
                let mut resource = self.entry_resource(resource, references).await?;
                resource.remove("id");
                match self.condition_target(ty, &query, None).await? {
                    Some(id) => {
                        resource.set_id(&id.to_string());
                        let unchecked = self.deferred(ty, &resource, transaction.is_some());
                        let written = self.update(ty, id, resource, if_match, transaction.is_none()).await?;
                        Ok(self.wrote(written, full_url, unchecked, prefer, references))
                    }
                    None => {
                        let new = New {
                            id: transaction.flatten(),
                            once: None,
                            in_transaction: transaction.is_some(),
                        };
                        self.entry_create(ty, resource, full_url, prefer, references, new).await
                    }
                }
            }
            Action::Read { id, version, head, .. } => {
                let known = (if_none_match, if_modified_since);
                self.entry_read(ty, &id, version.as_deref(), head, known, embedding).await
            }
            Action::Search { query, head, .. } => {
                let found = self.search(ty, &split_query(&query), prefer.handling, embedding).await?;
                let json = match found.only {
                    Some(stored) => {
                        let url = format!("{}/{ty}/{}", self.site.base_url, stored.id);
                        bundle_entry::found(
                            &url,
                            &stored.content,
                            Some((stored.version, stored.last_updated)),
                            head,
                        )
                    }
                    None => bundle_entry::found(&bundle_entry::temporary_url(), &found.json, None, head),
                };
                Ok(Done::answer(json))
            }
        }
    }

    async fn entry_delete(&self, ty: &'static str, id: Uuid) -> Result<Done, Failure> {
        let events = self.delete(ty, id).await?;
        let json = bundle_entry::status(StatusCode::OK, Some(&delete::outcome(ty)));
        let change =
            WATCHED.contains(&ty).then(|| Change { resource_type: ty, id: id.to_string(), resource: None });
        Ok(Done { json, events, change, unchecked: None })
    }

    /// The resource of an entry with its temporary and conditional references resolved.
    async fn entry_resource(
        &self,
        resource: Option<Resource>,
        references: &HashMap<String, String>,
    ) -> Result<Resource, Failure> {
        let mut resource = resource.ok_or(Failure::Internal("an entry lost its resource"))?;
        replace_references(&mut resource, references, &self.site.base_url);
        absolute_urls(&mut resource, &self.site.base_url);
        self.resolve_conditional(&mut resource).await?;
        Ok(resource)
    }

    /// A copy for the check after all writes, unless the Task is on its way to `failed`.
    fn deferred(&self, ty: &str, resource: &Resource, transaction: bool) -> Option<Resource> {
        let failing = ty == "Task" && resource.text("status") == Some("failed");
        (transaction && !failing).then(|| resource.clone())
    }

    async fn entry_create(
        &self,
        ty: &'static str,
        mut resource: Resource,
        full_url: Option<String>,
        prefer: Prefer,
        references: &mut HashMap<String, String>,
        new: New,
    ) -> Result<Done, Failure> {
        // Inside a bundle validation and logical references come before authorization.
        let notes = self.validate(&mut resource).await?;
        self.resolve_logical(&mut resource).await?;
        let tags = self.authorize_create(&resource).await?;
        let unchecked = self.deferred(ty, &resource, new.in_transaction);
        if !new.in_transaction {
            self.check_references(&resource).await?;
        }
        let target = Target::New { id: new.id.unwrap_or_else(Uuid::new_v4), once: new.once };
        let written = self.write(ty, resource, target, tags).await?;
        let written = Written { notes, ..written };
        Ok(self.wrote(written, full_url, unchecked, prefer, references))
    }

    fn wrote(
        &self,
        written: Written,
        full_url: Option<String>,
        unchecked: Option<Resource>,
        prefer: Prefer,
        references: &mut HashMap<String, String>,
    ) -> Done {
        if let Some(full_url) = full_url {
            references.insert(full_url, format!("{}/{}", written.resource_type, written.id));
        }
        let (ty, id) = (written.resource_type, written.id.to_string());
        // What was there before has no content here, and changes nothing.
        let resource = match WATCHED.contains(&ty) {
            true => fhir::parse(&written.content, Format::Json).ok().map(Arc::new),
            false => None,
        };
        let change = resource.map(|resource| Change { resource_type: ty, id, resource: Some(resource) });
        Done {
            json: bundle_entry::written(self.site, &written, prefer.returns),
            events: written.event().into_iter().collect(),
            change,
            unchecked,
        }
    }

    async fn entry_read(
        &self,
        ty: &'static str,
        id: &str,
        version: Option<&str>,
        head: bool,
        known: (Option<u64>, Option<i64>),
        embedding: &mut Embedding,
    ) -> Result<Done, Failure> {
        let id = uuid(id).ok_or(Failure::NotFound)?;
        let current = self.session.read(ty, id).await?.ok_or(Failure::NotFound)?;
        let mut stored = match version {
            None => match current.deleted {
                Some(deleted) => return Err(gone(&current, deleted)),
                None => current,
            },
            Some(version) => {
                let version: u64 = version.parse().map_err(|_| Failure::NotFound)?;
                match (self.session.vread(ty, id, version).await?, current.deleted) {
                    (Some(stored), _) => stored,
                    (None, Some(deleted)) if current.version + 1 == version => {
                        return Err(gone(&current, deleted));
                    }
                    (None, _) => return Err(Failure::NotFound),
                }
            }
        };
        self.authorize_read(ty, &stored)?;
        let not_modified = match known {
            (Some(version), _) => version == stored.version,
            // Whole seconds, as in the header.
            (None, Some(since)) => stored.last_updated.div_euclid(1000) <= since.div_euclid(1000),
            (None, None) => false,
        };
        if not_modified {
            return Ok(Done::answer(bundle_entry::status(StatusCode::NOT_MODIFIED, None)));
        }
        if !head {
            embedding.fill(self.session, &mut stored.content, stored.data).await?;
        }
        let url = format!("{}/{ty}/{id}", self.site.base_url);
        let json =
            bundle_entry::found(&url, &stored.content, Some((stored.version, stored.last_updated)), head);
        Ok(Done::answer(json))
    }
}
