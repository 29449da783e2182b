//! The one way to call the api: token, timeout, and one error for everything that can go wrong.

use std::time::Duration;

use loggia_types::api::ErrorBody;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

/// An api that does not take a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer: worth another try later.
    #[error("the api at {url} did not answer: {cause}")]
    Unreachable { url: String, cause: String },
    /// An answer that says no.
    #[error("{message} ({code})")]
    Refused { status: u16, code: String, message: String },
    /// An answer that is not what the protocol says; usually a wrong address or version.
    #[error("the api at {url} gave an answer that could not be read: {cause}")]
    Protocol { url: String, cause: String },
}

impl ClientError {
    /// The machine-readable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Protocol { .. } => false,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base_url: String,
    token: String,
}

impl Http {
    pub(crate) fn new(base_url: &str, token: &str) -> Self {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("loggia/", env!("CARGO_PKG_VERSION")))
            // The api never redirects; following one would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without custom certificates always builds");
        Self { client, base_url: base_url.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base_url)).bearer_auth(&self.token)
    }

    /// Sends, and turns a refusal into an error.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(self.refused(status, response).await)
    }

    /// Sends and decodes JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        response.json().await.map_err(|error| self.protocol(&error))
    }

    /// As [`Http::json`], with 404 as `None`.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<T>, ClientError> {
        match self.json(request).await {
            Ok(value) => Ok(Some(value)),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.base_url.clone(), cause: causes(error) }
    }

    fn protocol(&self, error: &reqwest::Error) -> ClientError {
        if error.is_decode() {
            return ClientError::Protocol { url: self.base_url.clone(), cause: causes(error) };
        }
        self.unreachable(error)
    }

    async fn refused(&self, status: StatusCode, response: Response) -> ClientError {
        let text = response.text().await.unwrap_or_default();
        match serde_json::from_str::<ErrorBody>(&text) {
            Ok(body) => {
                ClientError::Refused { status: status.as_u16(), code: body.code, message: body.detail }
            }
            Err(_) => ClientError::Refused {
                status: status.as_u16(),
                code: format!("http_{}", status.as_u16()),
                message: format!("the api at {} answered {status}", self.base_url),
            },
        }
    }
}

/// reqwest's own message says «error sending request»; the reason is further down.
fn causes(error: &reqwest::Error) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}
