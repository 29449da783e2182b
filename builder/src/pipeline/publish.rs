//! The last step: what is new is uploaded, then the manifest, and the deployment exists.

use anyhow::Context;
use loggia_storage::publish::{counts_of, upload_files, write_manifest};
use loggia_storage::{ManifestWrite, StoreError};
use loggia_types::build::{Outcome, Phase};
use loggia_types::manifest::{Facts, HtmlHandling, NewEntry, NotFound};
use loggia_types::publish as planning;
use loggia_types::{DeploymentRef, Manifest, Problem, Timestamp};

use super::{Halt, Running};
use crate::collect::Site;

/// The outcome of an attempt that completed the deployment and could not say so.
pub(super) async fn find_earlier(build: &Running<'_>) -> Result<Option<Outcome>, Halt> {
    let deployment = build.assignment.deployment();
    let found = build.unless_stopped(Box::pin(build.tools.store.find_manifest(deployment))).await?;
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
    build.log.line(&format!("Uploading {} of {} files", counts.uploaded, counts.files));

    // Every entry of the plan is one of the site's files; the store refuses a path that is none.
    let locate = |entry: &NewEntry| site.locations.get(&entry.path).cloned().unwrap_or_default();
    let uploaded = build.unless_stopped(Box::pin(upload_files(store, deployment, &plan, locate))).await?;
    uploaded.with_context(|| format!("uploading deployment {deployment}"))?;

    let facts = facts(build, deployment, framework, site.problems);
    let written = build.unless_stopped(Box::pin(write_manifest(store, &facts, plan.entries))).await?;
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

/// The deployment whose files are reused. One that is gone or cannot be read costs an upload, not the build.
async fn find_base(build: &Running<'_>) -> Result<Option<Manifest>, Halt> {
    let Some(deployment_id) = build.assignment.base else {
        return Ok(None);
    };
    let base = DeploymentRef { project_id: build.assignment.project_id, deployment_id };
    match build.unless_stopped(Box::pin(build.tools.store.find_manifest(base))).await? {
        Ok(found) => Ok(found),
        Err(StoreError::Manifest { cause, .. }) => {
            tracing::warn!(%cause, "The manifest of {base} cannot be read, uploading everything");
            Ok(None)
        }
        Err(error) => {
            Err(Halt::Fault(anyhow::Error::new(error).context(format!("reading the manifest of {base}"))))
        }
    }
}
