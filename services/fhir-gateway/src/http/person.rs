//! Callers without a known certificate: bearer tokens, sessions, and the routes of the login.
use std::sync::Arc;

use access::Identity;
use bytes::Buf;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{Gateway, respond, target};
use crate::{
    identity::Refusal,
    oidc::{CALLBACK, Invalid, Oidc, Redirect},
};

/// Largest form a provider may post, in bytes.
const MAX_FORM: usize = 64 * 1024;

/// A caller that is not let in, with what to tell.
#[derive(Debug, Clone)]
pub(super) enum Outside {
    /// As without OpenID Connect.
    Refused(Refusal),
    /// No token or one that does not hold.
    Token(Invalid),
    /// A token of somebody without any right.
    NoRights,
    /// A browser that should log in.
    Login(Redirect),
}

/// What a request shows besides a certificate.
pub(super) struct Shown<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// All `Cookie` lines as one.
fn cookies(headers: &HeaderMap) -> String {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join("; ")
}

/// The person behind a token or session, and a `Set-Cookie` where the session is renewed.
pub(super) async fn identify(
    gateway: &Gateway,
    oidc: &Oidc,
    shown: &Shown<'_>,
    certificate: Refusal,
) -> Result<(Arc<Identity>, Option<String>), Outside> {
    let site = &gateway.site;
    let unavailable = |_| Outside::Refused(Refusal::Unavailable);
    let (credentials, renewal) = match text(shown.headers, header::AUTHORIZATION) {
        Some(authorization) if oidc.settings.bearer => {
            (oidc.bearer(authorization).await.map_err(Outside::Token)?, None)
        }
        _ => {
            let cookies = cookies(shown.headers);
            let session = if oidc.settings.code_flow && own_origin(gateway, shown) {
                oidc.session(&cookies, &site.store).await.map_err(unavailable)?
            } else {
                None
            };
            match session {
                Some(session) => session,
                None => return Err(outside(oidc, shown, certificate).await),
            }
        }
    };
    let directory = site.directory.fresh(&site.store).await.map_err(unavailable)?;
    let person = access::Facts::organization_is_active(&directory.facts, &site.organization)
        .then(|| site.roles.practitioner(&credentials, &site.organization))
        .flatten()
        .filter(|person| {
            person.roles != access::DsfRoles::default() || !person.practitioner_roles.is_empty()
        });
    match person {
        Some(person) => Ok((Arc::new(Identity::Practitioner(person)), renewal)),
        None => {
            site.audit.no_rights(&credentials);
            Err(Outside::NoRights)
        }
    }
}

/// A write that a page of another origin causes does not count as the session's (the cookie is not sent with it
/// by present browsers either).
fn own_origin(gateway: &Gateway, shown: &Shown<'_>) -> bool {
    let safe = shown.method == Method::GET || shown.method == Method::HEAD;
    let origin = gateway.site.base_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    safe || text(shown.headers, header::ORIGIN).is_none_or(|sent| sent == origin)
}

