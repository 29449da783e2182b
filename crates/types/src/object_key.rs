//! The layout of the bucket. Fields are private: this file is the only one that spells keys.
//!
//! ```text
//! {project}/{folder}/{path}                    the file, as built
//! {project}/{folder}/.loggia/{coding}/{path}   its compressed forms: br, zstd, gzip
//! {project}/{deployment}/.loggia/manifest      written last; without it the deployment does not exist
//! ```
//!
//! A folder is the deployment's id; from a build's second attempt on it is `{deployment}~{attempt}`, so that
//! a builder which was given up and wakes late can never overwrite a file of its successor.

use std::fmt;
use std::str::FromStr;

use crate::id::{DeploymentId, ProjectId};
use crate::manifest::Coding;
use crate::path::{RESERVED_FOLDER, SitePath};

/// A deployment and the project whose folder it lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct DeploymentRef {
    pub project_id: ProjectId,
    pub deployment_id: DeploymentId,
}

impl fmt::Display for DeploymentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project_id, self.deployment_id)
    }
}

/// The folder that one attempt at a deployment uploads into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderRef {
    deployment_id: DeploymentId,
    attempt: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a folder is a deployment id, from the second attempt on followed by `~` and the attempt, got {0:?}")]
pub struct InvalidFolder(String);

impl FolderRef {
    /// `attempt` counts from 1.
    pub fn of_attempt(deployment_id: DeploymentId, attempt: u16) -> Self {
        Self { deployment_id, attempt: attempt.max(1) }
    }

    pub fn deployment_id(self) -> DeploymentId {
        self.deployment_id
    }
}

impl fmt::Display for FolderRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempt {
            1 => write!(f, "{}", self.deployment_id),
            n => write!(f, "{}~{n}", self.deployment_id),
        }
    }
}

impl FromStr for FolderRef {
    type Err = InvalidFolder;
    fn from_str(text: &str) -> Result<Self, InvalidFolder> {
        let invalid = || InvalidFolder(text.chars().take(80).collect());
        let (id, attempt) = match text.split_once('~') {
            None => (text, 1),
            Some((id, attempt)) => (id, attempt.parse().ok().filter(|n| *n > 1).ok_or_else(invalid)?),
        };
        Ok(Self { deployment_id: id.parse().map_err(|_| invalid())?, attempt })
    }
}

impl serde::Serialize for FolderRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for FolderRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A key of the bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    pub fn file(project_id: ProjectId, folder: FolderRef, path: &SitePath) -> Self {
        Self::stored_file(project_id, folder, path.as_str())
    }

    /// As [`ObjectKey::file`], for a path that a parsed manifest vouches for.
    pub fn stored_file(project_id: ProjectId, folder: FolderRef, path: &str) -> Self {
        Self(format!("{project_id}/{folder}/{path}"))
    }

    pub fn variant(project_id: ProjectId, folder: FolderRef, coding: Coding, path: &SitePath) -> Self {
        Self::stored_variant(project_id, folder, coding, path.as_str())
    }

    /// As [`ObjectKey::variant`], for a path that a parsed manifest vouches for.
    pub fn stored_variant(project_id: ProjectId, folder: FolderRef, coding: Coding, path: &str) -> Self {
        Self(format!("{project_id}/{folder}/{RESERVED_FOLDER}/{}/{path}", coding.as_str()))
    }

    pub fn manifest(deployment: DeploymentRef) -> Self {
        Self(format!("{deployment}/{RESERVED_FOLDER}/manifest"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_under_project_and_deployment() {
        let project_id = ProjectId::from_parts(1, 1);
        let deployment_id = DeploymentId::from_parts(2, 2);
        let path: SitePath = "assets/app.js".parse().expect("valid");
        let first = FolderRef::of_attempt(deployment_id, 1);
        let second = FolderRef::of_attempt(deployment_id, 2);
        assert_eq!(
            ObjectKey::file(project_id, first, &path).as_str(),
            format!("{project_id}/{deployment_id}/assets/app.js")
        );
        assert_eq!(
            ObjectKey::file(project_id, second, &path).as_str(),
            format!("{project_id}/{deployment_id}~2/assets/app.js")
        );
        assert_eq!(second.to_string().parse(), Ok(second));
        assert_eq!(first.to_string().parse(), Ok(first));
        assert!(format!("{deployment_id}~1").parse::<FolderRef>().is_err());
        assert!("x~2".parse::<FolderRef>().is_err());
    }
}
