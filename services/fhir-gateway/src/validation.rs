//! The definitions that resources are validated against: the framework's own, and the stored ones with
//! status active or draft, compiled.
//!
//! Readers take the current set without waiting. It is made anew when a definition was written here or at
//! another replica; only what changed is read and compiled.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use deadpool_postgres::GenericClient;
use fhir::{
    Format, Resource,
    validation::{Change, DEFINITION_TYPES, Validator},
};
use telemetry::metrics::{Gauge, meter};
use uuid::Uuid;

use crate::{
    freshness::Freshness,
    store::{Session, Store},
};

/// One compiled set of definitions.
#[derive(Clone)]
pub struct Set {
    /// What validates.
    pub validator: Arc<Validator>,
    /// The stored definitions in it.
    known: Arc<BTreeMap<Uuid, Known>>,
}

/// A stored definition.
#[derive(Clone)]
struct Known {
    resource_type: &'static str,
    version: u64,
    url: String,
    business_version: String,
}

impl Known {
    /// The framework's own definition takes the place of a stored one that is gone.
    fn remove(&self) -> Change {
        let own = fhir::framework::resources().into_iter().find(|own| {
            own.resource_type() == self.resource_type
                && own.text("url") == Some(&self.url)
                && own.text("version").unwrap_or_default() == self.business_version
        });
        match own {
            Some(own) => Change::Put(own),
            None => Change::Remove {
                resource_type: self.resource_type.to_owned(),
                url: self.url.clone(),
                version: self.business_version.clone(),
            },
        }
    }
}

impl Set {
    /// This set brought up to what the session sees of the given types.
    ///
    /// # Errors
    /// The database's.
    pub async fn renewed<C: GenericClient>(
        &self,
        session: &Session<C>,
        types: &[&'static str],
    ) -> Result<Set, database::Error> {
        let mut known = BTreeMap::clone(&self.known);
        let mut changes = Vec::new();
        let mut wanted: BTreeMap<&'static str, Vec<Uuid>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (resource_type, id, version) in session.current_versions(types).await? {
            seen.insert(id);
            if known.get(&id).is_none_or(|known| known.version != version)
                && let Some(resource_type) = types.iter().find(|known| **known == resource_type)
            {
                wanted.entry(resource_type).or_default().push(id);
            }
        }
        known.retain(|id, definition| {
            let stays = seen.contains(id) || !types.contains(&definition.resource_type);
            if !stays {
                changes.push(definition.remove());
            }
            stays
        });
        for (resource_type, ids) in wanted {
            for stored in session.several(resource_type, &ids).await? {
                let resource = match fhir::parse(&stored.content, Format::Json) {
                    Ok(resource) => resource,
                    Err(error) => {
                        tracing::error!(resource_type, id = %stored.id, %error, "a stored definition cannot be read");
                        continue;
                    }
                };
                let definition = Known {
                    resource_type,
                    version: stored.version,
                    url: resource.text("url").unwrap_or_default().to_owned(),
                    business_version: resource.text("version").unwrap_or_default().to_owned(),
                };
                if let Some(before) = known.get(&stored.id)
                    && (before.url != definition.url
                        || before.business_version != definition.business_version)
                {
                    changes.push(before.remove());
                }
                match resource.text("status") {
                    // Most stored definitions are the framework's own, which are compiled already.
                    Some("active" | "draft") if self.validator.holds(&resource) => {}
                    Some("active" | "draft") => changes.push(Change::Put(resource)),
                    _ => changes.push(definition.remove()),
                }
                known.insert(stored.id, definition);
            }
        }
        if changes.is_empty() {
            return Ok(Set { known: Arc::new(known), ..self.clone() });
        }
        let before = Arc::clone(&self.validator);
        // Compiling many profiles takes longer than a request should hold a worker.
        let validator = tokio::task::spawn_blocking(move || before.with(changes))
            .await
            .map_err(|_| database::Error::new(database::Kind::Other, "definitions could not be compiled"))?;
        Ok(Set { validator: Arc::new(validator), known: Arc::new(known) })
    }
}

/// The current set and what is known of its age.
pub struct Definitions {
    set: ArcSwap<Set>,
    freshness: Freshness,
    /// Profiles that cannot be used.
    unusable: Gauge<u64>,
}

impl Default for Definitions {
    /// The framework's definitions; the stored ones come with the first [`Definitions::fresh`].
    fn default() -> Self {
        Self {
            set: ArcSwap::from_pointee(Set {
                validator: Arc::new(fhir::framework::validator()),
                known: Arc::default(),
            }),
            freshness: Freshness::new(&DEFINITION_TYPES),
            unusable: meter()
                .u64_gauge("dsf.gateway.profiles.unusable")
                .with_description(
                    "Stored profiles that cannot be used; resources that claim them are refused",
                )
                .build(),
        }
    }
}

impl Definitions {
    /// The last set.
    pub fn current(&self) -> Arc<Set> {
        self.set.load_full()
    }

    /// What is known of the set's age.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Renews the set ahead of the next request.
    ///
    /// # Errors
    /// The database's.
    pub async fn renew(&self, store: &Store) -> Result<(), database::Error> {
        if !self.freshness.is_fresh() {
            self.fresh(&store.session().await?).await?;
        }
        Ok(())
    }

    /// A set that no known change is missing from, read by `session`, which has written no definitions that
    /// are not committed.
    ///
    /// # Errors
    /// The database's, where a new set was needed.
    pub async fn fresh<C: GenericClient>(&self, session: &Session<C>) -> Result<Arc<Set>, database::Error> {
        if !self.freshness.is_fresh()
            && let Some(load) = self.freshness.begin().await
        {
            let types: Vec<&'static str> = load.types().iter().copied().collect();
            let set = self.current().renewed(session, &types).await?;
            self.tell(&set.validator);
            self.set.store(Arc::new(set));
            load.end();
        }
        Ok(self.current())
    }

    /// Names profiles that have become unusable.
    fn tell(&self, validator: &Validator) {
        let unusable = validator.unusable();
        self.unusable.record(unusable.len() as u64, &[]);
        let before = self.current().validator.unusable();
        for (profile, reason) in unusable.iter().filter(|found| !before.contains(found)) {
            tracing::warn!(profile, reason, "a profile cannot be used: resources that claim it are refused");
        }
    }
}

/// A stored resource in the form a client would send: without references that were only resolved from
/// identifiers (fhir-endpoint contract 6.1).
pub fn client_form(resource: &mut Resource) {
    fn clean(element: &mut fhir::Element) {
        if element.child("identifier").is_some() && element.child("reference").is_some() {
            element.remove("reference");
        }
        for child in element.children_mut() {
            clean(child);
        }
    }
    for child in resource.children_mut() {
        clean(child);
    }
}
