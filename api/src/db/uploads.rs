//! Files of direct uploads, between announcement and finish.

use loggia_types::manifest::NewEntry;
use loggia_types::{ContentHash, DeploymentId, fingerprint, media_type};
use tokio_postgres::Row;

use super::{DbError, GenericClient, statements, text};

statements! {
    INSERT = "
        insert into upload_files (deployment_id, path, sha256, size_bytes, folder, immutable, stored_at)
        select $1, f.path, f.sha256, f.size_bytes, f.folder, f.immutable, case when f.stored then now() end
        from unnest($2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::boolean[], $7::boolean[])
             as f (path, sha256, size_bytes, folder, immutable, stored)";

    LIST_BY_CONTENT = "
        select path, sha256, size_bytes, folder, immutable from upload_files
        where deployment_id = $1 and sha256 = $2 and stored_at is null";

    IS_ANNOUNCED = "select from upload_files where deployment_id = $1 and sha256 = $2 limit 1";

    MARK_STORED = "
        update upload_files set stored_at = now() where deployment_id = $1 and sha256 = $2 and stored_at is null";

    COUNT_MISSING = "
        select count(*) as missing from upload_files where deployment_id = $1 and stored_at is null";

    LIST = "
        select path, sha256, size_bytes, folder, immutable from upload_files
        where deployment_id = $1 order by path";

    DELETE = "delete from upload_files where deployment_id = $1";
}

/// `stored[i]` tells that entry i's bytes are there already.
pub(crate) async fn insert(
    db: &impl GenericClient,
    id: DeploymentId,
    entries: &[NewEntry],
    stored: &[bool],
) -> Result<(), DbError> {
    let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let hashes: Vec<&[u8]> = entries.iter().map(|entry| entry.hash.as_bytes().as_slice()).collect();
    let sizes: Vec<i64> = entries.iter().map(|entry| i64::try_from(entry.size).unwrap_or(i64::MAX)).collect();
    let folders: Vec<String> = entries.iter().map(|entry| entry.folder.to_string()).collect();
    let immutable: Vec<bool> = entries.iter().map(|entry| entry.immutable).collect();
    let statement = db.prepare_cached(INSERT).await?;
    db.execute(&statement, &[&id.as_str(), &paths, &hashes, &sizes, &folders, &immutable, &stored]).await?;
    Ok(())
}

/// The entries that wait for this content.
pub(crate) async fn list_waiting(
    db: &impl GenericClient,
    id: DeploymentId,
    hash: ContentHash,
) -> Result<Vec<NewEntry>, DbError> {
    let statement = db.prepare_cached(LIST_BY_CONTENT).await?;
    let rows = db.query(&statement, &[&id.as_str(), &hash.as_bytes().as_slice()]).await?;
    rows.iter().map(entry).collect()
}

pub(crate) async fn is_announced(
    db: &impl GenericClient,
    id: DeploymentId,
    hash: ContentHash,
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(IS_ANNOUNCED).await?;
    Ok(db.query_opt(&statement, &[&id.as_str(), &hash.as_bytes().as_slice()]).await?.is_some())
}

pub(crate) async fn mark_stored(
    db: &impl GenericClient,
    id: DeploymentId,
    hash: ContentHash,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(MARK_STORED).await?;
    db.execute(&statement, &[&id.as_str(), &hash.as_bytes().as_slice()]).await?;
    Ok(())
}

pub(crate) async fn count_missing(db: &impl GenericClient, id: DeploymentId) -> Result<i64, DbError> {
    let row = db.query_one(&db.prepare_cached(COUNT_MISSING).await?, &[&id.as_str()]).await?;
    Ok(row.try_get("missing")?)
}

pub(crate) async fn list(db: &impl GenericClient, id: DeploymentId) -> Result<Vec<NewEntry>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&id.as_str()]).await?;
    rows.iter().map(entry).collect()
}

/// Once the manifest is written the rows say nothing new.
pub(crate) async fn delete(db: &impl GenericClient, id: DeploymentId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&id.as_str()]).await?;
    Ok(())
}

fn entry(row: &Row) -> Result<NewEntry, DbError> {
    let path: loggia_types::SitePath = text(row, "path")?;
    let hash: &[u8] = row.try_get("sha256")?;
    Ok(NewEntry {
        hash: ContentHash::from_bytes(hash.try_into().expect("the column holds 32 bytes")),
        size: u64::try_from(row.try_get::<_, i64>("size_bytes")?).unwrap_or(0),
        folder: text(row, "folder")?,
        content_type: media_type::for_path(path.as_str()),
        fingerprinted: fingerprint::is_fingerprinted(path.as_str()),
        immutable: row.try_get("immutable")?,
        path,
    })
}
