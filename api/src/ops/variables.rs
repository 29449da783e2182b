//! Setting variables, and opening those that a build gets.

use std::collections::{BTreeMap, BTreeSet};

use loggia_types::api::ImportedVariables;
use loggia_types::build::BuildEnv;
use loggia_types::variable::SECRET_LEN_MIN;
use loggia_types::{UserId, VariableContext, VariableName, VariableValue, env_file};

use crate::db::builds::ClaimedRow;
use crate::db::variables::{self, Owner, Stored};
use crate::db::{DbError, GenericClient};
use crate::error::ApiError;
use crate::variables::{Effective, Target, resolve};
use crate::vault::Vault;

/// A build of every scope's most has 1,500 variables.
const VARIABLES_MAX: i64 = 500;
/// Three scopes of it are 768 KiB: Linux takes 2 MiB of variables and arguments with the usual stack of 8 MiB.
const BYTES_MAX: i64 = 256 * 1024;

/// What the vault is told: whose, which, and when it holds. What is moved to another row does not open there. The context
/// comes last, since a branch's name may hold anything but a blank. `db::sealed` spells it alike.
fn place(owner: Owner, context: &VariableContext, name: &VariableName) -> String {
    let id = if owner == Owner::Platform { "-" } else { owner.id() };
    format!("variable {} {id} {name} {context}", owner.scope().as_str())
}

/// A value as it is stored.
fn store(
    vault: &Vault,
    owner: Owner,
    context: &VariableContext,
    name: &VariableName,
    value: VariableValue,
    is_secret: bool,
) -> Result<Stored, ApiError> {
    if !is_secret {
        return Ok(Stored::Plain(value));
    }
    if !value.can_be_secret() {
        let message = format!(
            "{name}: a secret has at least {SECRET_LEN_MIN} characters; a shorter one cannot be masked in logs"
        );
        return Err(ApiError::invalid("value", "secret_too_short", message));
    }
    Ok(Stored::Secret(vault.seal(&place(owner, context, name), value.as_str().as_bytes())))
}

/// What to set, and for whom. Within a transaction that holds [`variables::lock`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) owner: Owner,
    pub(crate) context: &'a VariableContext,
    pub(crate) by: Option<UserId>,
}

pub(crate) async fn set(
    vault: &Vault,
    db: &impl GenericClient,
    setting: Setting<'_>,
    name: &VariableName,
    value: VariableValue,
    is_secret: bool,
) -> Result<(), ApiError> {
    let Setting { owner, context, by } = setting;
    let stored = store(vault, owner, context, name, value, is_secret)?;
    variables::set(db, owner, context, name, &stored, by).await?;
    require_fits(db, owner).await
}

async fn require_fits(db: &impl GenericClient, owner: Owner) -> Result<(), ApiError> {
    let (count, bytes) = variables::total(db, owner).await?;
    if count > VARIABLES_MAX {
        let message = format!("there can be {VARIABLES_MAX} variables here; take away what is not needed");
        return Err(ApiError::unprocessable("too_many_variables", message));
    }
    if bytes > BYTES_MAX {
        let message =
            format!("all variables here together can have {BYTES_MAX} bytes; keep files in the repository");
        return Err(ApiError::unprocessable("variables_too_large", message));
    }
    Ok(())
}

/// Sets everything of a `.env` file, or nothing. What is a secret stays one.
pub(crate) async fn import(
    vault: &Vault,
    db: &impl GenericClient,
    setting: Setting<'_>,
    file: &str,
    are_secret: bool,
    dry_run: bool,
) -> Result<ImportedVariables, ApiError> {
    let read = env_file::parse(file).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        ApiError::unprocessable("invalid_env_file", told.join("; "))
    })?;
    let there: BTreeMap<VariableName, bool> = variables::list(db, setting.owner)
        .await?
        .into_iter()
        .filter(|row| row.context == *setting.context)
        .map(|row| (row.name.clone(), row.is_secret()))
        .collect();
    let mut imported = ImportedVariables { created: Vec::new(), replaced: Vec::new(), dry_run };
    for (name, value) in read {
        let is_secret = are_secret || there.get(&name).copied().unwrap_or(false);
        let stored = store(vault, setting.owner, setting.context, &name, value, is_secret)?;
        variables::set(db, setting.owner, setting.context, &name, &stored, setting.by).await?;
        let list = if there.contains_key(&name) { &mut imported.replaced } else { &mut imported.created };
        list.push(name);
    }
    require_fits(db, setting.owner).await?;
    Ok(imported)
}

/// The variables of one context as a `.env` file; of secrets only the names, as comments.
pub(crate) async fn export(
    db: &impl GenericClient,
    owner: Owner,
    context: &VariableContext,
) -> Result<String, DbError> {
    let mut text = String::new();
    for row in variables::list(db, owner).await?.into_iter().filter(|row| row.context == *context) {
        match &row.stored {
            Stored::Plain(value) => text.push_str(&env_file::line(&row.name, value.as_str())),
            Stored::Secret(_) => text.push_str(&format!("# {} is a secret.", row.name)),
        }
        text.push('\n');
    }
    Ok(text)
}

/// What a build gets.
#[derive(Debug, Default)]
pub(crate) struct BuildVariables {
    pub(crate) env: BuildEnv,
    pub(crate) secret_names: BTreeSet<String>,
    pub(crate) withheld_names: BTreeSet<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenBuildError {
    /// For the person who pushed, and the operator whom they ask.
    #[error("{0}")]
    Unreadable(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

pub(crate) async fn of_build(
    vault: &Vault,
    db: &impl GenericClient,
    build: &ClaimedRow,
) -> Result<BuildVariables, OpenBuildError> {
    let rows = variables::list_for_project(db, build.project_id).await?;
    let target =
        Target { environment: build.environment, branch: Some(&build.branch), is_trusted: build.is_trusted };
    let mut variables = BuildVariables::default();
    for variable in resolve(rows, target) {
        let name = variable.row.name.to_string();
        if variable.is_withheld {
            variables.withheld_names.insert(name);
            continue;
        }
        if variable.row.is_secret() {
            variables.secret_names.insert(name.clone());
        }
        variables.env.insert(name, open(vault, variable)?);
    }
    Ok(variables)
}

fn open(vault: &Vault, variable: Effective) -> Result<String, OpenBuildError> {
    let row = variable.row;
    let sealed = match row.stored {
        Stored::Plain(value) => return Ok(value.as_str().to_owned()),
        Stored::Secret(sealed) => sealed,
    };
    let unreadable = |cause: String| {
        OpenBuildError::Unreadable(format!(
            "The secret {} ({} variable for {}) cannot be opened: {cause}. Who runs the installation can mend that, or you \
             set it anew.",
            row.name,
            row.owner.scope().as_str(),
            row.context,
        ))
    };
    let place = place(row.owner, &row.context, &row.name);
    let bytes =
        vault.open(&place, &sealed.key_id, &sealed.bytes).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| unreadable("it is no text".to_owned()))
}
