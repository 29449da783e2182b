//! Variables of a project, of an organization, and of the platform: the same calls at three places. No answer holds a
//! secret, nor how long it is.

pub(super) mod organization;
pub(super) mod platform;
pub(super) mod project;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use loggia_types::api::{
    CreateVariable, EffectiveVariable, ImportedVariables, Page, Role, SetVariable, Variable, VariableOrigin,
};
use loggia_types::{VariableContext, VariableName, VariableValue};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{Caller, InOrganization, InProject};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::variables::{self, Owner, Stored, VariableRow};
use crate::db::{DbError, GenericClient};
use crate::error::ApiError;
use crate::ops;
use crate::ops::variables::Setting;

#[derive(Debug, Deserialize)]
pub(crate) struct VariablePath {
    name: VariableName,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextQuery {
    /// The builds that are meant; `all` when absent.
    #[serde(default)]
    #[param(value_type = Option<VariableContext>)]
    context: VariableContext,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportQuery {
    /// The builds that these are for; `all` when absent.
    #[serde(default)]
    #[param(value_type = Option<VariableContext>)]
    context: VariableContext,
    /// Makes secrets of all of them. What is a secret stays one in any case.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    secret: bool,
    /// Says what would be done, and does nothing.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    dry_run: bool,
}

/// A body of `text/plain`.
#[derive(Debug)]
pub(crate) struct PlainText(String);

impl<S: Send + Sync> FromRequest<S> for PlainText {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("text/plain") {
            let message = "send the file as it is, with `Content-Type: text/plain`".to_owned();
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::rejection(status, "unsupported_media_type", message));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            ApiError::rejection(rejection.status(), "invalid_body", rejection.body_text())
        })?;
        let text = String::from_utf8(body.into())
            .map_err(|_| ApiError::unprocessable("invalid_env_file", "the file is not UTF-8"))?;
        Ok(Self(text))
    }
}

/// Where a caller came in, and as what.
enum Inside {
    Platform(Caller),
    Organization(InOrganization),
    Project(InProject),
}

impl Inside {
    fn owner(&self) -> Owner {
        match self {
            Self::Platform(_) => Owner::Platform,
            Self::Organization(inside) => Owner::Organization(inside.organization.id),
            Self::Project(inside) => Owner::Project(inside.project.id),
        }
    }

    fn caller(&self) -> &Caller {
        match self {
            Self::Platform(caller) => caller,
            Self::Organization(inside) => &inside.caller,
            Self::Project(inside) => &inside.caller,
        }
    }

