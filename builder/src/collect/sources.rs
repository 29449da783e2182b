//! Reads the files in which a project says how it is served: beside its pages, or in its own folders.

use std::path::Path;

use loggia_publish::sources::{ReadError, Sources};

use super::{CollectError, io};

pub(super) fn read(output: &Path, above: &[&Path]) -> Result<Sources, CollectError> {
    Sources::read(output, above).map_err(|error| match error {
        ReadError::Denied(name) => {
            CollectError::Theirs(format!("`{name}` cannot be read: the build took the permission away."))
        }
        ReadError::Io { name, cause } => io(format!("reading {name}"), cause),
    })
}
