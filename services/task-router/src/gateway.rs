//! Requests to the own endpoint, with its answers sorted by what can be done about them.
use bytes::Bytes;
use fhir::Resource;
use fhir_client::{Answer, Client, Headers};
use http::{Method, StatusCode};

/// The own endpoint.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) client: Client,
    base_url: String,
}

/// Why the own endpoint gave no usable answer. Texts hold no personal data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    /// Unreachable, overloaded, or in trouble: later.
    #[error("own endpoint: {0}")]
    Unavailable(String),
    /// It answered, and repeating would not change the answer.
    #[error("own endpoint answered {0}")]
    Refused(StatusCode),
    /// It answered 200 with something unreadable.
    #[error("own endpoint sent a resource that cannot be read: {0}")]
    Unreadable(String),
}

impl Gateway {
    pub(crate) fn new(client: Client, base_url: &str) -> Self {
        Self { client, base_url: base_url.trim_end_matches('/').to_owned() }
    }

    /// Base URL without a slash at the end.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// True for the own base URL, however it ends.
    pub(crate) fn is_own(&self, base_url: &str) -> bool {
        base_url.trim_end_matches('/') == self.base_url
    }

    /// Reads a resource or a search result; `path` is below the base URL.
    pub(crate) async fn read(&self, path: &str) -> Result<Resource, GatewayError> {
        let answer = self.get(path).await?;
        answer.resource().map_err(|error| GatewayError::Unreadable(error.to_string()))
    }

    /// As [`Gateway::read`], with the answer as it came.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, GatewayError> {
        self.ask(Method::GET, path, None, &Headers::default()).await
    }

    /// Replaces the version `version` of a resource.
    pub(crate) async fn update(
        &self,
        path: &str,
        version: u64,
        body: Vec<u8>,
    ) -> Result<Answer, GatewayError> {
        let headers = Headers {
            prefer: Some("return=minimal".to_owned()),
            if_match: Some(format!("W/\"{version}\"")),
            if_none_exist: None,
        };
        self.ask(Method::PUT, path, Some(body.into()), &headers).await
    }

    /// Creates a resource unless one fits the condition (`If-None-Exist`).
    pub(crate) async fn create(
        &self,
        resource_type: &str,
        body: Vec<u8>,
        condition: &str,
    ) -> Result<Answer, GatewayError> {
        let headers = Headers {
            prefer: Some("return=minimal".to_owned()),
            if_match: None,
            if_none_exist: Some(condition.to_owned()),
        };
        self.ask(Method::POST, resource_type, Some(body.into()), &headers).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        headers: &Headers,
    ) -> Result<Answer, GatewayError> {
        let url = format!("{}/{path}", self.base_url);
        let answer = self
            .client
            .request(method, &url, body, headers)
            .await
            .map_err(|error| GatewayError::Unavailable(error.to_string()))?;
        let status = answer.status;
        if status.is_success() {
            Ok(answer)
        } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Err(GatewayError::Unavailable(status.to_string()))
        } else {
            Err(GatewayError::Refused(status))
        }
    }
}
