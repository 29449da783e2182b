//! Environment variables of builds.

use loggia_types::api::VariableScope;
use loggia_types::{
    OrganizationId, ProjectId, Timestamp, UserId, VariableContext, VariableName, VariableValue,
};
use tokio_postgres::Row;

use super::{DbError, GenericClient, statements, text};
use crate::vault::Sealed;

/// Whose variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Platform,
    Organization(OrganizationId),
    Project(ProjectId),
}

impl Owner {
    pub(crate) fn scope(&self) -> VariableScope {
        match self {
            Self::Platform => VariableScope::Platform,
            Self::Organization(_) => VariableScope::Organization,
            Self::Project(_) => VariableScope::Project,
        }
    }

    /// As in the column `owner_id`.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Platform => "",
            Self::Organization(id) => id.as_str(),
            Self::Project(id) => id.as_str(),
        }
    }

    fn organization_id(&self) -> Option<&str> {
        match self {
            Self::Organization(id) => Some(id.as_str()),
            Self::Platform | Self::Project(_) => None,
        }
    }

    fn project_id(&self) -> Option<&str> {
        match self {
            Self::Project(id) => Some(id.as_str()),
            Self::Platform | Self::Organization(_) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    Plain(VariableValue),
    Secret(Sealed),
}

#[derive(Debug, Clone)]
pub(crate) struct VariableRow {
    pub(crate) owner: Owner,
    pub(crate) context: VariableContext,
    pub(crate) name: VariableName,
    pub(crate) stored: Stored,
    pub(crate) updated_at: Timestamp,
    /// The name of who set it last.
    pub(crate) updated_by: Option<String>,
}

impl VariableRow {
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.stored, Stored::Secret(_))
    }

    fn from_row(row: &Row) -> Result<Self, DbError> {
        let organization_id = super::optional_text(row, "organization_id")?;
        let owner = match (super::optional_text(row, "project_id")?, organization_id) {
            (Some(id), _) => Owner::Project(id),
            (None, Some(id)) => Owner::Organization(id),
            (None, None) => Owner::Platform,
        };
        Ok(Self {
            owner,
            context: text(row, "context")?,
            name: text(row, "name")?,
            stored: stored(row)?,
            updated_at: Timestamp(row.try_get("updated_at")?),
            updated_by: row.try_get("updated_by")?,
        })
    }
}

fn stored(row: &Row) -> Result<Stored, DbError> {
    if let Some(bytes) = row.try_get("sealed")? {
        return Ok(Stored::Secret(Sealed { key_id: row.try_get("key_id")?, bytes }));
    }
    let value: &str = row.try_get("value")?;
    // The value is nobody's business, however wrong it is.
    let hidden = |error: loggia_types::variable::InvalidVariableValue| DbError::Decode {
        column: "value",
        value: "***".to_owned(),
        cause: error.to_string(),
    };
    value.parse().map(Stored::Plain).map_err(hidden)
}

statements! {
    /// Changes of one owner's variables follow one another: their limits are of all of them.
    LOCK = "select pg_advisory_xact_lock(hashtextextended('variables ' || $1, 0))";

    LIST = "
        select v.organization_id, v.project_id, v.context, v.name, v.value, v.sealed, v.key_id, v.updated_at,
               coalesce(nullif(u.name, ''), u.email) as updated_by
        from environment_variables v left join users u on u.user_id = v.updated_by
        where v.owner_id = $1 order by v.name, v.context";

    LIST_FOR_PROJECT = "
        select v.organization_id, v.project_id, v.context, v.name, v.value, v.sealed, v.key_id, v.updated_at,
               coalesce(nullif(u.name, ''), u.email) as updated_by
        from environment_variables v left join users u on u.user_id = v.updated_by
        where v.owner_id in ('', $1, (select organization_id from projects where project_id = $1))
        order by v.name, v.owner_id, v.context";

    FIND = "
        select v.organization_id, v.project_id, v.context, v.name, v.value, v.sealed, v.key_id, v.updated_at,
               coalesce(nullif(u.name, ''), u.email) as updated_by
        from environment_variables v left join users u on u.user_id = v.updated_by
        where v.owner_id = $1 and v.context = $2 and v.name = $3";

    SET = "
        insert into environment_variables (organization_id, project_id, context, name, value, sealed, key_id, updated_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (owner_id, context, name) do update
        set value = excluded.value, sealed = excluded.sealed, key_id = excluded.key_id,
            updated_by = excluded.updated_by, updated_at = now()";

    DELETE = "delete from environment_variables where owner_id = $1 and context = $2 and name = $3";

    TOTAL = "
        select count(*) as variables,
               coalesce(sum(length(name) + coalesce(octet_length(value), octet_length(sealed))), 0)::bigint as bytes
        from environment_variables where owner_id = $1";
}

pub(crate) async fn lock(db: &impl GenericClient, owner: Owner) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(LOCK).await?, &[&owner.id()]).await?;
    Ok(())
}

/// By name.
pub(crate) async fn list(db: &impl GenericClient, owner: Owner) -> Result<Vec<VariableRow>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&owner.id()]).await?;
    rows.iter().map(VariableRow::from_row).collect()
}

/// Those of the project, of its organization, and of the platform.
pub(crate) async fn list_for_project(
    db: &impl GenericClient,
    project_id: ProjectId,
) -> Result<Vec<VariableRow>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST_FOR_PROJECT).await?, &[&project_id.as_str()]).await?;
    rows.iter().map(VariableRow::from_row).collect()
}

pub(crate) async fn find(
    db: &impl GenericClient,
    owner: Owner,
    context: &VariableContext,
    name: &VariableName,
) -> Result<Option<VariableRow>, DbError> {
    let statement = db.prepare_cached(FIND).await?;
    let row = db.query_opt(&statement, &[&owner.id(), &context.to_string(), &name.as_str()]).await?;
    row.as_ref().map(VariableRow::from_row).transpose()
}

pub(crate) async fn set(
    db: &impl GenericClient,
    owner: Owner,
    context: &VariableContext,
    name: &VariableName,
    stored: &Stored,
    by: Option<UserId>,
) -> Result<(), DbError> {
    let (value, sealed) = match stored {
        Stored::Plain(value) => (Some(value.as_str()), None),
        Stored::Secret(sealed) => (None, Some(sealed)),
    };
    db.execute(
        &db.prepare_cached(SET).await?,
        &[
            &owner.organization_id(),
            &owner.project_id(),
            &context.to_string(),
            &name.as_str(),
            &value,
            &sealed.map(|sealed| sealed.bytes.as_slice()),
            &sealed.map(|sealed| sealed.key_id.as_str()),
            &by.as_ref().map(UserId::as_str),
        ],
    )
    .await?;
    Ok(())
}

/// False when there was none.
pub(crate) async fn delete(
    db: &impl GenericClient,
    owner: Owner,
    context: &VariableContext,
    name: &VariableName,
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(DELETE).await?;
    Ok(db.execute(&statement, &[&owner.id(), &context.to_string(), &name.as_str()]).await? == 1)
}

/// How many variables an owner has, and how many bytes they take together.
pub(crate) async fn total(db: &impl GenericClient, owner: Owner) -> Result<(i64, i64), DbError> {
    let row = db.query_one(&db.prepare_cached(TOTAL).await?, &[&owner.id()]).await?;
    Ok((row.try_get("variables")?, row.try_get("bytes")?))
}
