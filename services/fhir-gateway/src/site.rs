//! What every request needs to know of the site it is served by.
use std::sync::Arc;

use crate::{
    audit::Audit,
    changes::Changes,
    data::{DEFAULT_MAX_BINARY, Transfers},
    identity::{
        RoleConfig,
        directory::{Directory, DirectoryCache},
    },
    interactions::CapabilitiesCache,
    partners::Partners,
    store::Store,
    validation::Definitions,
};

/// Default of `Site::page_count`: entries of a search page where the client does not say.
pub const DEFAULT_PAGE_COUNT: u32 = 20;
/// Default largest request body, in bytes.
pub const DEFAULT_MAX_BODY: usize = 10 * 1024 * 1024;
/// Default most entries in a batch or transaction. The allow list of a network has three for each organization.
pub const DEFAULT_MAX_BUNDLE_ENTRIES: usize = 5000;
/// Default most entries on one page of a search, whatever the client asks for.
pub const DEFAULT_MAX_PAGE_COUNT: u32 = 1000;

/// Limits of one request (design 4, promise 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest body, in bytes. Beyond it: 413.
    pub max_body: usize,
    /// Largest Binary, in bytes. Beyond it: 413.
    pub max_binary: u64,
    /// Most entries in a batch or transaction. Beyond it: 413.
    pub max_bundle_entries: usize,
    /// Most entries on one page of a search. A larger `_count` is cut to it.
    pub max_page_count: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: DEFAULT_MAX_BODY,
            max_binary: DEFAULT_MAX_BINARY,
            max_bundle_entries: DEFAULT_MAX_BUNDLE_ENTRIES,
            max_page_count: DEFAULT_MAX_PAGE_COUNT,
        }
    }
}

/// The site: its settings and the handles all requests share. Used as `Arc<Site>`.
pub struct Site {
    /// Base of all absolute URLs, without trailing slash.
    pub base_url: String,
    /// Identifier value of the organization that runs this site.
    pub organization: String,
    /// Entries of a search page where the client does not say.
    pub page_count: u32,
    /// Limits of one request.
    pub limits: Limits,
    /// Places for transfers of data.
    pub transfers: Transfers,
    /// Resources and outbox.
    pub store: Store,
    /// Which certificates are persons of this site, and what they may do.
    pub roles: RoleConfig,
    /// To be told of every decision.
    pub audit: Audit,
    /// To be told after every commit.
    pub changes: Changes,
    /// Snapshots of the allow list.
    pub directory: Arc<DirectoryCache>,
    /// Profiles, code systems and value sets that resources are validated against.
    pub definitions: Arc<Definitions>,
    /// Other sites, to be asked whether what is referred to exists there.
    pub partners: Partners,
    /// The answer of `/metadata`.
    pub capabilities: CapabilitiesCache,
}

impl Site {
    /// The current snapshot of the allow list, for one request: it was fresh when the caller was identified.
    /// `directory().facts` implements `access::Facts`. What the transaction of the request itself
    /// has written is not in it.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.snapshot()
    }
}
