//! Environment variables, and the keys that seal the secrets among them.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;
use crate::variable::{VariableContext, VariableName, VariableValue};

/// Who gave a variable: what is further down in this list wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum VariableScope {
    /// For every project of the installation.
    Platform,
    /// For every project of an organization.
    Organization,
    Project,
}

impl VariableScope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Organization => "organization",
            Self::Project => "project",
        }
    }
}

/// A variable as it was set. A secret's value is shown to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Variable {
    pub name: VariableName,
    pub context: VariableContext,
    pub secret: bool,
    /// Null for a secret, and for whoever may only look.
    pub value: Option<VariableValue>,
    pub updated_at: Timestamp,
    /// Whoever set it last, by name; null for the configuration's token and for people who left.
    pub updated_by: Option<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VariableOrigin {
    pub scope: VariableScope,
    pub context: VariableContext,
}

/// A variable as a build gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectiveVariable {
    pub name: VariableName,
    pub secret: bool,
    /// Null for a secret, and for whoever may only look.
    pub value: Option<VariableValue>,
    pub origin: VariableOrigin,
    /// What else is set under this name and does not count, nearest first.
    pub overrides: Vec<VariableOrigin>,
    /// Builds of code from outside, such as a fork's pull request, do not get it.
    pub withheld: bool,
}

/// `POST …/variables`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateVariable {
    pub name: VariableName,
    pub value: VariableValue,
    /// A secret is never shown again, and is masked in logs.
    #[serde(default)]
    pub secret: bool,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = VariableContext))]
    pub context: VariableContext,
}

/// `PUT …/variables/{name}`: sets it, whether or not it is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetVariable {
    pub value: VariableValue,
    /// A secret is never shown again, and is masked in logs. Whether it is one stays as it was when this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<bool>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = VariableContext))]
    pub context: VariableContext,
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportedVariables {
    pub created: Vec<VariableName>,
    /// Were there, and have the file's value now.
    pub replaced: Vec<VariableName>,
    /// Nothing was changed: it was only tried.
    pub dry_run: bool,
}

/// A key of the ring that seals secrets, or one that is missing there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretsKey {
    pub id: String,
    /// Seals what is new.
    pub active: bool,
    /// The api has it. What is sealed with a key that it does not have cannot be read.
    pub known: bool,
    /// How many secrets are sealed with it. A key of which none are can be taken away.
    pub secrets: u64,
}

/// What one call of a rotation did. Call again while `remaining` is more than none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyRotation {
    /// The key that seals now.
    pub active: String,
    /// Secrets that were sealed anew by this call.
    pub resealed: u64,
    /// Secrets that still wait for it.
    pub remaining: u64,
    /// Secrets that cannot be opened: their key is missing, or they were tampered with. The api's log names them.
    pub unreadable: u64,
}
