//! What every operation has in common and no handler should have to say: a name of its own, words for each status,
//! the body of refusals.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// `document` is OpenAPI as JSON.
pub(super) fn complete(document: &mut Value) {
    for operation in operations(document) {
        name(operation);
        let responses = operation["responses"].as_object_mut().into_iter().flatten();
        for (status, response) in responses {
            describe(status, response);
        }
    }
    drop_unused_schemas(document);
}

pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let items = document["paths"].as_object_mut().into_iter().flatten();
    items.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten().map(|(_, operation)| operation))
}

/// utoipa takes the handler's name, and there are many that are called `list`.
fn name(operation: &mut Value) {
    let tag = operation["tags"][0].as_str().unwrap_or_default().to_lowercase().replace([' ', '-'], "_");
    let handler = operation["operationId"].as_str().unwrap_or_default();
    operation["operationId"] = format!("{tag}_{handler}").into();
}

fn describe(status: &str, response: &mut Value) {
    let code = status.parse::<u16>().ok().and_then(|code| StatusCode::from_u16(code).ok());
    if response["description"].as_str().is_none_or(str::is_empty) {
        let words = code.and_then(|code| code.canonical_reason()).unwrap_or("Answer");
        response["description"] = words.into();
    }
    let refuses = code.is_some_and(|code| code.is_client_error() || code.is_server_error());
    if refuses && response.get("content").is_none() {
        let schema = json!({"$ref": "#/components/schemas/ErrorBody"});
        response["content"] = json!({"application/problem+json": {"schema": schema}});
    }
}

/// Those of the internal routes.
fn drop_unused_schemas(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let mut used = BTreeSet::new();
    collect(&document["paths"], &schemas, &mut used);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

fn collect(value: &Value, schemas: &Map<String, Value>, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(name_of)
                && used.insert(name.to_owned())
                && let Some(schema) = schemas.get(name)
            {
                collect(schema, schemas, used);
            }
            object.values().for_each(|value| collect(value, schemas, used));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, schemas, used)),
        _ => {}
    }
}

/// The schema that a reference names.
pub(super) fn name_of(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/components/schemas/")
}
