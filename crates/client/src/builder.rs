//! The builder's protocol.

use std::time::Duration;

use loggia_types::BuildId;
use loggia_types::build::{BuildAssignment, BuildReport, ClaimRequest, Heartbeat, HeartbeatAnswer, LogBatch};
use reqwest::{Method, StatusCode};

use crate::http::{ClientError, Http};

/// Short calls; a claim waits on purpose and adds its own time.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The code with which the api refuses a builder whose build was given to another.
pub const LEASE_LOST: &str = "lease_lost";

#[derive(Debug, Clone)]
pub struct BuilderClient {
    http: Http,
}

impl BuilderClient {
    pub fn new(api_url: &str, token: &str) -> Self {
        Self { http: Http::new(api_url, token) }
    }

    /// Asks for work; `None` when there was none within `wait`.
    pub async fn claim(&self, builder: &str, wait: Duration) -> Result<Option<BuildAssignment>, ClientError> {
        let body = ClaimRequest { builder: builder.to_owned(), wait_secs: wait.as_secs() };
        let request = self.http.request(Method::POST, "/internal/v1/builds/claim").json(&body);
        let response = self.http.send(request.timeout(wait + CALL_TIMEOUT)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        response.json().await.map(Some).map_err(|error| self.http.unreachable(&error))
    }

    pub async fn heartbeat(
        &self,
        build_id: BuildId,
        body: &Heartbeat,
    ) -> Result<HeartbeatAnswer, ClientError> {
        let request = self.http.request(Method::POST, &format!("/internal/v1/builds/{build_id}/heartbeat"));
        self.http.json(request.json(body).timeout(CALL_TIMEOUT)).await
    }

    pub async fn log(&self, build_id: BuildId, batch: &LogBatch) -> Result<(), ClientError> {
        let request = self.http.request(Method::POST, &format!("/internal/v1/builds/{build_id}/log"));
        self.http.send(request.json(batch).timeout(CALL_TIMEOUT)).await.map(drop)
    }

    pub async fn report(&self, build_id: BuildId, report: &BuildReport) -> Result<(), ClientError> {
        let request = self.http.request(Method::POST, &format!("/internal/v1/builds/{build_id}/report"));
        self.http.send(request.json(report).timeout(CALL_TIMEOUT)).await.map(drop)
    }
}
