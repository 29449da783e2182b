//! Direct uploads: announce, send what is missing, finish.

use axum::body::BodyDataStream;
use futures::StreamExt;
use loggia_publish::complete::complete;
use loggia_publish::sources::{self, Rules, SOURCE_BYTES_MAX, Sources};
use loggia_publish::upload::upload;
use loggia_storage::{ManifestWrite, StoreError, publish};
use loggia_types::alias::AliasName;
use loggia_types::api::UploadStarted;
use loggia_types::build::{BuildFailure, Step};
use loggia_types::content_hash::ContentHasher;
use loggia_types::manifest::{Facts, HtmlHandling, NewEntry, NotFound};
use loggia_types::publish::{LimitExceeded, SiteFile, plan};
use loggia_types::rules::Dialect;
use loggia_types::{
    ContentHash, DeploymentId, DeploymentRef, FolderRef, Manifest, ObjectKey, Problem, Timestamp,
};
use tokio::io::AsyncWriteExt;

use crate::app::App;
use crate::db;
use crate::db::deployments::{DeploymentRow, NewDeployment, Source, State};
use crate::db::projects::ProjectRow;
use crate::error::ApiError;
use crate::ops;

/// Compares the announced files with what the project's production has, and remembers them.
pub(crate) async fn start(
    app: &App,
    project: &ProjectRow,
    files: Vec<SiteFile>,
    alias: AliasName,
    message: String,
) -> Result<UploadStarted, ApiError> {
    if files.is_empty() {
        return Err(ApiError::unprocessable("no_files", "a deployment has at least one file"));
    }
    let id = DeploymentId::generate();
    let base = find_base(app, project, &alias).await?;
    let plan = plan(files, FolderRef::of_attempt(id, 1), base.as_ref())?;
    let mut stored = vec![true; plan.entries.len()];
    for at in &plan.uploads {
        stored[*at] = false;
    }
    let new = NewDeployment {
        id,
        project_id: project.id,
        source: Source::Upload,
        state: State::Deploying,
        environment: ops::builds::environment(&alias),
        alias,
        branch: None,
        commit: None,
        before: None,
        message,
        author: String::new(),
        counts: Some(plan.counts()),
    };
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::deployments::insert(&transaction, &new).await?;
    db::uploads::insert(&transaction, id, &plan.entries, &stored).await?;
    transaction.commit().await?;
    Ok(UploadStarted { id, missing: plan.missing().into_iter().collect() })
}

/// The deployment whose unchanged files are kept.
async fn find_base(app: &App, project: &ProjectRow, alias: &AliasName) -> Result<Option<Manifest>, ApiError> {
    let base = db::aliases::find_base(&app.db().await?, project.id, alias).await?;
    match base {
        None => Ok(None),
        Some(deployment_id) => {
            let deployment = DeploymentRef { project_id: project.id, deployment_id };
            match app.store.find_manifest(deployment).await {
                // It costs an upload, not the deployment.
                Err(StoreError::Manifest { cause, .. }) => {
                    tracing::warn!(%cause, "The manifest of {deployment} cannot be read, nothing of it is reused");
                    Ok(None)
                }
                found => Ok(found?),
            }
        }
    }
}

/// Takes one content: checks its size and hash on disk, then stores it with what is made of it.
pub(crate) async fn receive(
    app: &App,
    project: &ProjectRow,
    id: DeploymentId,
    hash: ContentHash,
    body: BodyDataStream,
) -> Result<(), ApiError> {
    let row = ops::deployments::get(&app.db().await?, project.id, id).await?;
    let Some(entry) = db::uploads::find_waiting(&app.db().await?, id, hash).await? else {
        return already_there(app, &row, hash).await;
    };
    if row.state != State::Deploying {
        return Err(has_ended(&row));
    }
    let _slot = app.upload_slots.acquire().await.map_err(ApiError::internal)?;
    let file = spool(app, hash, entry.size, body).await?;
    let findings = upload(&app.store, &app.compressors, project.id, &entry, file.path()).await?;
    db::uploads::mark_stored(&app.db().await?, id, &entry.path, &findings).await?;
    Ok(())
}

/// A content that was sent before is fine; one that nobody announced is not.
async fn already_there(app: &App, row: &DeploymentRow, hash: ContentHash) -> Result<(), ApiError> {
    if db::uploads::is_announced(&app.db().await?, row.id, hash).await? {
        return Ok(());
    }
    Err(ApiError::not_found(format!("file with content {hash} announced for deployment {}", row.id)))
}

/// Writes a body to a temporary file while hashing it.
async fn spool(
    app: &App,
    expected: ContentHash,
    size: u64,
    mut body: BodyDataStream,
) -> Result<tempfile::NamedTempFile, ApiError> {
    let file = tempfile::NamedTempFile::new_in(&app.config.temp_dir).map_err(ApiError::internal)?;
    let mut writer = tokio::fs::File::from_std(file.reopen().map_err(ApiError::internal)?);
    let mut hasher = ContentHasher::default();
    let mut received = 0u64;
    while let Some(piece) = body.next().await {
        let piece = piece
            .map_err(|error| ApiError::bad_request("upload_cut", format!("the upload broke off: {error}")))?;
        received += piece.len() as u64;
        if received > size {
            return Err(ApiError::too_large(format!(
                "{expected} was announced with {size} bytes, more came"
            )));
        }
        hasher.update(&piece);
        writer.write_all(&piece).await.map_err(ApiError::internal)?;
    }
    writer.flush().await.map_err(ApiError::internal)?;
    let actual = hasher.finish();
    if actual != expected || received != size {
        let message = format!(
            "the content has the hash {actual} and {received} bytes, announced were {expected} and {size}"
        );
        return Err(ApiError::unprocessable("hash_mismatch", message));
    }
    Ok(file)
}

