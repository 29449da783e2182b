//! An example for each body that is sent or answered, put together from those of its fields: a type's own, or what a
//! field of that name holds everywhere ([`BY_NAME`]).

use serde_json::{Map, Value, json};

use super::complete::{name_of, operations};

/// Stands where a field has no example; a test finds it.
pub(super) const PLACEHOLDER: &str = "an example is missing";
/// Plain text, by the name of its field.
const BY_NAME: &[(&str, &str)] = &[
    ("active", "2026-11"),
    ("alias_url", "https://shop.example.net"),
    ("author", "Anna Example"),
    ("build_command", "npm run build"),
    ("detail", "the slug shop is taken; choose another"),
    ("file", "_redirects"),
    ("framework", "astro"),
    ("hook", "fastly"),
    ("id", "2026-11"),
    ("install_command", "npm ci"),
    ("keys", "p-01jd3k8mxv7e2q4r"),
    ("last_error", "Fastly answered 503"),
    ("log_tail", "npm error Missing script: \"build\""),
    ("message", "Say hello"),
    ("name", "The shop"),
    ("next", "01jd3k8mxv7e2q4r"),
    ("outcome", "queued"),
    ("output", "dist"),
    ("reason", "the build command ended with the exit code 1"),
    ("root", "apps/shop"),
    ("text", "> astro build"),
    ("updated_by", "Anna Example"),
    ("url", "https://shop.example.net"),
    ("urls", "https://shop.example.net/docs/"),
    ("value", "loggia-verification=V1StGXR8Z5jdHi6B"),
    ("webhook_secret", "q2bJ7vJm0o3XyT6Zp1s8Rk4d"),
    ("webhook_url", "https://loggia.example.org/api/v1/webhooks/github"),
];

/// Deeper than any of our bodies.
const DEPTH_MAX: usize = 12;

pub(super) fn add(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    for operation in operations(document) {
        if let Some(content) = operation.pointer_mut("/requestBody/content") {
            fill(content, &schemas, None);
        }
        let responses = operation["responses"].as_object_mut().into_iter().flatten();
        for (status, response) in responses {
            if let Some(content) = response.get_mut("content") {
                fill(content, &schemas, status.parse().ok());
            }
        }
    }
}

fn fill(content: &mut Value, schemas: &Map<String, Value>, status: Option<u16>) {
    for (media_type, body) in content.as_object_mut().into_iter().flatten() {
        let has_one = body.get("example").is_some() || body.get("examples").is_some();
        // Of refusals the schema says enough, once.
        let refuses = status.is_some_and(|status| status >= 400);
        if media_type != "application/json" || has_one || refuses {
            continue;
        }
        let example = of(&body["schema"], schemas, "", 0);
        if !example.is_null() {
            body["example"] = example;
        }
    }
}

/// An example of a schema; null when it says nothing.
fn of(schema: &Value, schemas: &Map<String, Value>, field: &str, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    let below = |schema: &Value| of(schema, schemas, field, depth + 1);
    for given in
        [&schema["examples"][0], &schema["example"], &schema["const"], &schema["enum"][0], &schema["default"]]
    {
        if !given.is_null() {
            return given.clone();
        }
    }
    if let Some(name) = schema["$ref"].as_str().and_then(name_of) {
        return schemas.get(name).map_or(Value::Null, below);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[key].as_array() {
            return choices.iter().map(below).find(|example| !example.is_null()).unwrap_or(Value::Null);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(fields) = below(part) {
                whole.extend(fields);
            }
        }
        return Value::Object(whole);
    }
    // `["string", "null"]` is an optional string.
    let kind = schema["type"].as_str().or_else(|| {
        schema["type"].as_array()?.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null"))
    });
    match kind {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            Value::Object(
                fields.map(|(name, schema)| (name.clone(), of(schema, schemas, name, depth + 1))).collect(),
            )
        }
        Some("array") => match below(&schema["items"]) {
            Value::Null => json!([]),
            item => json!([item]),
        },
        Some("string") => {
            let known = BY_NAME.iter().find(|(name, _)| *name == field).map(|(_, example)| *example);
            known.map_or_else(|| format!("{PLACEHOLDER}: {field}"), str::to_owned).into()
        }
        Some("integer" | "number") => {
            schema.get("minimum").filter(|least| !least.is_null()).cloned().unwrap_or(1.into())
        }
        Some("boolean") => false.into(),
        _ => Value::Null,
    }
}
