//! The rules of serving: from a manifest and a request to an answer, without IO and without waiting.
//!
//! The order of work is BEHAVIOR §1. Nothing here knows S3, sockets or the proxy library, so every rule is
//! tested as a row of a table.

pub mod headers;
mod html;
mod not_found;
mod range;
mod target;
mod validators;

use http::{HeaderMap, Method};
use loggia_types::Manifest;
use loggia_types::manifest::{Entry, HtmlHandling};
use loggia_types::route::ServeSettings;

use self::html::Resolution;
use self::not_found::Substitute;
use self::range::RangeRequest;

pub use self::range::ByteRange;
pub use self::target::{BadTarget, Target};
pub use self::validators::Validators;

/// The part of a request that decides its answer.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'r> {
    pub method: &'r Method,
    /// Path and query as they were sent.
    pub target: &'r [u8],
    pub headers: &'r HeaderMap,
}

/// Why a file is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It was asked for.
    File,
    /// The application's `index.html` for a path that only the application knows.
    Shell,
    /// A `404.html`.
    NotFoundPage,
}

/// A file, and why it is the answer.
#[derive(Debug, Clone, Copy)]
pub struct Served<'m> {
    pub entry: Entry<'m>,
    pub role: Role,
}

#[derive(Debug, Clone)]
pub enum Decision<'m> {
    Whole(Served<'m>),
    Part(Served<'m>, ByteRange),
    NotModified(Served<'m>),
    RangeNotSatisfiable(Served<'m>),
    Redirect {
        location: String,
    },
    /// Nothing answers, not even a `404.html`.
    NotFound,
    MethodNotAllowed,
    Options,
    BadRequest(BadTarget),
}

/// Decides what a deployment answers.
pub fn decide<'m>(
    manifest: &'m Manifest,
    settings: &ServeSettings,
    request: RequestHead<'_>,
) -> Decision<'m> {
    if request.method == Method::OPTIONS {
        return Decision::Options;
    }
    let target = match Target::parse(request.target) {
        Ok(target) => target,
        Err(error) => return Decision::BadRequest(error),
    };
    if target.is_hidden() {
        return stand_in(not_found::substitute_page(manifest, settings, target.path()));
    }
    let resolution = resolve(manifest, target.path());
    if !matches!(*request.method, Method::GET | Method::HEAD) {
        return refuse_method(manifest, settings, &target, resolution);
    }
    answer(manifest, settings, &target, resolution, request)
}

/// What a GET or HEAD of a public path gets.
fn answer<'m>(
    manifest: &'m Manifest,
    settings: &ServeSettings,
    target: &Target<'_>,
    resolution: Resolution<'m, '_>,
    request: RequestHead<'_>,
) -> Decision<'m> {
    match resolution {
        Resolution::Redirect(place) => {
            Decision::Redirect { location: target.location(&[place.base, place.slash]) }
        }
        _ if !target.is_canonical() => Decision::Redirect { location: target.location(&[target.path()]) },
        Resolution::File(entry) => serve(manifest, entry, Role::File, request),
        Resolution::Nothing => {
            match not_found::substitute(manifest, settings, target.path(), request.headers) {
                Substitute::Shell(entry) => serve(manifest, entry, Role::Shell, request),
                substitute => stand_in(substitute),
            }
        }
    }
}

fn resolve<'m, 'p>(manifest: &'m Manifest, path: &'p str) -> Resolution<'m, 'p> {
    match manifest.facts().html_handling {
        HtmlHandling::AutoTrailingSlash => html::auto_trailing_slash(manifest, path),
    }
}

fn refuse_method<'m>(
    manifest: &'m Manifest,
    settings: &ServeSettings,
    target: &Target<'_>,
    resolution: Resolution<'m, '_>,
) -> Decision<'m> {
    if !matches!(resolution, Resolution::Nothing) {
        return Decision::MethodNotAllowed;
    }
    stand_in(not_found::substitute_page(manifest, settings, target.path()))
}

/// A 404 has no validators and no ranges: conditions apply to what would be a 200 (RFC 9110 §13.2.1).
fn stand_in(substitute: Substitute<'_>) -> Decision<'_> {
    match substitute {
        Substitute::Page(entry) => Decision::Whole(Served { entry, role: Role::NotFoundPage }),
        Substitute::Shell(_) | Substitute::Nothing => Decision::NotFound,
    }
}

/// Conditions first, then ranges (RFC 9110 §13.2.2).
fn serve<'m>(manifest: &'m Manifest, entry: Entry<'m>, role: Role, request: RequestHead<'_>) -> Decision<'m> {
    let served = Served { entry, role };
    let validators = Validators::new(served.entry.hash().etag(), manifest.facts().created_at);
    if validators.are_met_by(request.headers) {
        return Decision::NotModified(served);
    }
    // RFC 9110 §14.2: only GET has ranges.
    if request.method != Method::GET || !validators.allow_range(request.headers) {
        return Decision::Whole(served);
    }
    match range::requested(request.headers, served.entry.size()) {
        RangeRequest::Whole => Decision::Whole(served),
        RangeRequest::Part(range) => Decision::Part(served, range),
        RangeRequest::NotSatisfiable => Decision::RangeNotSatisfiable(served),
    }
}

#[cfg(test)]
mod tests;
