//! Projects.

use loggia_types::api::UpdateProject;
use loggia_types::build::BuildSettings;
use loggia_types::manifest::NotFound;
use loggia_types::{BranchName, DeploymentId, ProjectId, ProjectSlug, RepositoryUrl, Timestamp};
use tokio_postgres::Row;

use super::{DbError, GenericClient, json, optional_text, statements, text, to_json};

pub(crate) const SLUG_IS_UNIQUE: &str = "projects_slug_is_unique";

#[derive(Debug, Clone)]
pub(crate) struct ProjectRow {
    pub(crate) id: ProjectId,
    pub(crate) slug: ProjectSlug,
    pub(crate) name: String,
    pub(crate) repository_url: Option<RepositoryUrl>,
    pub(crate) production_branch: BranchName,
    pub(crate) build: BuildSettings,
    pub(crate) not_found: NotFound,
    pub(crate) webhook_secret: String,
    pub(crate) production_deployment_id: Option<DeploymentId>,
    pub(crate) created_at: Timestamp,
}

impl ProjectRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: text(row, "project_id")?,
            slug: text(row, "slug")?,
            name: row.try_get("name")?,
            repository_url: optional_text(row, "repository_url")?,
            production_branch: text(row, "production_branch")?,
            build: json(row, "build_settings")?,
            not_found: text(row, "not_found")?,
            webhook_secret: row.try_get("webhook_secret")?,
            production_deployment_id: optional_text(row, "production_deployment_id")?,
            created_at: Timestamp(row.try_get("created_at")?),
        })
    }
}

statements! {
    INSERT = "
        insert into projects (project_id, organization_id, slug, name, repository_url, repository_identity,
                              production_branch, build_settings, not_found, webhook_secret)
        select $1, organization_id, $2, $3, $4, $5, $6, $7, $8, $9
        from organizations order by created_at, organization_id limit 1";

    FIND_BY_SLUG = "
        select p.project_id, p.slug, p.name, p.repository_url, p.production_branch, p.build_settings, p.not_found,
               p.webhook_secret, p.created_at, a.deployment_id as production_deployment_id
        from projects p left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        where p.slug = $1";

    LIST = "
        select p.project_id, p.slug, p.name, p.repository_url, p.production_branch, p.build_settings, p.not_found,
               p.webhook_secret, p.created_at, a.deployment_id as production_deployment_id
        from projects p left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        where p.project_id > $1
        order by p.project_id limit $2";

    LIST_IDS = "select project_id from projects order by project_id";

    LIST_BY_REPOSITORY = "
        select p.project_id, p.slug, p.name, p.repository_url, p.production_branch, p.build_settings, p.not_found,
               p.webhook_secret, p.created_at, a.deployment_id as production_deployment_id
        from projects p left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        where p.repository_identity = $1
        order by p.project_id";

    UPDATE = "
        update projects set
            name = coalesce($2, name),
            repository_url = coalesce($3, repository_url),
            repository_identity = coalesce($4, repository_identity),
            production_branch = coalesce($5, production_branch),
            build_settings = coalesce($6, build_settings),
            not_found = coalesce($7, not_found)
        where project_id = $1";

    DELETE = "delete from projects where project_id = $1";

    /// Every installation has one organization to begin with.
    ENSURE_ORGANIZATION = "
        insert into organizations (organization_id, slug, name)
        select $1, 'default', 'Default' where not exists (select from organizations)
        on conflict do nothing";
}

/// Breaks `projects_slug_is_unique` when the slug is taken.
pub(crate) async fn insert(db: &impl GenericClient, project: &ProjectRow) -> Result<(), DbError> {
    let repository_url = project.repository_url.as_ref().map(RepositoryUrl::as_str);
    let identity = project.repository_url.as_ref().map(RepositoryUrl::identity);
    db.execute(
        &db.prepare_cached(INSERT).await?,
        &[
            &project.id.as_str(),
            &project.slug.as_str(),
            &project.name,
            &repository_url,
            &identity,
            &project.production_branch.as_str(),
            &to_json(&project.build),
            &project.not_found.as_str(),
            &project.webhook_secret,
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn find_by_slug(
    db: &impl GenericClient,
    slug: &ProjectSlug,
) -> Result<Option<ProjectRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_BY_SLUG).await?, &[&slug.as_str()]).await?;
    row.as_ref().map(ProjectRow::from_row).transpose()
}

/// In the order of creation; `after` is the last id of the page before, or empty.
pub(crate) async fn list(
    db: &impl GenericClient,
    after: &str,
    limit: i64,
) -> Result<Vec<ProjectRow>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&after, &limit]).await?;
    rows.iter().map(ProjectRow::from_row).collect()
}

pub(crate) async fn list_ids(db: &impl GenericClient) -> Result<Vec<ProjectId>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST_IDS).await?, &[]).await?;
    rows.iter().map(|row| text(row, "project_id")).collect()
}

/// All projects that build from a repository: a monorepo has several.
pub(crate) async fn list_by_repository(
    db: &impl GenericClient,
    identity: &str,
) -> Result<Vec<ProjectRow>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST_BY_REPOSITORY).await?, &[&identity]).await?;
    rows.iter().map(ProjectRow::from_row).collect()
}

pub(crate) async fn update(
    db: &impl GenericClient,
    id: ProjectId,
    change: &UpdateProject,
) -> Result<(), DbError> {
    let repository_url = change.repository_url.as_ref().map(RepositoryUrl::as_str);
    let identity = change.repository_url.as_ref().map(RepositoryUrl::identity);
    db.execute(
        &db.prepare_cached(UPDATE).await?,
        &[
            &id.as_str(),
            &change.name,
            &repository_url,
            &identity,
            &change.production_branch.as_ref().map(BranchName::as_str),
            &change.build.as_ref().map(to_json),
            &change.not_found.map(NotFound::as_str),
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn delete(db: &impl GenericClient, id: ProjectId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn ensure_organization(db: &impl GenericClient) -> Result<(), DbError> {
    let id = ProjectId::generate();
    db.execute(&db.prepare_cached(ENSURE_ORGANIZATION).await?, &[&id.as_str()]).await?;
    Ok(())
}
