//! The batch that brings the resources of a plugin to a site, and reading its answer.
use fhir::{Element, Resource, bundle};
use sha2::{Digest, Sha256};

use crate::{LoadError, Plugin};

impl Plugin {
    /// A batch that creates each resource where the site has none with its identity. Doing it again
    /// changes nothing.
    pub fn upload_bundle(&self) -> Resource {
        let mut batch = bundle::new("batch");
        for known in &self.resources {
            let query = known.identity.query();
            let kind = known.resource.resource_type();
            let request = Element::new("request")
                .with_text("method", "POST")
                .with_text("url", kind)
                .with_text("ifNoneExist", &query);
            let url = entry_url(kind, &query);
            batch.push(bundle::entry(Some(&url), Some(known.resource.clone())).with(request));
        }
        batch
    }

    /// Checks the answer to [`Plugin::upload_bundle`]: every entry must be created or found.
    ///
    /// # Errors
    /// Names the first resource that was not accepted, and why.
    pub fn check_upload(&self, response: &Resource) -> Result<(), LoadError> {
        let entries: Vec<_> = bundle::entries(response).collect();
        if response.resource_type() != "Bundle" || entries.len() != self.resources.len() {
            let (found, wanted) = (entries.len(), self.resources.len());
            return Err(LoadError::Upload(format!("the answer has {found} entries, {wanted} were expected")));
        }
        for (known, entry) in self.resources.iter().zip(entries) {
            let status = entry.status().unwrap_or("no status");
            if matches!(status.split(' ').next(), Some("200" | "201")) {
                continue;
            }
            let element = entry.element();
            let why = element
                .text("response.outcome.issue.diagnostics")
                .or_else(|| element.text("resource.issue.diagnostics"))
                .unwrap_or("no reason given");
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            let reason = format!("{} ({}): {status}: {why}", known.identity, known.file);
            return Err(LoadError::Upload(reason));
        }
        Ok(())
    }
}

/// A urn that is the same for the same identity, so that the batch is too.
fn entry_url(kind: &str, query: &str) -> String {
    let mut bytes = [0u8; 16];
    let digest = Sha256::digest(format!("{kind}?{query}").as_bytes());
    bytes.copy_from_slice(&digest[..16]);
    // Version 8 (content of our own), variant of RFC 9562.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
