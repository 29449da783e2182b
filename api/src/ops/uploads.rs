//! Direct uploads: announce, send what is missing, finish.

use axum::body::BodyDataStream;
use futures::StreamExt;
use loggia_storage::publish;
use loggia_types::alias::AliasName;
use loggia_types::api::UploadStarted;
use loggia_types::content_hash::ContentHasher;
use loggia_types::manifest::{Facts, HtmlHandling, NotFound};
use loggia_types::publish::{LimitExceeded, SiteFile, plan};
use loggia_types::{ContentHash, DeploymentId, DeploymentRef, FolderRef, Manifest};
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
    Ok(UploadStarted { id, missing: plan.missing().into_keys().collect() })
}

/// The deployment whose unchanged files are kept.
async fn find_base(app: &App, project: &ProjectRow, alias: &AliasName) -> Result<Option<Manifest>, ApiError> {
    let base = db::aliases::find_base(&app.db().await?, project.id, alias).await?;
    match base {
        None => Ok(None),
        Some(deployment_id) => {
            let deployment = DeploymentRef { project_id: project.id, deployment_id };
            Ok(app.store.find_manifest(deployment).await?)
        }
    }
}

/// Takes one content: checks its size and hash on disk, then stores it under every path that waits for it.
pub(crate) async fn receive(
    app: &App,
    project: &ProjectRow,
    id: DeploymentId,
    hash: ContentHash,
    body: BodyDataStream,
) -> Result<(), ApiError> {
    let row = ops::deployments::get(&app.db().await?, project.id, id).await?;
    let waiting = db::uploads::list_waiting(&app.db().await?, id, hash).await?;
    let Some(size) = waiting.first().map(|entry| entry.size) else {
        return already_there(app, &row, hash).await;
    };
    if row.state != State::Deploying {
        return Err(has_ended(&row));
    }
    let _slot = app.upload_slots.acquire().await.map_err(ApiError::internal)?;
    let file = spool(app, hash, size, body).await?;
    for entry in &waiting {
        app.store.put_file(project.id, entry, file.path()).await?;
    }
    db::uploads::mark_stored(&app.db().await?, id, hash).await?;
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
    if actual != expected {
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
    match row.state {
        State::Ready if row.source == Source::Upload => return Ok(row),
        State::Deploying if row.source == Source::Upload => {}
        _ => return Err(has_ended(&row)),
    }
    let missing = db::uploads::count_missing(&client, id).await?;
    if missing > 0 {
        let message = format!("{missing} announced files have not been sent yet");
        return Err(ApiError::conflict("files_missing", message));
    }
    let entries = db::uploads::list(&client, id).await?;
    drop(client);
    let facts = Facts {
        deployment: DeploymentRef { project_id: project.id, deployment_id: id },
        created_at: row.created_at,
        commit: None,
        branch: None,
        framework: None,
        html_handling: HtmlHandling::default(),
        not_found: NotFound::default(),
        problems: Vec::new(),
    };
    publish::write_manifest(&app.store, &facts, entries).await?;
    go_live(app, &row).await?;
    ops::deployments::get(&app.db().await?, project.id, id).await
}

async fn go_live(app: &App, row: &DeploymentRow) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let counts = row.counts.unwrap_or_default();
    if db::deployments::mark_ready(&transaction, row.id, &counts, None, &[], &[]).await? {
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
