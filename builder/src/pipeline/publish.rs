//! The last step: what is new is uploaded, then the manifest, and the deployment exists.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context;
use futures::stream::{self, StreamExt, TryStreamExt};
use loggia_storage::publish::{counts_of, write_manifest};
use loggia_storage::{ManifestWrite, Store, StoreError};
use loggia_types::build::{Outcome, Phase};
use loggia_types::manifest::{Facts, HtmlHandling, NotFound};
use loggia_types::publish::{self as planning, Plan};
use loggia_types::{DeploymentRef, Manifest, Problem, SitePath, Timestamp};

use super::{Halt, Running};
use crate::collect::Site;

/// Small files are bound by latency; 32 in flight fill a local network without exhausting descriptors.
const UPLOADS_IN_FLIGHT: usize = 32;

/// The outcome of an attempt that completed the deployment and could not say so.
pub(super) async fn find_earlier(build: &Running<'_>) -> Result<Option<Outcome>, Halt> {
    let deployment = build.assignment.deployment();
    let found = build
        .unless_stopped(Box::pin(build.tools.store.find_manifest(deployment)))
        .await?;
    let manifest = found.with_context(|| format!("looking for deployment {deployment}"))?;
    Ok(manifest.as_ref().map(ready))
}

fn ready(manifest: &Manifest) -> Outcome {
    let facts = manifest.facts();
    Outcome::Ready {
        counts: counts_of(manifest),
        framework: facts.framework.clone().unwrap_or_default(),
        problems: facts.problems.clone(),
    }
}

pub(super) async fn publish(build: &Running<'_>, framework: String, site: Site) -> Result<Outcome, Halt> {
    build.phase.send_replace(Phase::Deploying);
    let (assignment, store) = (build.assignment, &build.tools.store);
    let deployment = assignment.deployment();
    let base = find_base(build).await?;
    let plan = planning::plan(site.files, assignment.folder(), base.as_ref())
        .map_err(|limit| build.failed(format!("The site is too large: {limit}."), None))?;
    let counts = plan.counts();
    build.log.line(&format!(
        "Uploading {} of {} files",
        counts.uploaded, counts.files
    ));

    let uploaded = build
        .unless_stopped(Box::pin(upload(store, deployment, &plan, &site.locations)))
        .await?;
    uploaded.with_context(|| format!("uploading deployment {deployment}"))?;

    let facts = facts(build, deployment, framework, site.problems);
    let written = build
        .unless_stopped(Box::pin(write_manifest(store, &facts, plan.entries)))
        .await?;
    match written.with_context(|| format!("completing deployment {deployment}"))? {
        ManifestWrite::Written => {
            build.log.line("The deployment is complete.");
            Ok(Outcome::Ready {
                counts,
                framework: facts.framework.unwrap_or_default(),
                problems: facts.problems,
            })
        }
        ManifestWrite::AlreadyThere => {
            let earlier = find_earlier(build).await?;
            Ok(earlier.context("the store says that the manifest is there, and then that it is not")?)
        }
    }
}

fn facts(build: &Running<'_>, deployment: DeploymentRef, framework: String, problems: Vec<Problem>) -> Facts {
    Facts {
        deployment,
        created_at: Timestamp::now(),
        commit: Some(build.assignment.commit.clone()),
        branch: Some(build.assignment.branch.clone()),
        framework: Some(framework),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::default(),
        problems,
    }
}

/// As `loggia_storage::publish::upload_files`, whose future cannot be spawned (its closure borrows from the plan).
async fn upload(
    store: &Store,
    deployment: DeploymentRef,
    plan: &Plan,
    locations: &HashMap<SitePath, PathBuf>,
) -> Result<(), StoreError> {
    let put = |at: usize| async move {
        let entry = &plan.entries[at];
        // Every entry of the plan is one of the site's files; the store refuses a path that is none.
        let file = locations.get(&entry.path).cloned().unwrap_or_default();
        store.put_file(deployment.project_id, entry, &file).await
    };
    stream::iter(plan.uploads.iter().copied())
        .map(put)
        .buffer_unordered(UPLOADS_IN_FLIGHT)
        .try_collect::<()>()
        .await
}

/// The deployment whose files are reused. One that is gone or cannot be read costs an upload, not the build.
async fn find_base(build: &Running<'_>) -> Result<Option<Manifest>, Halt> {
    let Some(deployment_id) = build.assignment.base else {
        return Ok(None);
    };
    let base = DeploymentRef {
        project_id: build.assignment.project_id,
        deployment_id,
    };
    match build
        .unless_stopped(Box::pin(build.tools.store.find_manifest(base)))
        .await?
    {
        Ok(found) => Ok(found),
        Err(StoreError::Manifest { cause, .. }) => {
            tracing::warn!(%cause, "The manifest of {base} cannot be read, uploading everything");
            Ok(None)
        }
        Err(error) => Err(Halt::Fault(
            anyhow::Error::new(error).context(format!("reading the manifest of {base}")),
        )),
    }
}
