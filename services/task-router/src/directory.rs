//! The allow list, as far as the router needs it: who we are, and which addresses are partners.
//!
//! Looked up at the own endpoint and kept for a few seconds: an endpoint that is taken from the
//! allow list is no longer sent to a few seconds later.
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use fhir::{Element, Resource, bundle, generation};
use messaging::egress::Site;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Mutex;

use crate::gateway::{Gateway, GatewayError};

/// Addresses remembered at most; far more than any network has sites.
const MAX_ADDRESSES: usize = 10_000;

/// Look-ups with a short memory.
pub(crate) struct Directory {
    gateway: Gateway,
    age: Duration,
    site: Mutex<Option<(Instant, Site)>>,
    addresses: Mutex<HashMap<String, (Instant, bool)>>,
}

impl Directory {
    pub(crate) fn new(gateway: Gateway, age: Duration) -> Self {
        Self { gateway, age, site: Mutex::default(), addresses: Mutex::default() }
    }

    /// Who this site is. A site does not change its name while its endpoint is away, so an old
    /// answer is used then.
    pub(crate) async fn site(&self) -> Result<Site, GatewayError> {
        // Held over the look-up: many callers at once ask the endpoint once.
        let mut kept = self.site.lock().await;
        if let Some((since, site)) = &*kept
            && since.elapsed() < self.age
        {
            return Ok(site.clone());
        }
        match self.look_up_site().await {
            Ok(site) => {
                *kept = Some((Instant::now(), site.clone()));
                Ok(site)
            }
            Err(error) => kept.as_ref().map(|(_, site)| site.clone()).ok_or(error),
        }
    }

    async fn look_up_site(&self) -> Result<Site, GatewayError> {
        let found = self.endpoints(self.gateway.base_url(), "&_include=Endpoint:organization").await?;
        let missing = || {
            GatewayError::Unavailable("no active Endpoint with the own address and its organization".into())
        };
        let of_type = |wanted: &str| {
            bundle::entries(&found)
                .filter_map(|entry| entry.resource()?.resource())
                .find(|resource| resource.resource_type() == wanted)
        };
        let endpoint = of_type("Endpoint").ok_or_else(missing)?;
        let organization = of_type("Organization").ok_or_else(missing)?;
        let value = |resource: &Resource, system: fn(&generation::Generation) -> &'static str| {
            generation::all().into_iter().find_map(|generation| {
                resource
                    .each("identifier")
                    .find(|identifier| identifier.text("system") == Some(system(generation)))
                    .and_then(|identifier| identifier.text("value"))
                    .map(str::to_owned)
            })
        };
        Ok(Site {
            organization: value(&organization, |names| names.organization_identifier).ok_or_else(missing)?,
            endpoint: value(&endpoint, |names| names.endpoint_identifier).ok_or_else(missing)?,
            base_url: self.gateway.base_url().to_owned(),
        })
    }

    /// True if requests may go to this base URL: the own one, or the address of an active Endpoint.
    pub(crate) async fn allows(&self, base_url: &str) -> Result<bool, GatewayError> {
        if self.gateway.is_own(base_url) {
            return Ok(true);
        }
        if let Some((since, allowed)) = self.addresses.lock().await.get(base_url)
            && since.elapsed() < self.age
        {
            return Ok(*allowed);
        }
        let found = self.endpoints(base_url, "").await?;
        let allowed = bundle::entries(&found).filter_map(|entry| entry.resource()).any(|endpoint| {
            endpoint.text("status") == Some("active")
                && endpoint.child("address").and_then(Element::value) == Some(base_url)
        });
        let mut addresses = self.addresses.lock().await;
        if addresses.len() >= MAX_ADDRESSES {
            addresses.clear();
        }
        addresses.insert(base_url.to_owned(), (Instant::now(), allowed));
        Ok(allowed)
    }

    async fn endpoints(&self, address: &str, more: &str) -> Result<Resource, GatewayError> {
        let address = utf8_percent_encode(address, NON_ALPHANUMERIC);
        self.gateway.read(&format!("Endpoint?address={address}&status=active{more}")).await
    }
}
