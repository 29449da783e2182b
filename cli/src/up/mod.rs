//! `loggia up`: everything in one process.

#[cfg_attr(not(test), expect(dead_code, reason = "the command that starts it is on its way"))]
mod postgres;
