//! FHIR over HTTP: routes, negotiation, bodies, responses. What happens in between is the interactions'.

mod admission;
mod body;
mod metrics;
mod negotiate;
mod people;
mod person;
mod respond;
mod target;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use access::Identity;
use bytes::Buf;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tracing::Instrument;
use warp::{Filter, Rejection, filters::BoxedFilter, reject::Reject, reply::Response};

pub use admission::Admission;
pub use metrics::Metrics;
pub use negotiate::query as decode_query;
pub(crate) use negotiate::{format_date, parse_date};
use person::{Outside, Shown};
use target::Target;

use crate::{
    data::MAX_INLINE,
    exchange::{Answer, BodyFormat, Conditions, Interaction, Request},
    identity::{self, Refusal},
    interactions,
    listener::{Peer, tls::Tls},
    oidc::Oidc,
    pages::{self, origin},
    site::Site,
    websocket::Sockets,
};

/// Longest form of `POST /T/_search`, in bytes.
const MAX_SEARCH_FORM: usize = 64 * 1024;

/// What the routes need.
#[derive(Clone)]
pub struct Gateway {
    /// The site.
    pub site: Arc<Site>,
    /// Says whether a certificate is still good.
    pub tls: Arc<Tls>,
    /// Places for requests.
    pub admission: Admission,
    /// OpenID Connect, where it is offered.
    pub oidc: Option<Arc<Oidc>>,
    /// Time for the body of a request.
    pub body_timeout: Duration,
    /// Subscriptions.
    pub sockets: Sockets,
    /// Instruments.
    pub metrics: Metrics,
}

/// Someone we know, with the connection that says so.
#[derive(Clone)]
struct Caller {
    identity: Arc<Identity>,
    peer: Peer,
    /// A session's cookie is renewed with the answer.
    cookie: Option<String>,
}

/// The request ends before it is routed.
#[derive(Debug)]
struct Refused(Outside);

impl Reject for Refused {}

/// All routes. Every answer, also to nonsense, comes from here.
pub fn routes(
    gateway: Gateway,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let gateway = Arc::new(gateway);
    let base = target::base_path(&gateway.site.base_url);
    let socket = base
        .clone()
        .and(warp::path("ws"))
        .and(warp::path::end())
        .and(caller(&gateway))
        .and(warp::ws())
        .map({
            let gateway = Arc::clone(&gateway);
            move |caller: Caller, upgrade| gateway.sockets.accept(caller.identity, caller.peer, upgrade)
        })
        .boxed();
    let persons = person::routes(&gateway);
    let rest = caller(&gateway)
        .and(base)
        .and(target::filter())
        .and(warp::method())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then({
            let gateway = Arc::clone(&gateway);
            move |caller, target, method, query, headers, body| {
                let gateway = Arc::clone(&gateway);
                async move {
                    let caller: Caller = caller;
                    let cookie = caller.cookie.clone();
                    let mut response = gateway.respond(caller, target, method, query, headers, body).await;
                    if let Some(cookie) = cookie {
                        person::set_cookie(response.headers_mut(), &cookie);
                    }
                    response
                }
            }
        })
        .boxed();
    let people = people::routes(&gateway);
    socket
        .or(persons)
        .unify()
        .or(people)
        .unify()
        .or(rest)
        .unify()
        .recover(move |rejection| recover(rejection, Arc::clone(&gateway)))
        .unify()
}

/// Who calls. Decided anew for every request.
fn caller(gateway: &Arc<Gateway>) -> BoxedFilter<(Caller,)> {
    let gateway = Arc::clone(gateway);
    warp::ext::get::<Peer>()
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and_then(
            move |peer: Peer,
                  method: Method,
                  path: warp::path::FullPath,
                  query: String,
                  headers: HeaderMap| {
                let gateway = Arc::clone(&gateway);
                async move {
                    let refusal = match identity::decide(&gateway.site, &gateway.tls, &peer).await {
                        Ok(identity) => return Ok(Caller { identity, peer, cookie: None }),
                        Err(refusal) => refusal,
                    };
                    let shown =
                        Shown { method: &method, path: path.as_str(), query: &query, headers: &headers };
                    let outside = match &gateway.oidc {
                        None => Outside::Refused(refusal),
                        Some(oidc) => match person::identify(&gateway, oidc, &shown, refusal).await {
                            Ok((identity, cookie)) => return Ok(Caller { identity, peer, cookie }),
                            Err(outside) => outside,
                        },
                    };
                    Err(warp::reject::custom(Refused(outside)))
                }
            },
        )
        .boxed()
}

