//! Snapshot of the allow list: everything that decides who a certificate is and what holds about it.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use access::Identity;
use arc_swap::ArcSwap;
use fhir::{Format, Resource};
use tokio::sync::watch;

use super::facts::{self, SnapshotFacts};
use crate::{
    freshness::Freshness,
    store::{Store, WATCHED},
    websocket::Subscription,
};

/// One snapshot. Replaced as a whole when a resource it was made from changes.
#[derive(Default)]
pub struct Directory {
    resources: Resources,
    /// What follows from them; `access::Facts` is implemented on it.
    pub facts: SnapshotFacts,
    /// Organizations by the thumbprint of their certificate.
    holders: HashMap<String, Holder>,
    /// Active WebSocket Subscriptions.
    pub subscriptions: Vec<Arc<Subscription>>,
}

/// Current resources by type.
pub(super) type Resources = BTreeMap<&'static str, Arc<Vec<Arc<Resource>>>>;

/// A write of a transaction that is not committed yet.
pub struct Change {
    /// One of the watched types.
    pub resource_type: &'static str,
    /// Logical id.
    pub id: String,
    /// The new version; none where it was deleted.
    pub resource: Option<Arc<Resource>>,
}

/// Who holds a certificate.
pub enum Holder {
    /// An active organization.
    Organization(Arc<Identity>),
    /// Two organizations claim it: nobody is trusted.
    Ambiguous,
}

impl Directory {
    fn build(resources: Resources, own: &Own) -> Self {
        let facts = SnapshotFacts::of(&resources, &own.organization);
        let mut holders = HashMap::new();
        for organization in all(&resources, "Organization") {
            let Some(identifier) = facts::active_organization(organization) else { continue };
            let thumbprints: BTreeSet<String> = facts::thumbprints(organization).collect();
            for thumbprint in thumbprints {
                let local = identifier == own.organization;
                let endpoint =
                    facts::endpoint_of(&resources, organization, &thumbprint, local, &own.base_url);
                let identity = Identity::Organization(access::Organization {
                    identifier: identifier.to_owned(),
                    id: organization.id().unwrap_or_default().to_owned(),
                    local,
                    endpoint,
                });
                holders
                    .entry(thumbprint)
                    .and_modify(|holder| *holder = Holder::Ambiguous)
                    .or_insert_with(|| Holder::Organization(Arc::new(identity)));
            }
        }
        let subscriptions = all(&resources, "Subscription")
            .iter()
            .filter_map(|found| Subscription::read(found))
            .map(Arc::new)
            .collect();
        Self { resources, facts, holders, subscriptions }
    }

    /// All current resources of one of the watched types.
    pub fn all(&self, resource_type: &str) -> &[Arc<Resource>] {
        all(&self.resources, resource_type)
    }

    /// Whether there is an active WebSocket Subscription with this id.
    pub fn has_subscription(&self, id: &str) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.id == id)
    }

    /// The active organization that a certificate belongs to.
    pub fn holder(&self, thumbprint: &str) -> Option<&Holder> {
        self.holders.get(thumbprint)
    }
}

pub(super) fn all<'a>(resources: &'a Resources, resource_type: &str) -> &'a [Arc<Resource>] {
    resources.get(resource_type).map_or(&[], |all| all.as_slice())
}

/// What a snapshot is seen from.
struct Own {
    organization: String,
    base_url: String,
}

/// The snapshot and what is known of its age.
pub struct DirectoryCache {
    own: Own,
    snapshot: ArcSwap<Directory>,
    freshness: Freshness,
    generation: watch::Sender<u64>,
}

impl DirectoryCache {
    /// Empty until the first [`DirectoryCache::fresh`]. `organization` is the local identifier value.
    pub fn new(organization: &str, base_url: &str) -> Self {
        Self {
            own: Own { organization: organization.to_owned(), base_url: base_url.to_owned() },
            snapshot: ArcSwap::default(),
            freshness: Freshness::new(&WATCHED),
            generation: watch::Sender::new(0),
        }
    }

    /// The last snapshot.
    pub fn snapshot(&self) -> Arc<Directory> {
        self.snapshot.load_full()
    }

    /// What is known of the snapshot's age.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// A snapshot as it will be when some changes are committed, for the rest of their transaction.
    pub fn with(&self, before: &Directory, changes: Vec<Change>) -> Directory {
        let mut resources = before.resources.clone();
        for change in changes {
            let all = Arc::make_mut(resources.entry(change.resource_type).or_default());
            let place = all.iter().position(|known| known.id() == Some(change.id.as_str()));
            match (place, change.resource) {
                (Some(place), Some(resource)) => all[place] = resource,
                (Some(place), None) => drop(all.swap_remove(place)),
                (None, Some(resource)) => all.push(resource),
                (None, None) => {}
            }
        }
        Directory::build(resources, &self.own)
    }

    /// Tells of every new snapshot.
    pub fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// A snapshot that no known change is missing from.
    ///
    /// # Errors
    /// The database's, where a new snapshot was needed.
    pub async fn fresh(&self, store: &Store) -> Result<Arc<Directory>, database::Error> {
        if !self.freshness.is_fresh()
            && let Some(load) = self.freshness.begin().await
        {
            let resources = read(store, load.types(), &self.snapshot()).await?;
            self.snapshot.store(Arc::new(Directory::build(resources, &self.own)));
            load.end();
            self.generation.send_modify(|generation| *generation += 1);
        }
        Ok(self.snapshot())
    }
}

/// The resources of `types` from the store, the others from the snapshot before.
async fn read(
    store: &Store,
    types: &BTreeSet<&'static str>,
    before: &Directory,
) -> Result<Resources, database::Error> {
    let mut resources = before.resources.clone();
    let session = store.session().await?;
    for resource_type in types {
        let mut all = Vec::new();
        for stored in session.all(resource_type).await? {
            match fhir::parse(&stored.content, Format::Json) {
                Ok(resource) => all.push(Arc::new(resource)),
                Err(error) => {
                    tracing::error!(resource_type, id = %stored.id, %error, "a stored resource cannot be read")
                }
            }
        }
        resources.insert(resource_type, Arc::new(all));
    }
    Ok(resources)
}
