//! What stands around every page: who is signed in, where to go, light or dark.
use access::Identity;

use super::{
    Visit,
    bookmarks::{self, Bookmark},
    origin,
};
use crate::oidc::SESSION;

/// Cookie with the chosen theme.
pub(super) const THEME_COOKIE: &str = "dsf-theme";
/// Themes: as the system says, light, dark.
pub(super) const THEMES: [&str; 3] = ["auto", "light", "dark"];

/// The frame of a page.
pub(super) struct Frame {
    /// Title of the page.
    pub(super) title: String,
    /// Base URL.
    pub(super) base: String,
    /// Organization of the site.
    pub(super) organization: String,
    /// Who is signed in.
    pub(super) who: String,
    /// Kind of caller, for people.
    pub(super) kind: &'static str,
    /// Signed in by a provider: one can sign out.
    pub(super) session: bool,
    /// Chosen theme.
    pub(super) theme: &'static str,
    /// What this browser comes back to.
    pub(super) bookmarks: Vec<Bookmark>,
    /// Token of forms.
    pub(super) token: String,
    /// The token is new: the browser must be told.
    pub(super) new_token: bool,
}

impl Frame {
    pub(super) fn new(visit: &Visit, title: &str) -> Self {
        let (who, kind) = match &*visit.identity {
            Identity::Organization(caller) if caller.local => {
                (caller.identifier.clone(), "this organization")
            }
            Identity::Organization(caller) => (caller.identifier.clone(), "another organization"),
            Identity::Practitioner(person) => (person.identifier.clone(), "person"),
            Identity::Loader => (String::new(), "this site"),
        };
        let chosen = origin::cookie(&visit.headers, THEME_COOKIE);
        let (token, new_token) = origin::token(&visit.headers);
        Self {
            title: title.to_owned(),
            base: visit.site.base_url.clone(),
            organization: visit.site.organization.clone(),
            session: matches!(&*visit.identity, Identity::Practitioner(_))
                && origin::cookie(&visit.headers, SESSION).is_some(),
            who,
            kind,
            theme: THEMES.into_iter().find(|theme| chosen == Some(theme)).unwrap_or("auto"),
            bookmarks: bookmarks::of(&visit.headers),
            token,
            new_token,
        }
    }

    /// Whether a resource, as `Type/id`, is bookmarked.
    pub(super) fn is_bookmarked(&self, path: &str) -> bool {
        self.bookmarks.iter().any(|bookmark| bookmark.path == path)
    }

    /// The themes that are not chosen.
    pub(super) fn other_themes(&self) -> impl Iterator<Item = &'static str> {
        let chosen = self.theme;
        THEMES.into_iter().filter(move |theme| *theme != chosen)
    }
}