async fn recover(rejection: Rejection, gateway: Arc<Gateway>) -> Result<Response, Infallible> {
    Ok(match rejection.find::<Refused>() {
        Some(Refused(outside)) => {
            gateway.metrics.refused(match outside {
                Outside::Refused(Refusal::Unavailable) => "unavailable",
                Outside::Refused(Refusal::Unknown) => "unknown-caller",
                Outside::Token(_) => "token",
                Outside::NoRights => "no-rights",
                Outside::Login(_) => "login",
            });
            let oidc = gateway.oidc.as_ref();
            match outside {
                Outside::Refused(Refusal::Unknown) if oidc.is_none() => respond::unknown_caller(),
                outside => person::answer(outside, oidc.is_some_and(|oidc| oidc.settings.bearer)),
            }
        }
        // Everything that is not a resource, a path or a method we have.
        None => respond::empty(StatusCode::NOT_FOUND),
    })
}

impl Gateway {
    async fn respond<S, B>(
        &self,
        caller: Caller,
        target: Target,
        method: Method,
        query_text: String,
        headers: HeaderMap,
        body: S,
    ) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        let allow = target.allow();
        if origin::is_foreign(&method, &headers, &self.site.base_url) {
            self.metrics.refused("foreign-page");
            return respond::empty(StatusCode::FORBIDDEN);
        }
        if method == Method::OPTIONS {
            return respond::allowing(StatusCode::OK, allow);
        }
        let root = target == Target::Root;
        let by_form = matches!(target, Target::SearchForm { .. });
        let Some(interaction) = target.interaction(&method) else {
            return if root && people::wants_page(&method, &headers, &query_text) {
                self.start_page(caller, headers).await
            } else if root {
                self.no_page(&headers, &query_text, method == Method::HEAD)
            } else {
                respond::allowing(StatusCode::METHOD_NOT_ALLOWED, allow)
            };
        };
        let (mut body, mut query_text) = (std::pin::pin!(body), query_text);
        if by_form {
            match self.search_form(body.as_mut(), &headers).await {
                Ok(form) if query_text.is_empty() => query_text = form,
                Ok(form) => query_text = format!("{query_text}&{form}"),
                Err(status) => return respond::empty(status),
            }
        }
        let started = Instant::now();
        let span = tracing::info_span!(
            "request",
            otel.name = format!("{method} {}", interaction.resource_type().unwrap_or("system")),
            otel.kind = "server",
            interaction = interaction.name(),
            status = tracing::field::Empty,
        );
        let parent = headers.get(telemetry::context::TRACEPARENT).and_then(|parent| parent.to_str().ok());
        telemetry::context::set_parent(&span, parent);
        let response = self
            .carry_out(caller, interaction.clone(), method == Method::HEAD, query_text, headers, body)
            .instrument(span.clone())
            .await;
        span.record("status", response.status().as_u16());
        self.metrics.answered(&interaction, response.status(), started.elapsed());
        response
    }

    async fn carry_out<S, B>(
        &self,
        caller: Caller,
        interaction: Interaction,
        head: bool,
        query_text: String,
        headers: HeaderMap,
        body: S,
    ) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        let Some(present) = self.admission.enter() else {
            self.metrics.refused("busy");
            return respond::busy();
        };
        let mut query = negotiate::query(&query_text);
        let page = people::is_reading(&interaction) && pages::wanted(&headers, &query);
        if page {
            query = pages::query(query, matches!(interaction, Interaction::Search { .. }));
        }
        let negotiated = if page {
            Ok(pages::output())
        } else if interaction.resource_type() == Some("Binary") {
            negotiate::output_or_raw(&headers, &query)
        } else {
            negotiate::output(&headers, &query)
        };
        let forms =
            negotiated.and_then(|output| Ok((output, negotiate::body_format(&headers, &interaction)?)));
        let (output, body_format) = match forms {
            Ok(forms) => forms,
            Err(status) => return respond::empty(status),
        };
        let mut body = std::pin::pin!(body);
        let streamed = matches!(
            (&interaction, &body_format),
            (Interaction::Create { ty: "Binary" }, BodyFormat::Raw(_))
        );
        let mut more = false;
        let whole = match body_format {
            BodyFormat::None => bytes::Bytes::new(),
            BodyFormat::Raw(_) if streamed => {
                if body::announced(&headers) > self.site.limits.max_binary {
                    return respond::empty(StatusCode::PAYLOAD_TOO_LARGE);
                }
                match body::beginning(&mut body, MAX_INLINE, self.body_timeout).await {
                    Ok((beginning, all)) => {
                        more = !all;
                        beginning
                    }
                    Err(status) => return respond::empty(status),
                }
            }
            _ => {
                match body::read(body.as_mut(), &headers, self.site.limits.max_body, self.body_timeout).await
                {
                    Ok(body) => body,
                    Err(status) => return respond::empty(status),
                }
            }
        };
        let request = Request {
            interaction,
            head,
            identity: Arc::clone(&caller.identity),
            query,
            query_text,
            prefer: negotiate::prefer(&headers),
            conditions: if page { Conditions::default() } else { negotiate::conditions(&headers) },
            body: whole,
            body_format,
            output: output.clone(),
            security_context: headers
                .get_all("x-security-context")
                .iter()
                .filter_map(|line| line.to_str().ok().map(str::to_owned))
                .collect(),
            trace_parent: telemetry::context::current(),
        };
        let site = Arc::clone(&self.site);
        if more {
            // Its place is that of a transfer; it keeps the one of a request that is present.
            let first = request.body.clone();
            let request = Request { body: bytes::Bytes::new(), ..request };
            let rest = body.map(|part| part.map(body::plain));
            let answer = interactions::receive(&site, request, first, rest).await;
            drop(present);
            return respond::write(answer, &output, head);
        }
        let Some(running) = self.admission.run(present).await else {
            self.metrics.refused("busy");
            return respond::busy();
        };
        // A task of its own: what has begun ends, also when the client goes away in the middle.
        let work = async move {
            let answer = interactions::handle(&site, request).await;
            drop(running);
            answer
        };
        match tokio::spawn(work.in_current_span()).await {
            Ok(answer) if page => pages::show(&people::visit(self, caller, headers), answer).await,
            Ok(answer) => respond::write(answer, &output, head),
            Err(error) => {
                tracing::error!(%error, "an interaction ended without an answer");
                respond::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Parameters that are sent as a form; they add to those of the URL.
    async fn search_form<S, B>(&self, body: S, headers: &HeaderMap) -> Result<String, StatusCode>
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        let sent = headers.get(header::CONTENT_TYPE).and_then(|sent| sent.to_str().ok()).unwrap_or_default();
        let media_type = sent.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let form = body::read(body, headers, MAX_SEARCH_FORM, self.body_timeout).await?;
        // Anything else than ASCII is escaped in such a form.
        String::from_utf8(form.into()).map_err(|_| StatusCode::BAD_REQUEST)
    }

    /// `GET` on the base URL: there is no page (yet) and no resource.
    fn no_page(&self, headers: &HeaderMap, query_text: &str, head: bool) -> Response {
        let output = match negotiate::output(headers, &negotiate::query(query_text)) {
            Ok(output) => output,
            Err(status) => return respond::empty(status),
        };
        let answer = Answer::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "processing",
            "the base URL takes batch and transaction bundles by POST",
        )
        .with_header(header::ALLOW, HeaderValue::from_static("POST"))
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        respond::write(answer, &output, head)
    }
}
