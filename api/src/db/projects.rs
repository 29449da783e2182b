//! Projects.

use loggia_types::api::{Role, UpdateProject};
use loggia_types::build::BuildSettings;
use loggia_types::manifest::NotFound;
use loggia_types::{
    BranchName, DeploymentId, OrganizationId, OrganizationSlug, ProjectId, ProjectSlug, RepositoryUrl,
    Timestamp, UserId,
};
use tokio_postgres::Row;

use super::{DbError, GenericClient, json, optional_text, statements, text, to_json};

pub(crate) const SLUG_IS_UNIQUE: &str = "projects_slug_is_unique";

#[derive(Debug, Clone)]
pub(crate) struct ProjectRow {
    pub(crate) id: ProjectId,
    pub(crate) organization_id: OrganizationId,
    pub(crate) organization_slug: OrganizationSlug,
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
            organization_id: text(row, "organization_id")?,
            organization_slug: text(row, "organization_slug")?,
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
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

    GET = "
        select p.project_id, p.organization_id, o.slug as organization_slug, p.slug, p.name, p.repository_url,
               p.production_branch, p.build_settings, p.not_found, p.webhook_secret, p.created_at,
               a.deployment_id as production_deployment_id
        from projects p join organizations o on o.organization_id = p.organization_id
        left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        where p.project_id = $1";

    LIST = "
        select p.project_id, p.organization_id, o.slug as organization_slug, p.slug, p.name, p.repository_url,
               p.production_branch, p.build_settings, p.not_found, p.webhook_secret, p.created_at,
               a.deployment_id as production_deployment_id
        from projects p join organizations o on o.organization_id = p.organization_id
        left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        where p.project_id > $1 and p.deleted_at is null
          and ($3::text is null or exists (select from members m where m.organization_id = p.organization_id and m.user_id = $3)
               or exists (select from collaborators c where c.project_id = p.project_id and c.user_id = $3))
          and ($4::text is null or p.organization_id = $4) and ($5::text is null or p.project_id = $5)
        order by p.project_id limit $2";

    /// With what the person is in the organization, and in the project alone.
    FIND_WITH_ROLE = "
        select p.project_id, p.organization_id, o.slug as organization_slug, p.slug, p.name, p.repository_url,
               p.production_branch, p.build_settings, p.not_found, p.webhook_secret, p.created_at,
               a.deployment_id as production_deployment_id, m.role as member_role, c.role as collaborator_role
        from projects p join organizations o on o.organization_id = p.organization_id
        left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        left join members m on m.organization_id = p.organization_id and m.user_id = $2
        left join collaborators c on c.project_id = p.project_id and c.user_id = $2
        where p.slug = $1 and p.deleted_at is null";

    LIST_IDS = "select project_id from projects order by project_id";

    LIST_BY_REPOSITORY = "
        select p.project_id, p.organization_id, o.slug as organization_slug, p.slug, p.name, p.repository_url,
               p.production_branch, p.build_settings, p.not_found, p.webhook_secret, p.created_at,
               a.deployment_id as production_deployment_id
        from projects p join organizations o on o.organization_id = p.organization_id
        left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        where p.repository_identity = $1 and p.deleted_at is null
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
}

/// Breaks `projects_slug_is_unique` when the slug is taken.
pub(crate) async fn insert(db: &impl GenericClient, project: &ProjectRow) -> Result<(), DbError> {
    let repository_url = project.repository_url.as_ref().map(RepositoryUrl::as_str);
    let identity = project.repository_url.as_ref().map(RepositoryUrl::identity);
    db.execute(
        &db.prepare_cached(INSERT).await?,
        &[
            &project.id.as_str(),
            &project.organization_id.as_str(),
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

/// Also one that is deleted and not yet gone.
pub(crate) async fn get(db: &impl GenericClient, id: ProjectId) -> Result<ProjectRow, DbError> {
    let row = db.query_one(&db.prepare_cached(GET).await?, &[&id.as_str()]).await?;
    ProjectRow::from_row(&row)
}

/// With the greater one of the person's two roles, if there is one.
pub(crate) async fn find_with_role(
    db: &impl GenericClient,
    slug: &ProjectSlug,
    user: Option<UserId>,
) -> Result<Option<(ProjectRow, Option<Role>)>, DbError> {
    let user = user.as_ref().map(UserId::as_str);
    let row = db.query_opt(&db.prepare_cached(FIND_WITH_ROLE).await?, &[&slug.as_str(), &user]).await?;
    row.map(|row| {
        let member: Option<Role> = optional_text(&row, "member_role")?;
        Ok((ProjectRow::from_row(&row)?, member.max(optional_text(&row, "collaborator_role")?)))
    })
    .transpose()
}

/// Whose projects are listed. Everything that is `None` is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ListFilter {
    /// What this person has a role in.
    pub(crate) user: Option<UserId>,
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) project: Option<ProjectId>,
}

/// In the order of creation; `after` is the last id of the page before, or empty.
pub(crate) async fn list(
    db: &impl GenericClient,
    filter: ListFilter,
    after: &str,
    limit: i64,
) -> Result<Vec<ProjectRow>, DbError> {
    let user = filter.user.as_ref().map(UserId::as_str);
    let organization = filter.organization.as_ref().map(OrganizationId::as_str);
    let project = filter.project.as_ref().map(ProjectId::as_str);
    let statement = db.prepare_cached(LIST).await?;
    let rows = db.query(&statement, &[&after, &limit, &user, &organization, &project]).await?;
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
