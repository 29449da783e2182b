//! What people call things: people, organizations, projects, tokens.

use crate::error::ApiError;

const LEN_MAX: usize = 100;

/// 1 to 100 characters of one line, none of which turns the text around it (Unicode's bidirectional controls).
pub(crate) fn check(field: &str, name: &str) -> Result<(), ApiError> {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if name.trim().is_empty() || name.chars().count() > LEN_MAX || name.chars().any(is_odd) {
        let message = format!("{field} has 1 to {LEN_MAX} characters, none of them a control character");
        return Err(ApiError::invalid(field, "invalid_name", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_that_reads_as_it_is_written() {
        for good in ["Anna", "The shop", "Łódź 2", &"x".repeat(100)] {
            assert!(check("name", good).is_ok(), "{good:?}");
        }
        for bad in ["", "  ", "two\nlines", "nul\0", "\u{202e}gnp.exe", &"x".repeat(101)] {
            assert!(check("name", bad).is_err(), "{bad:?}");
        }
    }
}
