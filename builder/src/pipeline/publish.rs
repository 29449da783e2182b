//! The last step: what is new is uploaded, then the manifest, and the deployment exists.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use loggia_publish::complete::complete;
use loggia_publish::sources::Rules;
use loggia_publish::upload::{is_compressed, upload_all};
use loggia_storage::publish::{counts_of, write_manifest};
use loggia_storage::{ManifestWrite, StoreError};
use loggia_types::build::{Outcome, Phase};
use loggia_types::manifest::{Facts, HtmlHandling, NewEntry, NotFound};
use loggia_types::publish::{self as planning, Plan};
use loggia_types::rules::Dialect;
use loggia_types::{DeploymentRef, Manifest, Problem, SitePath, Timestamp};
use tokio::time::Instant;

use super::{Halt, Running};
use crate::collect::Site;

/// Often enough to see that something happens, seldom enough for a log.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

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

pub(super) async fn publish(
    build: &Running<'_>,
    framework: String,
    site: Site,
    rules: Rules,
) -> Result<Outcome, Halt> {
    build.phase.send_replace(Phase::Deploying);
    let (assignment, store) = (build.assignment, &build.tools.store);
    let deployment = assignment.deployment();
    let base = find_base(build).await?;
    let mut plan = planning::plan(site.files, assignment.folder(), base.as_ref())
        .map_err(|limit| build.failed(format!("The site is too large: {limit}."), None))?;
    let counts = plan.counts();
    upload(build, &mut plan, &site.locations).await?;

    let facts = facts(build, deployment, framework, site.problems);
    let manifest = complete(facts, rules, plan.entries, base.as_ref(), Timestamp::now());
    let (framework, problems) = (manifest.facts.framework.clone(), manifest.facts.problems.clone());
    let written = build.unless_stopped(Box::pin(write_manifest(store, manifest))).await?;
    match written.with_context(|| format!("completing deployment {deployment}"))? {
        ManifestWrite::Written => {
            build.log.line("The deployment is complete.");
            Ok(Outcome::Ready { counts, framework: framework.unwrap_or_default(), problems })
        }
        ManifestWrite::AlreadyThere => {
            let earlier = find_earlier(build).await?;
            Ok(earlier.context("the store says that the manifest is there, and then that it is not")?)
        }
    }
}

async fn upload(
    build: &Running<'_>,
    plan: &mut Plan,
    locations: &HashMap<SitePath, PathBuf>,
) -> Result<(), Halt> {
    let (tools, assignment) = (build.tools, build.assignment);
    let (files, contents) = (plan.entries.len(), plan.uploads.len());
    let compressed = plan.uploads.iter().filter(|at| is_compressed(&plan.entries[**at])).count();
    build.log.line(&format!("Compressing {compressed} of {files} files"));
    build.log.line(&format!("Uploading {contents} of {files} files"));
    let mut said_at = Instant::now();
    let progress = |done: usize| {
        if said_at.elapsed() >= PROGRESS_EVERY {
            said_at = Instant::now();
            build.log.line(&format!("Uploaded {done} of {contents} files"));
        }
    };
    // Every entry of the plan is one of the site's files; the store refuses a path that is none.
    let locate = |entry: &NewEntry| locations.get(&entry.path).cloned().unwrap_or_default();
    let all = upload_all(&tools.store, &tools.compressors, assignment.project_id, plan, locate, progress);
    let uploaded = build.unless_stopped(Box::pin(all)).await?;
    Ok(uploaded.with_context(|| format!("uploading deployment {}", assignment.deployment()))?)
}

fn facts(build: &Running<'_>, deployment: DeploymentRef, framework: String, problems: Vec<Problem>) -> Facts {
    Facts {
        deployment,
        created_at: Timestamp::now(),
        commit: Some(build.assignment.commit.clone()),
        branch: Some(build.assignment.branch.clone()),
        framework: Some(framework),
        // The project's files have the say over these; `complete` puts it in.
        dialect: Dialect::default(),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::default(),
        permanent: false,
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
