//! The routes of the pages that are no FHIR: forms and what pages load.
use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use http::{HeaderMap, Method, StatusCode};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{Caller, Gateway, body, caller, negotiate, person, respond, target};
use crate::{
    exchange::Interaction,
    pages::{self, FormRequest, MAX_FORM, Visit},
};

/// Longest path of a form: a type and an id.
const MAX_SEGMENTS: usize = 2;

/// `GET /static/{name}`, `POST /form/theme`, `POST /form/bookmark`, `POST /form/{type}/{id}`.
pub(super) fn routes(gateway: &Arc<Gateway>) -> BoxedFilter<(Response,)> {
    let base = target::base_path(&gateway.site.base_url);
    // Paths come first: who calls is found out, and recorded, once per request.
    let asset = base
        .clone()
        .and(warp::get())
        .and(warp::path("static"))
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(caller(gateway))
        .and(warp::header::headers_cloned())
        .map(|name: String, _: Caller, headers: HeaderMap| pages::asset(&name, &headers));
    let gateway = Arc::clone(gateway);
    let form = base
        .and(warp::post())
        .and(warp::path("form"))
        .and(warp::path::tail())
        .and(caller(&gateway))
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |tail: warp::path::Tail, caller: Caller, headers, body| {
            let gateway = Arc::clone(&gateway);
            let target: Vec<String> =
                tail.as_str().split('/').take(MAX_SEGMENTS + 1).map(str::to_owned).collect();
            async move {
                let cookie = caller.cookie.clone();
                let mut response = gateway.form(caller, target, headers, body).await;
                if let Some(cookie) = cookie {
                    person::set_cookie(response.headers_mut(), &cookie);
                }
                response
            }
        });
    asset.or(form).unify().boxed()
}

/// Whether a `GET` asks for a page.
pub(super) fn wants_page(method: &Method, headers: &HeaderMap, query_text: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && pages::wanted(headers, &negotiate::query(query_text))
}

/// Interactions whose answers have a page.
pub(super) fn is_reading(interaction: &Interaction) -> bool {
    matches!(
        interaction,
        Interaction::Read { .. }
            | Interaction::Vread { .. }
            | Interaction::Search { .. }
            | Interaction::HistorySystem
            | Interaction::HistoryType { .. }
            | Interaction::HistoryInstance { .. }
            | Interaction::Capabilities
    )
}

/// Who looks at what.
pub(super) fn visit(gateway: &Gateway, caller: Caller, headers: HeaderMap) -> Visit {
    Visit { site: Arc::clone(&gateway.site), identity: caller.identity, headers }
}

impl Gateway {
    /// The page at the base URL.
    pub(super) async fn start_page(&self, caller: Caller, headers: HeaderMap) -> Response {
        let running = match self.admission.enter() {
            Some(present) => self.admission.run(present).await,
            None => None,
        };
        if running.is_none() {
            self.metrics.refused("busy");
            return respond::busy();
        }
        pages::start(&visit(self, caller, headers)).await
    }

    async fn form<S, B>(&self, caller: Caller, target: Vec<String>, headers: HeaderMap, body: S) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        let Some(present) = self.admission.enter() else {
            self.metrics.refused("busy");
            return respond::busy();
        };
        let body = match body::read(body, &headers, MAX_FORM, self.body_timeout).await {
            Ok(body) => body,
            Err(status) => return respond::empty(status),
        };
        let Some(running) = self.admission.run(present).await else {
            self.metrics.refused("busy");
            return respond::busy();
        };
        let visit = visit(self, caller, headers.clone());
        // A task of its own: what has begun ends, also when the browser goes away in the middle.
        let work = async move {
            let page = pages::submit(&visit, FormRequest { target: &target, headers: &headers, body }).await;
            drop(running);
            page
        };
        tokio::spawn(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a form ended without an answer");
            respond::empty(StatusCode::INTERNAL_SERVER_ERROR)
        })
    }
}
