//! The public API, for the CLI and the tests. Carries a person's token.

use std::path::Path;
use std::time::Duration;

use loggia_types::api::{
    AddDomain, AddedDomain, CdnHook, CreateDeployment, CreateProject, CreateVariable, CreatedProject,
    Deployment, Domain, KeyRotation, Page, Project, Promote, PurgeAnswer, SecretsKey, UpdateDomain,
    UpdateProject, UploadStarted, Variable,
};
use loggia_types::build::LogLine;
use loggia_types::purge::PurgeRequest;
use loggia_types::{ContentHash, DeploymentId, DomainId, DomainName, ProjectSlug};
use reqwest::{Body, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{ClientError, Http};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct ApiClient {
    http: Http,
}

impl ApiClient {
    pub fn new(api_url: &str, token: &str) -> Self {
        Self { http: Http::new(api_url, token) }
    }

    pub async fn create_project(&self, body: &CreateProject) -> Result<CreatedProject, ClientError> {
        self.http
            .json(self.http.request(Method::POST, "/api/v1/projects").json(body).timeout(CALL_TIMEOUT))
            .await
    }

    pub async fn list_projects(&self, cursor: Option<&str>) -> Result<Page<Project>, ClientError> {
        let request = self.http.request(Method::GET, "/api/v1/projects").query(&[("after", cursor)]);
        self.http.json(request.timeout(CALL_TIMEOUT)).await
    }

    pub async fn find_project(&self, slug: &ProjectSlug) -> Result<Option<Project>, ClientError> {
        self.http.find(self.project(Method::GET, slug, "")).await
    }

    pub async fn update_project(
        &self,
        slug: &ProjectSlug,
        body: &UpdateProject,
    ) -> Result<Project, ClientError> {
        self.http.json(self.project(Method::PATCH, slug, "").json(body)).await
    }

    pub async fn delete_project(&self, slug: &ProjectSlug) -> Result<(), ClientError> {
        self.http.send(self.project(Method::DELETE, slug, "")).await.map(drop)
    }

    pub async fn create_deployment(
        &self,
        slug: &ProjectSlug,
        body: &CreateDeployment,
    ) -> Result<Deployment, ClientError> {
        self.http.json(self.project(Method::POST, slug, "/deployments").json(body)).await
    }

    /// Announces files; the answer says which contents the platform lacks.
    pub async fn start_upload(
        &self,
        slug: &ProjectSlug,
        body: &CreateDeployment,
    ) -> Result<UploadStarted, ClientError> {
        self.http.json(self.project(Method::POST, slug, "/deployments").json(body)).await
    }

    /// Sends one content. `body` is streamed; the server compares its hash.
    pub async fn upload_file(
        &self,
        slug: &ProjectSlug,
        id: DeploymentId,
        hash: ContentHash,
        file: &Path,
    ) -> Result<(), ClientError> {
        let cannot_read = |error: std::io::Error| ClientError::Protocol {
            url: file.display().to_string(),
            cause: error.to_string(),
        };
        let opened = tokio::fs::File::open(file).await.map_err(cannot_read)?;
        let size = opened.metadata().await.map_err(cannot_read)?.len();
        let request = self
            .http
            .request(Method::PUT, &format!("/api/v1/projects/{slug}/deployments/{id}/files/{hash}"))
            .header("content-length", size)
            .body(Body::from(opened));
        self.http.send(request).await.map(drop)
    }

    pub async fn finish_upload(
        &self,
        slug: &ProjectSlug,
        id: DeploymentId,
    ) -> Result<Deployment, ClientError> {
        self.http.json(self.project(Method::POST, slug, &format!("/deployments/{id}/finish"))).await
    }

    pub async fn list_deployments(
        &self,
        slug: &ProjectSlug,
        cursor: Option<&str>,
    ) -> Result<Page<Deployment>, ClientError> {
        self.http.json(self.project(Method::GET, slug, "/deployments").query(&[("after", cursor)])).await
    }

    pub async fn get_deployment(
        &self,
        slug: &ProjectSlug,
        id: DeploymentId,
    ) -> Result<Deployment, ClientError> {
        self.http.json(self.project(Method::GET, slug, &format!("/deployments/{id}"))).await
    }

    /// The lines of the log from the n-th on.
    pub async fn deployment_log(
        &self,
        slug: &ProjectSlug,
        id: DeploymentId,
        from: u32,
    ) -> Result<Vec<LogLine>, ClientError> {
        self.http.json(self.project(Method::GET, slug, &format!("/deployments/{id}/log?from={from}"))).await
    }

    pub async fn cancel_deployment(
        &self,
        slug: &ProjectSlug,
        id: DeploymentId,
    ) -> Result<Deployment, ClientError> {
        self.http.json(self.project(Method::POST, slug, &format!("/deployments/{id}/cancel"))).await
    }

    /// Makes every edge, and a CDN in front, forget something of the project.
    pub async fn purge(&self, slug: &ProjectSlug, body: &PurgeRequest) -> Result<PurgeAnswer, ClientError> {
        self.http.json(self.project(Method::POST, slug, "/purge").json(body)).await
    }

    /// How far each configured CDN was told what to forget.
    pub async fn list_cdn_hooks(&self) -> Result<Vec<CdnHook>, ClientError> {
        self.http.json(self.http.request(Method::GET, "/api/v1/cdn").timeout(CALL_TIMEOUT)).await
    }

    pub async fn promote(&self, slug: &ProjectSlug, body: &Promote) -> Result<Deployment, ClientError> {
        self.http.json(self.project(Method::POST, slug, "/promote").json(body)).await
    }

    pub async fn roll_back(&self, slug: &ProjectSlug) -> Result<Deployment, ClientError> {
        self.http.json(self.project(Method::POST, slug, "/rollback")).await
    }

    pub async fn add_domain(&self, slug: &ProjectSlug, body: &AddDomain) -> Result<AddedDomain, ClientError> {
        self.http.json(self.project(Method::POST, slug, "/domains").json(body)).await
    }

    pub async fn list_domains(&self, slug: &ProjectSlug) -> Result<Page<Domain>, ClientError> {
        self.http.json(self.project(Method::GET, slug, "/domains")).await
    }

    pub async fn get_domain(&self, slug: &ProjectSlug, id: DomainId) -> Result<Domain, ClientError> {
        self.http.json(self.project(Method::GET, slug, &format!("/domains/{id}"))).await
    }

    /// Changes what visitors of it get.
    pub async fn update_domain(
        &self,
        slug: &ProjectSlug,
        id: DomainId,
        body: &UpdateDomain,
    ) -> Result<Domain, ClientError> {
        self.http.json(self.project(Method::PATCH, slug, &format!("/domains/{id}")).json(body)).await
    }

    pub async fn make_primary_domain(&self, slug: &ProjectSlug, id: DomainId) -> Result<Domain, ClientError> {
        self.http.json(self.project(Method::POST, slug, &format!("/domains/{id}/primary"))).await
    }

    /// Has its zone looked at now.
    pub async fn verify_domain(&self, slug: &ProjectSlug, id: DomainId) -> Result<Domain, ClientError> {
        self.http.json(self.project(Method::POST, slug, &format!("/domains/{id}/verify"))).await
    }

    pub async fn remove_domain(&self, slug: &ProjectSlug, id: DomainId) -> Result<(), ClientError> {
        self.http.send(self.project(Method::DELETE, slug, &format!("/domains/{id}"))).await.map(drop)
    }

    /// Ends the quarantine of a hostname that an organization gave up, so that another one can have it.
    pub async fn hand_over_hostname(&self, hostname: &DomainName) -> Result<(), ClientError> {
        let path = format!("/api/v1/released-hostnames/{hostname}");
        self.http.send(self.http.request(Method::DELETE, &path).timeout(CALL_TIMEOUT)).await.map(drop)
    }

    /// The variables of a project itself; secrets without their values.
    pub async fn list_variables(&self, slug: &ProjectSlug) -> Result<Page<Variable>, ClientError> {
        self.http.json(self.project(Method::GET, slug, "/variables")).await
    }

    pub async fn create_variable(
        &self,
        slug: &ProjectSlug,
        body: &CreateVariable,
    ) -> Result<Variable, ClientError> {
        self.http.json(self.project(Method::POST, slug, "/variables").json(body)).await
    }

    /// The keys that seal secrets, by name.
    pub async fn list_keys(&self) -> Result<Vec<SecretsKey>, ClientError> {
        self.http.json(self.http.request(Method::GET, "/api/v1/platform/keys").timeout(CALL_TIMEOUT)).await
    }

    /// Seals secrets anew, for some seconds; the answer says how many remain.
    pub async fn rotate_keys(&self) -> Result<KeyRotation, ClientError> {
        let request = self.http.request(Method::POST, "/api/v1/platform/keys/rotate");
        self.http.json(request.timeout(CALL_TIMEOUT)).await
    }

    /// `GET /api/v1` and `path`, for what has no method of its own here.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.http.json(self.call(Method::GET, path)).await
    }

    /// As [`ApiClient::get`]; the answer has a body.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.http.json(self.call(Method::POST, path).json(body)).await
    }

    /// As [`ApiClient::get`]; an answer's body is not looked at.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.http.send(self.call(Method::PUT, path).json(body)).await.map(drop)
    }

    /// As [`ApiClient::put`].
    pub async fn patch(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.http.send(self.call(Method::PATCH, path).json(body)).await.map(drop)
    }

    /// As [`ApiClient::put`].
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.http.send(self.call(Method::DELETE, path)).await.map(drop)
    }

    fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, &format!("/api/v1{path}")).timeout(CALL_TIMEOUT)
    }

    fn project(&self, method: Method, slug: &ProjectSlug, rest: &str) -> reqwest::RequestBuilder {
        self.http.request(method, &format!("/api/v1/projects/{slug}{rest}")).timeout(CALL_TIMEOUT)
    }
}
