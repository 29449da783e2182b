//! Axum's extractors, with our errors instead of its plain texts: what is wrong, in which field, and what would be
//! right.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// A body of `application/json`.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(crate) struct Path<T>(pub(crate) T);

#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_json) {
            let message = "send JSON, with `Content-Type: application/json`".to_owned();
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::rejection(status, "unsupported_media_type", message));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            ApiError::rejection(rejection.status(), "invalid_body", rejection.body_text())
        })?;
        parse(&body).map(Self)
    }
}

pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// JSON as a type of ours.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() { invalid(&field, &error.to_string()) } else { not_json(&error) }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request("invalid_json", format!("the body is not JSON: {error}"))
}

/// `cause` is serde's: «unknown field `colour`, expected one of `slug`, `name` at line 1 column 9».
fn invalid(field: &str, cause: &str) -> ApiError {
    let cause = without_content(cause.rsplit_once(" at line ").map_or(cause, |(cause, _)| cause));
    let cause = cause.as_str();
    let at_root = field == ".";
    if let Some(unknown) = cause.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
        let known: Vec<&str> = cause.split('`').skip(3).step_by(2).collect();
        let message = match nearest(unknown, &known) {
            Some(near) => format!("there is no field {unknown}; did you mean {near}?"),
            None if known.is_empty() => format!("there is no field {unknown}, and no other"),
            None => format!("there is no field {unknown}; there are {}", known.join(", ")),
        };
        // serde's path ends at the field that it does not know.
        return ApiError::invalid(field, "unknown_field", message);
    }
    if let Some(missing) = cause.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let field = if at_root { missing.to_owned() } else { format!("{field}.{missing}") };
        return ApiError::invalid(&field, "missing_field", format!("{field} is missing"));
    }
    if at_root {
        return ApiError::unprocessable("invalid_body", cause.to_owned());
    }
    ApiError::invalid(field, "invalid_field", format!("{field}: {cause}"))
}

/// «invalid type: string "hunter2", expected a boolean» becomes «invalid type: string, expected a boolean»: what was sent
/// may be a secret in the wrong place.
fn without_content(cause: &str) -> String {
    let is_told = ["invalid type: ", "invalid value: "].iter().any(|prefix| cause.starts_with(prefix));
    match (cause.find(['"', '`']), cause.rfind(", expected ")) {
        (Some(begin), Some(end)) if is_told && begin < end => {
            format!("{}{}", cause[..begin].trim_end(), &cause[end..])
        }
        _ => cause.to_owned(),
    }
}

/// What was probably meant: at most every third letter differs.
fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &&&str| strsim::damerau_levenshtein(unknown, name);
    known.iter().min_by_key(distance).filter(|name| distance(name) * 3 <= name.len().max(3)).copied()
}

/// A parameter of the path as a type of ours. A path that holds no valid name names nothing: «not found», not «bad
/// request».
pub(crate) fn path_parameter<T: FromStr>(parameters: &RawPathParams, name: &str) -> Result<T, ApiError> {
    let value = parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    value.and_then(|value| value.parse().ok()).ok_or_else(no_such_thing)
}

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        no_such_thing()
    }
}

fn no_such_thing() -> ApiError {
    ApiError::not_found("such thing")
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        let cause = rejection.body_text();
        let cause = cause.strip_prefix("Failed to deserialize query string: ").unwrap_or(&cause);
        match cause.split_once(": ") {
            Some((field, cause)) if !field.contains(' ') => invalid(field, cause),
            _ => invalid(".", cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use loggia_types::api::CreateProject;

    use super::*;

    #[test]
    fn a_body_that_is_wrong_is_told_where_and_what_would_be_right() {
        let cases = [
            (r#"{"slug":"shop""#, "", "invalid_json"),
            (r#"{"slug":"shop"} x"#, "", "invalid_json"),
            (r#"{"slug":"shop","repositoryurl":"https://x.org/a"}"#, "repositoryurl", "mean repository_url?"),
            (r#"{"slug":"shop","colour":"red"}"#, "colour", "there are slug, organization"),
            (r"{}", "slug", "slug is missing"),
            (r#"{"slug":"Shop"}"#, "slug", "lower-case"),
            (r#"{"slug":"shop","build":{"root":7}}"#, "build.root", "invalid type: integer, expected"),
            (
                r#"{"slug":"shop","build":"hunter2\", expected x"}"#,
                "build",
                "invalid type: string, expected struct",
            ),
            ("[]", "", "invalid length"),
        ];
        for (body, field, words) in cases {
            let error = parse::<CreateProject>(body.as_bytes()).expect_err(body);
            let shown = format!("{error:?}");
            assert!(shown.contains(words), "{body}: {shown}");
            let wanted =
                if field.is_empty() { "field: None".into() } else { format!("field: Some({field:?})") };
            assert!(shown.contains(&wanted), "{body}: {shown}");
        }
    }
}
