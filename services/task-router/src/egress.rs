//! FHIR requests of workers, made with the site's identity and only to allowed receivers.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fhir_client::{Bounds, Client, Headers, TransportKind};
use http::{Method, Uri};
use messaging::{
    connect::MAX_PAYLOAD,
    egress::{EgressReply, EgressRequest, Receiver, Site},
    engine::Reply,
};

use crate::{backoff::Backoff, directory::Directory, gateway::Gateway};

/// How long a question who we are waits for the own endpoint.
const SITE_WAIT: Duration = Duration::from_secs(3);
/// First pause between look-ups of the own site; doubled up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between look-ups of the own site.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Answers workers.
pub(crate) struct Egress {
    pub(crate) client: Client,
    pub(crate) gateway: Gateway,
    pub(crate) directory: Arc<Directory>,
}

impl Egress {
    /// Makes one request.
    pub(crate) async fn answer(&self, request: EgressRequest) -> EgressReply {
        let base = match &request.to {
            Receiver::Own => self.gateway.base_url(),
            Receiver::Partner(base_url) => match self.directory.allows(base_url).await {
                Ok(true) => base_url.trim_end_matches('/'),
                Ok(false) => return refused("the receiver is not an active Endpoint of the allow list"),
                Err(error) => return EgressReply::Unreachable(error.to_string()),
            },
        };
        let Some(method) = method(&request.method) else {
            return refused("the method must be GET, POST, PUT or DELETE");
        };
        let Some(url) = below(base, &request.path) else {
            return refused("the path must be a path and query below the base URL");
        };
        let headers = Headers {
            prefer: request.prefer,
            if_match: request.if_match,
            if_none_exist: request.if_none_exist,
        };
        let bounds = Bounds { max_answer: MAX_PAYLOAD, ..self.client.bounds() };
        let body = request.body.map(Bytes::from);
        let answer = match self.client.request_within(method, &url, body, &headers, bounds).await {
            Ok(answer) => answer,
            Err(error) if error.kind == TransportKind::TooLarge => return too_large(),
            Err(error) => return EgressReply::Unreachable(error.to_string()),
        };
        let status = answer.status.as_u16();
        let Ok(body) = String::from_utf8(answer.body.into()) else {
            return refused("the answer is not text");
        };
        let reply = EgressReply::Answer { status, location: answer.location, etag: answer.etag, body };
        // Quotes and line ends take more room as JSON than in the body.
        match serde_json::to_vec(&reply) {
            Ok(payload) if payload.len() <= MAX_PAYLOAD => reply,
            _ => too_large(),
        }
    }

    /// Who this site is; waits a little for the own endpoint.
    pub(crate) async fn site(&self) -> Reply<Site> {
        let deadline = Instant::now() + SITE_WAIT;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            match self.directory.site().await {
                Ok(site) => return Reply::Ok(site),
                Err(error) if Instant::now() >= deadline => return Reply::Unavailable(error.to_string()),
                Err(_) => backoff.wait().await,
            }
        }
    }
}

fn method(name: &str) -> Option<Method> {
    [Method::GET, Method::POST, Method::PUT, Method::DELETE].into_iter().find(|method| method == name)
}

/// The URL of a path and query below a base URL; nothing that could lead elsewhere.
fn below(base: &str, path: &str) -> Option<String> {
    let route = path.split('?').next().unwrap_or_default();
    // Dots may be escaped too; no FHIR path needs either in a segment of its own.
    let climbs = route.split('/').any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == ".." || segment == "."
    });
    let clean = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\');
    if climbs || !clean || path.starts_with('/') {
        return None;
    }
    let url = match path.chars().next() {
        None => base.to_owned(),
        Some('?') => format!("{base}{path}"),
        Some(_) => format!("{base}/{path}"),
    };
    url.parse::<Uri>().is_ok().then_some(url)
}

fn refused(reason: &str) -> EgressReply {
    EgressReply::Refused(reason.to_owned())
}

fn too_large() -> EgressReply {
    refused(&format!(
        "the answer is larger than the {MAX_PAYLOAD} bytes a worker can be given: ask for less, for example with _count"
    ))
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn paths_stay_below_the_base_url() {
        let base = "https://a.test/fhir";
        for (path, expected) in [
            ("", Some("https://a.test/fhir")),
            ("Task/1", Some("https://a.test/fhir/Task/1")),
            ("?_type=Task", Some("https://a.test/fhir?_type=Task")),
            ("Task?identifier=http://x/sid|v", Some("https://a.test/fhir/Task?identifier=http://x/sid|v")),
            ("../admin", None),
            ("Task/%2E%2e/x", None),
            ("/Task", None),
            ("Task 1", None),
            ("Task\r\nHost: b", None),
            ("Task#x", None),
        ] {
            assert_eq!(below(base, path).as_deref(), expected, "{path}");
        }
    }
}
