//! One module for each kind of input: what means something in it, and what has to hold.

pub(crate) mod conditions;
pub(crate) mod host;
pub(crate) mod html;
pub(crate) mod manifest;
pub(crate) mod request;
pub(crate) mod rules;

/// Where a change breaks nothing that would have to be put right.
pub(crate) fn leave(_: &mut [u8]) {}
