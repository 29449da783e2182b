//! The table of routes: each with its handler, its documentation, and who may call it. One cannot be added without.

use axum::Router;
use axum::http::Method;
use loggia_types::api::ErrorBody;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Components, Schema};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, OpenApi, Paths, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::access::{Access, Accesses};
use crate::app::App;

/// How the OpenAPI document names a bearer token, and the cookie of a browser's session.
pub(crate) const TOKEN: &str = "token";
pub(crate) const SESSION: &str = "session";

/// Routes that share their limits.
pub(crate) struct Table {
    router: Router<App>,
    accesses: Vec<(Method, String, Access)>,
    paths: Paths,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), accesses: Vec::new(), paths: Paths::new(), schemas: Vec::new() }
    }

    /// Handlers of one path: `.add(Access::Project(View), routes!(projects::get))`.
    pub(crate) fn add(mut self, access: Access, (schemas, paths, handler): UtoipaMethodRouter<App>) -> Self {
        self.schemas.extend(schemas);
        for (path, mut item) in paths.paths {
            for (method, operation) in operations(&mut item) {
                self.accesses.push((method, path.clone(), access));
                document(operation, access);
            }
            self.router = self.router.route(&path, handler.clone());
            match self.paths.paths.get_mut(&path) {
                Some(there) => there.merge_operations(item),
                None => {
                    self.paths.paths.insert(path, item);
                }
            }
        }
        self
    }

    /// Puts a layer around what was added so far: a limit, a deadline.
    pub(crate) fn around(mut self, layer: impl FnOnce(Router<App>) -> Router<App>) -> Self {
        self.router = layer(self.router);
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.accesses.extend(other.accesses);
        self.schemas.extend(other.schemas);
        for (path, item) in other.paths.paths {
            match self.paths.paths.get_mut(&path) {
                Some(there) => there.merge_operations(item),
                None => {
                    self.paths.paths.insert(path, item);
                }
            }
        }
        self
    }

    pub(crate) fn accesses(&self) -> Accesses {
        Accesses::new(self.accesses.iter().cloned())
    }

    /// The routes without what surrounds all of them.
    pub(crate) fn into_router(self) -> Router<App> {
        self.router
    }

    /// Completes a document that says what the api is with what is in it.
    pub(crate) fn describe(self, mut document: OpenApi) -> OpenApi {
        let components = document.components.get_or_insert_with(Components::new);
        components.schemas.extend(self.schemas);
        let mut of_errors = Vec::new();
        ErrorBody::schemas(&mut of_errors);
        components.schemas.extend(of_errors);
        components.schemas.insert(ErrorBody::name().into_owned(), ErrorBody::schema());
        document.paths = self.paths;
        document
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds what follows from the access: how one says who one is, and the refusals that each route shares.
fn document(operation: &mut Operation, access: Access) {
    let of_token = || SecurityRequirement::new::<_, _, &str>(TOKEN, []);
    let of_session = || SecurityRequirement::new::<_, _, &str>(SESSION, []);
    operation.security = Some(match access {
        Access::Open => Vec::new(),
        Access::Session => vec![of_session()],
        Access::Builder | Access::Edge => vec![of_token()],
        Access::Person(_) | Access::Organization(_) | Access::Project(_) | Access::Operator => {
            vec![of_token(), of_session()]
        }
    });
    let mut refusals = vec![
        ("400", "The request cannot be read"),
        ("422", "A value is not what it has to be"),
        ("429", "Too many requests; `Retry-After` says when to come again"),
        ("500", "Our fault"),
        ("503", "The database or the store does not answer; `Retry-After` says when to come again"),
    ];
    if access != Access::Open {
        refusals.push(("401", "No token, no session, or one that is not valid"));
        refusals.push(("403", "The role, the scope or the kind of the token does not suffice"));
    }
    if operation.request_body.is_some() {
        refusals.push(("413", "The body is too large"));
        refusals.push(("415", "The body has another media type"));
    }
    refusals.push(("404", "Not there, or not to be seen by the caller"));
    for (status, description) in refusals {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(refusal(description)));
    }
}

fn refusal(description: &str) -> Response {
    let schema = Ref::from_schema_name(ErrorBody::name());
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}
