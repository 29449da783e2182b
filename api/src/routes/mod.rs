//! The whole URL table.

mod account;
mod audit;
mod cdn;
mod cookies;
mod deployments;
mod devices;
mod domains;
mod github;
mod health;
mod internal;
mod invitations;
mod keys;
mod members;
mod notifications;
mod openapi;
mod organizations;
mod projects;
mod purges;
mod reset;
mod session;
mod setup;
mod tokens;
mod two_factor;
mod variables;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use loggia_types::api::TokenScope;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use utoipa_axum::routes;

use crate::access::{self, Access, Permission};
use crate::app::App;
use crate::error::{self, ApiError};
use crate::table::Table;
use crate::{idempotency, observe};

/// Nothing that people send as JSON comes near it.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// 100,000 files at up to 1,100 bytes a row, and some air.
pub(crate) const FILE_LIST_BYTES_MAX: usize = 128 * 1024 * 1024;
/// GitHub sends at most 25 MB (docs.github.com, «Webhook events and payloads»).
const WEBHOOK_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Longer than any statement may take; uploads and streams are exempt.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Every route, and who may call it.
pub(crate) fn table() -> Table {
    use Access::{Builder, Edge, Open, Operator, Organization, Person, Project, Session};
    use Permission::{Deploy, Manage, ManageMembers, Own, View, ViewLogs};

    let quick = Table::new()
        .add(Open, routes!(health::alive))
        .add(Open, routes!(health::ready))
        .add(Open, routes!(openapi::get))
        .add(Person(TokenScope::Read), routes!(projects::list))
        .add(Person(TokenScope::Admin), routes!(projects::create))
        .add(Project(View), routes!(projects::get))
        .add(Project(Manage), routes!(projects::update, projects::delete))
        .add(Project(View), routes!(deployments::get))
        .add(Project(ViewLogs), routes!(deployments::log))
        .add(Project(Deploy), routes!(deployments::cancel))
        .add(Project(Deploy), routes!(deployments::promote))
        .add(Project(Deploy), routes!(deployments::roll_back))
        .add(Project(Deploy), routes!(purges::create))
        .add(Project(View), routes!(domains::list))
        .add(Project(Manage), routes!(domains::add))
        .add(Project(View), routes!(domains::get))
        .add(Project(Manage), routes!(domains::update, domains::remove))
        .add(Project(Manage), routes!(domains::verify))
        .add(Project(Manage), routes!(domains::make_primary))
        .add(Operator, routes!(domains::hand_over))
        .add(Open, routes!(setup::setup_state, setup::set_up))
        .add(Open, routes!(session::create))
        .add(Open, routes!(session::second_factor))
        .add(Session, routes!(session::delete))
        .add(Open, routes!(reset::forgot))
        .add(Open, routes!(reset::reset))
        .add(Open, routes!(reset::sign_up))
        .add(Open, routes!(reset::confirm_sign_up))
        .add(Person(TokenScope::Read), routes!(account::get))
        .add(Person(TokenScope::Admin), routes!(account::update))
        .add(Session, routes!(account::delete))
        .add(Session, routes!(account::set_password))
        .add(Session, routes!(account::change_email))
        .add(Open, routes!(account::confirm_email))
        .add(Session, routes!(account::list_sessions, account::end_other_sessions))
        .add(Session, routes!(account::end_session))
        .add(Session, routes!(two_factor::begin))
        .add(Session, routes!(two_factor::confirm))
        .add(Session, routes!(two_factor::renew_codes))
        .add(Session, routes!(two_factor::off))
        .add(Open, routes!(devices::begin_device))
        .add(Open, routes!(devices::poll_device))
        .add(Session, routes!(devices::look_at_device))
        .add(Session, routes!(devices::decide_device))
        .add(Person(TokenScope::Read), routes!(tokens::list_tokens))
        .add(Person(TokenScope::Admin), routes!(tokens::create_token))
        .add(Person(TokenScope::Admin), routes!(tokens::revoke_token))
        .add(Person(TokenScope::Read), routes!(organizations::list))
        .add(Person(TokenScope::Admin), routes!(organizations::create))
        .add(Organization(View), routes!(organizations::get))
        .add(Organization(Manage), routes!(organizations::update))
        .add(Organization(Own), routes!(organizations::delete))
        .add(Organization(View), routes!(members::list_members))
        .add(Organization(ManageMembers), routes!(members::set_role))
        // Everybody may leave; for others it takes more.
        .add(Organization(View), routes!(members::remove_member))
        .add(Organization(ManageMembers), routes!(invitations::list_invitations, invitations::invite))
        .add(Organization(ManageMembers), routes!(invitations::revoke_invitation))
        .add(Open, routes!(invitations::preview_invitation))
        .add(Person(TokenScope::Admin), routes!(invitations::accept_invitation))
        .add(Open, routes!(invitations::accept_as_new_person))
        .add(Organization(Manage), routes!(audit::of_organization))
        .add(Project(Manage), routes!(audit::of_project))
        .add(Operator, routes!(audit::of_everything))
        .add(Project(View), routes!(members::list_collaborators))
        .add(Project(ManageMembers), routes!(members::set_collaborator))
        .add(Project(View), routes!(members::remove_collaborator))
        .add(Open, routes!(notifications::page, notifications::unsubscribe))
        .add(Person(TokenScope::Read), routes!(notifications::get_notifications))
        .add(Person(TokenScope::Admin), routes!(notifications::set_notifications))
        .add(Operator, routes!(cdn::list))
        .add(Project(View), routes!(variables::project::list))
        .add(Project(Manage), routes!(variables::project::create))
        .add(Project(Manage), routes!(variables::project::set, variables::project::delete))
        .add(Project(Manage), routes!(variables::project::import))
        // A file of values: for those who see them.
        .add(Project(ViewLogs), routes!(variables::project::export))
        .add(Project(View), routes!(variables::project::effective))
        .add(Organization(Manage), routes!(variables::organization::list, variables::organization::create))
        .add(Organization(Manage), routes!(variables::organization::set, variables::organization::delete))
        .add(Organization(Manage), routes!(variables::organization::import))
        .add(Organization(Manage), routes!(variables::organization::export))
        .add(Operator, routes!(variables::platform::list, variables::platform::create))
        .add(Operator, routes!(variables::platform::set, variables::platform::delete))
        .add(Operator, routes!(variables::platform::import))
        .add(Operator, routes!(variables::platform::export))
        .add(Operator, routes!(keys::list))
        .add(Operator, routes!(keys::rotate))
        .add(Edge, routes!(internal::route))
        .add(Builder, routes!(internal::heartbeat))
        .add(Builder, routes!(internal::report))
        .around(|router| router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .merge(
            Table::new()
                .add(Open, routes!(github::receive))
                .around(|router| router.layer(DefaultBodyLimit::max(WEBHOOK_BYTES_MAX))),
        )
        .merge(
            Table::new()
                .add(Builder, routes!(internal::log))
                .around(|router| router.layer(DefaultBodyLimit::max(4 * BODY_BYTES_MAX))),
        )
        .around(|router| {
            router.layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        });

    let patient = Table::new()
        .add(Project(View), routes!(deployments::list))
        .add(Project(Deploy), routes!(deployments::create))
        .around(|router| router.layer(DefaultBodyLimit::max(FILE_LIST_BYTES_MAX)))
        .add(Project(Deploy), routes!(deployments::finish_upload))
        .add(Builder, routes!(internal::claim))
        .add(Edge, routes!(internal::events))
        .merge(
            // Its size is what the announcement said; `ops::uploads` counts.
            Table::new()
                .add(Project(Deploy), routes!(deployments::upload_file))
                .around(|router| router.layer(DefaultBodyLimit::disable())),
        );

    quick.merge(patient)
}

/// A request's id goes into logs and answers: one from outside is kept if it could be ours.
async fn drop_odd_request_id(mut request: Request, next: Next) -> Response {
    const NAME: &str = "x-request-id";
    let is_fine = |id: &HeaderValue| {
        let id = id.as_bytes();
        (8..=64).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    if request.headers().get(NAME).is_some_and(|id| !is_fine(id)) {
        request.headers_mut().remove(NAME);
    }
    next.run(request).await
}

pub(crate) fn router(app: App) -> Router {
    table()
        .into_router()
        // Around each route: once it is known which one it is, and before its body is read.
        .route_layer(middleware::from_fn_with_state(app.clone(), idempotency::remember))
        .route_layer(middleware::from_fn_with_state(app.clone(), access::enforce))
        .fallback(|| async { ApiError::not_found("such address in this api") })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            ApiError::rejection(status, "method_not_allowed", "this address takes other methods".to_owned())
        })
        .layer(middleware::from_fn(error::render))
        .layer(middleware::from_fn_with_state(app.clone(), observe::observe))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(middleware::from_fn(drop_odd_request_id))
        .with_state(app)
}