/// Writes the manifest and lets the deployment go live. Finishing twice is answered alike.
pub(crate) async fn finish(
    app: &App,
    project: &ProjectRow,
    id: DeploymentId,
) -> Result<DeploymentRow, ApiError> {
    let client = app.db().await?;
    let row = ops::deployments::get(&client, project.id, id).await?;
    match (row.state, &row.failure) {
        _ if row.source != Source::Upload => return Err(has_ended(&row)),
        (State::Ready, _) => return Ok(row),
        (State::Deploying, _) => {}
        (State::Failed, Some(failure)) => return Err(refused(&failure.reason)),
        _ => return Err(has_ended(&row)),
    }
    let missing = db::uploads::count_missing(&client, id).await?;
    if missing > 0 {
        let message = format!("{missing} announced files have not been sent yet");
        return Err(ApiError::conflict("files_missing", message));
    }
    let entries = db::uploads::list(&client, id).await?;
    drop(client);
    let rules = match read_sources(app, project, &entries).await?.compile() {
        Ok(rules) => rules,
        Err(cause) => return Err(fail(app, id, &cause.to_string()).await?),
    };
    let problems = write_manifest(app, project, &row, entries, rules).await?;
    go_live(app, &row, &problems).await?;
    ops::deployments::get(&app.db().await?, project.id, id).await
}

/// The project's own rules and settings, out of the store: some of them may lie there since an earlier deployment.
async fn read_sources(app: &App, project: &ProjectRow, entries: &[NewEntry]) -> Result<Sources, ApiError> {
    let mut sources = Sources::default();
    for entry in entries {
        sources.has_wrangler |= sources::WRANGLER_NAMES.contains(&entry.path.as_str());
        let Some(slot) = sources.slot(entry.path.as_str()) else { continue };
        let key = ObjectKey::file(project.id, entry.folder, &entry.source_path);
        let content = app.store.find_start(&key, SOURCE_BYTES_MAX).await?;
        *slot = Some(content.ok_or_else(|| ApiError::internal(format!("the object {key} is gone")))?);
    }
    Ok(sources)
}

/// Gives the problems that the manifest tells of: when an earlier try wrote it, that one's.
async fn write_manifest(
    app: &App,
    project: &ProjectRow,
    row: &DeploymentRow,
    entries: Vec<NewEntry>,
    rules: Rules,
) -> Result<Vec<Problem>, ApiError> {
    let deployment = DeploymentRef { project_id: project.id, deployment_id: row.id };
    let base = find_base(app, project, &row.alias).await?;
    let facts = Facts {
        deployment,
        created_at: row.created_at,
        commit: None,
        branch: None,
        framework: None,
        // The project's files have the say over these; `complete` puts it in.
        dialect: Dialect::default(),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::default(),
        permanent: false,
        problems: Vec::new(),
    };
    let manifest = complete(facts, rules, entries, base.as_ref(), Timestamp::now());
    let problems = manifest.facts.problems.clone();
    match publish::write_manifest(&app.store, manifest).await? {
        ManifestWrite::Written => Ok(problems),
        ManifestWrite::AlreadyThere => {
            let earlier = app.store.find_manifest(deployment).await?;
            Ok(earlier.map(|manifest| manifest.facts().problems.clone()).unwrap_or_default())
        }
    }
}

/// Ends a deployment whose rules are over a limit: sent again with the same files, they would be again.
async fn fail(app: &App, id: DeploymentId, reason: &str) -> Result<ApiError, ApiError> {
    let failure = BuildFailure {
        step: Step::Collect,
        reason: reason.to_owned(),
        exit_code: None,
        log_tail: Vec::new(),
    };
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    if db::deployments::mark_failed(&transaction, id, &failure, &[]).await? {
        db::uploads::delete(&transaction, id).await?;
    }
    transaction.commit().await?;
    Ok(refused(reason))
}

fn refused(reason: &str) -> ApiError {
    ApiError::unprocessable("rules_refused", reason)
}

async fn go_live(app: &App, row: &DeploymentRow, problems: &[Problem]) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let counts = row.counts.unwrap_or_default();
    if db::deployments::mark_ready(&transaction, row.id, &counts, None, problems, &[]).await? {
        db::uploads::delete(&transaction, row.id).await?;
        ops::deployments::advance_alias(app, &transaction, row.id).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn has_ended(row: &DeploymentRow) -> ApiError {
    let message = format!("deployment {} is {}, it takes no files", row.id, row.state.as_str());
    ApiError::conflict("deployment_has_ended", message)
}

impl From<LimitExceeded> for ApiError {
    fn from(error: LimitExceeded) -> Self {
        match error {
            LimitExceeded::Duplicate(_) => Self::unprocessable("duplicate_path", error.to_string()),
            _ => Self::too_large(error.to_string()),
        }
    }
}