async fn outside(oidc: &Oidc, shown: &Shown<'_>, certificate: Refusal) -> Outside {
    if certificate == Refusal::Unavailable {
        return Outside::Refused(certificate);
    }
    let html = text(shown.headers, header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    if oidc.settings.code_flow && html && shown.method == Method::GET {
        let query = if shown.query.is_empty() { String::new() } else { format!("?{}", shown.query) };
        return match oidc.login(&format!("{}{query}", shown.path)).await {
            Ok(redirect) => Outside::Login(redirect),
            Err(_) => Outside::Refused(Refusal::Unavailable),
        };
    }
    if oidc.settings.bearer { Outside::Token(Invalid::Missing) } else { Outside::Refused(certificate) }
}

/// The answer to somebody outside; `bearer`: tokens would be accepted.
pub(super) fn answer(outside: &Outside, bearer: bool) -> Response {
    let mut response = match outside {
        Outside::Refused(Refusal::Unavailable) | Outside::Token(Invalid::Unavailable) => {
            return respond::busy();
        }
        Outside::Refused(Refusal::Unknown) | Outside::NoRights => respond::unknown_caller(),
        Outside::Token(invalid) => respond::empty(status(*invalid)),
        Outside::Login(redirect) => return redirected(redirect),
    };
    if bearer {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Status of what is wrong with a token (fhir-endpoint contract 3.3).
fn status(invalid: Invalid) -> StatusCode {
    match invalid {
        Invalid::Missing | Invalid::Expired | Invalid::Refused => StatusCode::UNAUTHORIZED,
        Invalid::Malformed | Invalid::Incomplete => StatusCode::BAD_REQUEST,
        Invalid::TooLarge => StatusCode::FORBIDDEN,
        Invalid::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn redirected(redirect: &Redirect) -> Response {
    let mut response = respond::empty(StatusCode::FOUND);
    let headers = response.headers_mut();
    let Ok(location) = HeaderValue::from_str(&redirect.location) else {
        return respond::empty(StatusCode::BAD_REQUEST);
    };
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in &redirect.cookies {
        set_cookie(headers, cookie);
    }
    response
}

/// Adds a cookie.
pub(super) fn set_cookie(headers: &mut HeaderMap, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Routes of the login, for everybody; they pass on where nothing of the kind is offered.
pub(super) fn routes(gateway: &Arc<Gateway>) -> BoxedFilter<(Response,)> {
    let gateway = Arc::clone(gateway);
    target::base_path(&gateway.site.base_url)
        .and(warp::path::tail())
        .and(warp::method())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and_then({
            let gateway = Arc::clone(&gateway);
            move |tail: warp::path::Tail, method: Method, query: String, headers: HeaderMap| {
                let gateway = Arc::clone(&gateway);
                async move {
                    let route = gateway.route(tail.as_str(), &method).ok_or_else(warp::reject::not_found)?;
                    Ok::<_, warp::Rejection>((route, query, headers))
                }
            }
        })
        .and(warp::body::stream())
        .then(move |(route, query, headers): (Route, String, HeaderMap), body| {
            let gateway = Arc::clone(&gateway);
            async move { gateway.log_in_or_out(route, &query, &headers, body).await }
        })
        .boxed()
}

#[derive(Clone, Copy)]
enum Route {
    Callback,
    LogOut,
    BackChannel,
}

impl Gateway {
    fn route(&self, tail: &str, method: &Method) -> Option<Route> {
        let settings = &self.oidc.as_ref()?.settings;
        let back = settings.back_channel_path.trim_matches('/');
        match (method, tail) {
            (&Method::GET, CALLBACK) if settings.code_flow => Some(Route::Callback),
            (&Method::GET, "logout") if settings.code_flow => Some(Route::LogOut),
            (&Method::POST, tail) if settings.back_channel_logout && tail == back => Some(Route::BackChannel),
            _ => None,
        }
    }

    async fn log_in_or_out<S, B>(&self, route: Route, query: &str, headers: &HeaderMap, body: S) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        let Some(oidc) = &self.oidc else { return respond::empty(StatusCode::NOT_FOUND) };
        let store = &self.site.store;
        let redirect = match route {
            Route::Callback => oidc.come_back(&super::decode_query(query), &cookies(headers)).await,
            Route::LogOut => oidc.log_out(&cookies(headers), store).await,
            Route::BackChannel => {
                let result = match form(body).await {
                    Some(form) => oidc.back_channel(&form, store).await,
                    None => Err(Invalid::Malformed),
                };
                // 400 whatever is wrong with a token, 403 without one (contract 3.3).
                let mut response = respond::empty(match result {
                    Ok(()) => StatusCode::OK,
                    Err(Invalid::Missing) => StatusCode::FORBIDDEN,
                    Err(Invalid::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
                    Err(_) => StatusCode::BAD_REQUEST,
                });
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                return response;
            }
        };
        match redirect {
            Ok(redirect) => redirected(&redirect),
            Err(invalid) => {
                tracing::info!(reason = %invalid, "a login did not succeed");
                respond::empty(status(invalid))
            }
        }
    }
}

async fn form<S, B>(body: S) -> Option<Vec<u8>>
where
    S: Stream<Item = Result<B, warp::Error>> + Send,
    B: Buf,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        let mut part = part.ok()?;
        while part.has_remaining() {
            let chunk = part.chunk();
            if bytes.len() + chunk.len() > MAX_FORM {
                return None;
            }
            bytes.extend_from_slice(chunk);
            let taken = chunk.len();
            part.advance(taken);
        }
    }
    Some(bytes)
}
