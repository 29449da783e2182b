//! `Basic-Auth` in a place where nothing reads it.
//!
//! A misspelt `[headers.value]` is an unknown key like any other, but leaving it out would open a path that was
//! meant to be closed.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Document;
use crate::compile::Refused;
use crate::compile::headers::is_basic_auth;

/// Refuses a password below any key that is none of `read`.
pub(super) fn refuse_unread(
    document: &Document<'_>,
    table: &DeTable<'_>,
    read: &[&str],
) -> Result<(), Refused> {
    let unread = table.iter().filter(|(key, _)| !read.contains(&&**key.get_ref()));
    for (key, value) in unread {
        if is_basic_auth(key.get_ref()) || holds_password(value.get_ref()) {
            let message = format!(
                "a `Basic-Auth` below `{}` would protect nothing: write it below `[headers.values]`",
                key.get_ref().escape_default()
            );
            return Err(Refused { file: document.file, line: document.line(key), message });
        }
    }
    Ok(())
}

/// The parser has limited how deep this can go.
fn holds_password(value: &DeValue<'_>) -> bool {
    let in_value = |value: &Spanned<DeValue<'_>>| holds_password(value.get_ref());
    match value {
        DeValue::Table(table) => {
            table.iter().any(|(key, value)| is_basic_auth(key.get_ref()) || in_value(value))
        }
        DeValue::Array(list) => list.iter().any(in_value),
        _ => false,
    }
}