    fn setting<'a>(&self, context: &'a VariableContext) -> Setting<'a> {
        Setting { owner: self.owner(), context, by: self.caller().user_id() }
    }

    async fn record(&self, db: &impl GenericClient, change: Change<'_>) -> Result<(), DbError> {
        match self {
            Self::Platform(caller) => audit::record(db, caller, change).await,
            Self::Organization(inside) => audit::record_in_organization(db, inside, change).await,
            Self::Project(inside) => audit::record_in_project(db, inside, change).await,
        }
    }

    /// Whoever may only look at a project sees what there is, and no values: a build's settings name other systems.
    fn sees_values(&self) -> bool {
        match self {
            Self::Platform(_) => true,
            Self::Organization(inside) => inside.role >= Role::Developer,
            Self::Project(inside) => inside.role >= Role::Developer,
        }
    }

    async fn list(&self, app: &App) -> Result<axum::Json<Page<Variable>>, ApiError> {
        let rows = variables::list(&app.db().await?, self.owner()).await?;
        let items = rows.into_iter().map(|row| self.view(row)).collect();
        Ok(axum::Json(Page { items, next: None }))
    }

    async fn create(&self, app: &App, body: CreateVariable) -> Result<Response, ApiError> {
        let CreateVariable { name, value, secret, context } = body;
        let mut client = app.db().await?;
        let transaction = client.transaction().await?;
        variables::lock(&transaction, self.owner()).await?;
        if variables::find(&transaction, self.owner(), &context, &name).await?.is_some() {
            let message = format!("{name} is set for {context} already; PUT replaces it");
            return Err(ApiError::conflict("variable_exists", message).about("name"));
        }
        let variable = self.write(app, &transaction, &context, &name, value, secret, Value::Null).await?;
        transaction.commit().await?;
        Ok((StatusCode::CREATED, axum::Json(variable)).into_response())
    }

    async fn set(
        &self,
        app: &App,
        name: &VariableName,
        body: SetVariable,
    ) -> Result<axum::Json<Variable>, ApiError> {
        let mut client = app.db().await?;
        let transaction = client.transaction().await?;
        variables::lock(&transaction, self.owner()).await?;
        let before = variables::find(&transaction, self.owner(), &body.context, name).await?;
        let secret = body.secret.unwrap_or_else(|| before.as_ref().is_some_and(VariableRow::is_secret));
        let before = before.as_ref().map_or(Value::Null, summary);
        let variable = self.write(app, &transaction, &body.context, name, body.value, secret, before).await?;
        transaction.commit().await?;
        Ok(axum::Json(variable))
    }

    #[allow(clippy::too_many_arguments, reason = "what is set, where, and what was there")]
    async fn write(
        &self,
        app: &App,
        db: &impl GenericClient,
        context: &VariableContext,
        name: &VariableName,
        value: VariableValue,
        secret: bool,
        before: Value,
    ) -> Result<Variable, ApiError> {
        ops::variables::set(&app.vault, db, self.setting(context), name, value, secret).await?;
        let written = variables::find(db, self.owner(), context, name).await?;
        let row = written.ok_or_else(|| ApiError::internal(format!("{name} was set and is not there")))?;
        let change = Change { before, after: summary(&row), ..Change::new("variable.set", name.as_str()) };
        self.record(db, change).await?;
        Ok(self.view(row))
    }

    async fn delete(
        &self,
        app: &App,
        name: &VariableName,
        context: &VariableContext,
    ) -> Result<StatusCode, ApiError> {
        let mut client = app.db().await?;
        let transaction = client.transaction().await?;
        variables::lock(&transaction, self.owner()).await?;
        let gone = || ApiError::not_found(format!("variable {name} for {context}"));
        let row = variables::find(&transaction, self.owner(), context, name).await?.ok_or_else(gone)?;
        variables::delete(&transaction, self.owner(), context, name).await?;
        let change = Change { before: summary(&row), ..Change::new("variable.delete", name.as_str()) };
        self.record(&transaction, change).await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    }

    async fn import(
        &self,
        app: &App,
        query: ImportQuery,
        file: &str,
    ) -> Result<axum::Json<ImportedVariables>, ApiError> {
        let ImportQuery { context, secret, dry_run } = query;
        let mut client = app.db().await?;
        let transaction = client.transaction().await?;
        variables::lock(&transaction, self.owner()).await?;
        let setting = self.setting(&context);
        let imported =
            ops::variables::import(&app.vault, &transaction, setting, file, secret, dry_run).await?;
        if dry_run {
            transaction.rollback().await?;
            return Ok(axum::Json(imported));
        }
        let after = json!({
            "context": context, "secret": secret, "created": imported.created, "replaced": imported.replaced,
        });
        self.record(&transaction, Change { after, ..Change::new("variable.import", ".env") }).await?;
        transaction.commit().await?;
        Ok(axum::Json(imported))
    }

    async fn export(&self, app: &App, context: &VariableContext) -> Result<Response, ApiError> {
        let text = ops::variables::export(&app.db().await?, self.owner(), context).await?;
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
        Ok((headers, text).into_response())
    }

    fn view(&self, row: VariableRow) -> Variable {
        Variable {
            secret: row.is_secret(),
            value: self.shown(row.stored),
            name: row.name,
            context: row.context,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
        }
    }

    fn view_effective(&self, variable: crate::variables::Effective) -> EffectiveVariable {
        let origin: VariableOrigin = crate::variables::origin(&variable.row);
        EffectiveVariable {
            secret: variable.row.is_secret(),
            value: self.shown(variable.row.stored),
            name: variable.row.name,
            origin,
            overrides: variable.overrides,
            withheld: variable.is_withheld,
        }
    }

    fn shown(&self, stored: Stored) -> Option<VariableValue> {
        match stored {
            Stored::Plain(value) => Some(value).filter(|_| self.sees_values()),
            Stored::Secret(_) => None,
        }
    }
}

/// As the audit log keeps it: without the value, for a plain one may have been meant to be a secret, and this log is for
/// good.
fn summary(row: &VariableRow) -> Value {
    json!({ "context": row.context, "secret": row.is_secret() })
}
