//! Files of direct uploads, between announcement and finish.

use loggia_publish::upload::Findings;
use loggia_types::manifest::NewEntry;
use loggia_types::{ContentHash, DeploymentId, SitePath, fingerprint, media_type};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{DbError, GenericClient, json, statements, text, to_json};

statements! {
    INSERT = "
        insert into upload_files (deployment_id, path, sha256, size_bytes, folder, source_path, immutable, variants,
                                  link, stored_at)
        select $1, f.path, f.sha256, f.size_bytes, f.folder, f.source_path, f.immutable, f.variants, f.link,
               case when f.stored then now() end
        from unnest($2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::boolean[], $8::jsonb[],
                    $9::text[], $10::boolean[])
             as f (path, sha256, size_bytes, folder, source_path, immutable, variants, link, stored)";

    FIND_WAITING = "
        select path, sha256, size_bytes, folder, source_path, immutable, variants, link from upload_files
        where deployment_id = $1 and sha256 = $2 and stored_at is null limit 1";

    IS_ANNOUNCED = "select from upload_files where deployment_id = $1 and sha256 = $2 limit 1";

    MARK_STORED = "
        update upload_files set stored_at = now(), variants = $3, link = $4
        where deployment_id = $1 and path = $2 and stored_at is null";

    COUNT_MISSING = "
        select count(*) as missing from upload_files where deployment_id = $1 and stored_at is null";

    LIST = "
        select path, sha256, size_bytes, folder, source_path, immutable, variants, link from upload_files
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
    let source_paths: Vec<&str> = entries.iter().map(|entry| entry.source_path.as_str()).collect();
    let variants: Vec<_> = entries.iter().map(|entry| to_json(&entry.variants)).collect();
    let links: Vec<Option<&str>> = entries.iter().map(|entry| entry.link.as_deref()).collect();
    let immutable: Vec<bool> = entries.iter().map(|entry| entry.immutable).collect();
    let statement = db.prepare_cached(INSERT).await?;
    let columns: [&(dyn ToSql + Sync); 10] = [
        &id.as_str(),
        &paths,
        &hashes,
        &sizes,
        &folders,
        &source_paths,
        &immutable,
        &variants,
        &links,
        &stored,
    ];
    db.execute(&statement, &columns).await?;
    Ok(())
}

/// The entry that waits for this content: a plan uploads each content once.
pub(crate) async fn find_waiting(
    db: &impl GenericClient,
    id: DeploymentId,
    hash: ContentHash,
) -> Result<Option<NewEntry>, DbError> {
    let statement = db.prepare_cached(FIND_WAITING).await?;
    let row = db.query_opt(&statement, &[&id.as_str(), &hash.as_bytes().as_slice()]).await?;
    row.as_ref().map(entry).transpose()
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
    path: &SitePath,
    findings: &Findings,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(MARK_STORED).await?;
    let variants = to_json(&findings.variants);
    db.execute(&statement, &[&id.as_str(), &path.as_str(), &variants, &findings.link.as_deref()]).await?;
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
    let path: SitePath = text(row, "path")?;
    let hash: &[u8] = row.try_get("sha256")?;
    Ok(NewEntry {
        hash: ContentHash::from_bytes(hash.try_into().expect("the column holds 32 bytes")),
        size: u64::try_from(row.try_get::<_, i64>("size_bytes")?).unwrap_or(0),
        folder: text(row, "folder")?,
        source_path: text(row, "source_path")?,
        content_type: media_type::for_path(path.as_str()),
        fingerprinted: fingerprint::is_fingerprinted(path.as_str()),
        immutable: row.try_get("immutable")?,
        variants: json(row, "variants")?,
        link: row.try_get::<_, Option<String>>("link")?.map(Into::into),
        path,
    })
}
