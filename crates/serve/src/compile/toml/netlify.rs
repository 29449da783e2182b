//! `netlify.toml`: its redirects and headers. Everything else in it is Netlify's business.

use super::Document;
use super::rules::{self, Flavour};
use crate::compile::{Output, Refused};

pub(in crate::compile) fn read_rules(document: &Document<'_>, output: &mut Output) -> Result<(), Refused> {
    rules::read(document, Flavour::Netlify, output)
}
