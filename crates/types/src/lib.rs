//! The nouns of Loggia and the shapes its parts exchange.
//!
//! Everything here is plain data: no async, no IO, no SQL, no HTTP server. A value of one of these types
//! is valid: text becomes a type through `FromStr`, and `Deserialize` goes through `FromStr`, so a bad
//! value dies at the door of a process and not in its middle.

#[macro_use]
mod text;

pub mod alias;
pub mod api;
pub mod build;
pub mod content_hash;
pub mod country;
pub mod domain_name;
pub mod email;
pub mod env_file;
pub mod event;
pub mod fingerprint;
pub mod git;
pub mod hostname;
pub mod id;
pub mod manifest;
pub mod media_type;
pub mod object_key;
pub mod path;
pub mod problem;
pub mod publish;
pub mod purge;
pub mod push;
pub mod route;
pub mod rules;
pub mod slug;
pub mod timestamp;
pub mod variable;

pub use alias::AliasLabel;
pub use content_hash::ContentHash;
pub use country::CountryCode;
pub use domain_name::DomainName;
pub use email::EmailAddress;
pub use git::{BranchName, CommitSha, RepositoryUrl};
pub use hostname::{BaseDomain, Hostname};
pub use id::{
    ApiTokenId, BuildId, DeliveryId, DeploymentId, DomainId, EventPosition, InvitationId, OrganizationId,
    ProjectId, SessionId, UserId,
};
pub use manifest::Manifest;
pub use object_key::{DeploymentRef, FolderRef, ObjectKey};
pub use path::SitePath;
pub use problem::Problem;
pub use purge::{Purge, SurrogateKey};
pub use slug::{OrganizationSlug, ProjectSlug};
pub use timestamp::Timestamp;
pub use variable::{VariableContext, VariableName, VariableValue};
