//! People come into being, prove who they are, and are let in.

use std::time::Duration;

use axum::http::StatusCode;
use loggia_types::api::{SignedIn, User};
use loggia_types::{EmailAddress, OrganizationSlug, SessionId, UserId};
use serde_json::Value;

use crate::access::{Caller, Origin, Via, Who, hash};
use crate::app::App;
use crate::attempts::{self, ACCOUNT, SIGN_IN};
use crate::audit::{self, Change};
use crate::db::one_time_tokens::{self, NewToken, Purpose};
use crate::db::sessions::{self, NewSession};
use crate::db::users::{self, EMAIL_IS_UNIQUE, NewUser, UserRow};
use crate::db::{DbError, GenericClient};
use crate::error::ApiError;
use crate::vault::random_token;
use crate::{names, passwords};

/// Time to find the device with the codes.
const CHALLENGE_GOOD_FOR: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
pub(crate) struct NewPerson<'a> {
    /// Proved: by a link, by an invitation, or by being the first.
    pub(crate) email: &'a EmailAddress,
    pub(crate) name: &'a str,
    /// None for who signs in elsewhere.
    pub(crate) password_hash: Option<&'a str>,
    pub(crate) is_operator: bool,
}

/// Stores a person and their personal organization.
pub(crate) async fn create(db: &impl GenericClient, new: &NewPerson<'_>) -> Result<UserId, ApiError> {
    names::check("name", new.name)?;
    let id = UserId::generate();
    let row = NewUser {
        id,
        email: new.email,
        name: new.name.trim(),
        password_hash: new.password_hash,
        is_operator: new.is_operator,
    };
    users::insert(db, &row).await.map_err(|error| match error.constraint() {
        Some(EMAIL_IS_UNIQUE) => {
            ApiError::conflict("email_taken", "there is an account with this address; sign in").about("email")
        }
        _ => error.into(),
    })?;
    for slug in personal_slugs(new.email) {
        if users::insert_personal(db, id, &slug, new.name.trim()).await? {
            return Ok(id);
        }
    }
    Err(ApiError::internal("no slug for a personal organization is free"))
}

/// `anna.b+x@…` is called anna-b-x, or something like it that is free.
fn personal_slugs(email: &EmailAddress) -> impl Iterator<Item = OrganizationSlug> {
    let letters =
        email.local_part().split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let plain: String = letters.collect::<Vec<_>>().join("-").chars().take(30).collect();
    let plain = plain.trim_end_matches('-').to_owned();
    let base = if plain.is_empty() { "home".to_owned() } else { plain };
    let numbered = base.clone();
    let others = (0..20).map(move |_| format!("{numbered}-{:04x}", rand::random::<u16>()));
    std::iter::once(base).chain(others).filter_map(|slug| slug.parse().ok())
}

/// Tries a password. The same work, and the same answer, whether or not there is such an account.
pub(crate) async fn try_password(
    app: &App,
    origin: &Origin,
    email: &EmailAddress,
    password: String,
) -> Result<UserRow, ApiError> {
    let client = app.db().await?;
    let found = users::find_by_email(&client, email).await?;
    let here = format!("sign_in {email} {}", attempts::place(origin));
    attempts::count(&client, &here, SIGN_IN).await?;
    // Many addresses together must not keep somebody out who is known where they are.
    let is_known = match &found {
        Some(user) => sessions::is_known_place(&client, user.id, origin.address).await?,
        None => false,
    };
    if !is_known {
        attempts::count(&client, &format!("account {email}"), ACCOUNT).await?;
    }
    drop(client);
    let hash = found.as_ref().filter(|user| !user.is_disabled).and_then(|user| user.password_hash.clone());
    let is_right = passwords::is_right(password, hash).await?;
    let Some(user) = found.filter(|_| is_right) else {
        return Err(ApiError::rejection(
            StatusCode::UNAUTHORIZED,
            "wrong_credentials",
            "the address or the password is wrong".to_owned(),
        ));
    };
    let client = app.db().await?;
    attempts::clear(&client, &here).await?;
    attempts::clear(&client, &format!("account {email}")).await?;
    Ok(user)
}

/// What follows once somebody proved who they are: a session, or the question for the second factor.
pub(crate) async fn admit(
    app: &App,
    origin: &Origin,
    user: &UserRow,
) -> Result<(SignedIn, Option<String>), ApiError> {
    if user.has_two_factor {
        let challenge = random_token("");
        let token = NewToken {
            hash: &hash(&challenge),
            purpose: Purpose::SecondFactor,
            user_id: Some(user.id),
            email: None,
            details: &Value::Null,
            good_for: CHALLENGE_GOOD_FOR,
        };
        one_time_tokens::insert(&app.db().await?, &token).await?;
        return Ok((SignedIn::SecondFactorNeeded { challenge }, None));
    }
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let cookie = begin_session(&transaction, origin, user.id).await?;
    transaction.commit().await?;
    Ok((SignedIn::SignedIn { user: user.view() }, Some(cookie)))
}

/// A new session, and its cookie's value.
pub(crate) async fn begin_session(
    db: &impl GenericClient,
    origin: &Origin,
    user_id: UserId,
) -> Result<String, DbError> {
    let cookie = random_token("loggia_session_");
    let id = SessionId::generate();
    let session = NewSession {
        id,
        token_hash: &hash(&cookie),
        user_id,
        user_agent: &origin.user_agent,
        address: origin.address,
    };
    sessions::insert(db, &session).await?;
    let who = Who::Person { user_id, is_operator: false };
    let caller = Caller { who, via: Via::Session(id), origin: origin.clone() };
    audit::record(db, &caller, Change::new("session.create", user_id.as_str())).await?;
    Ok(cookie)
}

/// For what a stolen session shall not be able to do: the password, or, for who has none, a sign-in of a few minutes ago.
pub(crate) async fn confirm(
    app: &App,
    caller: &Caller,
    current_password: Option<String>,
) -> Result<UserRow, ApiError> {
    let user = users::get(&app.db().await?, caller.require_person()?).await?;
    if user.password_hash.is_some() {
        let Some(password) = current_password else {
            let message = "current_password is missing: confirm this with your password";
            return Err(ApiError::invalid("current_password", "password_needed", message));
        };
        let tried = try_password(app, &caller.origin, &user.email, password).await;
        return tried.map_err(|error| match error.code() {
            "wrong_credentials" => ApiError::invalid(
                "current_password",
                "wrong_password",
                "current_password is not your password",
            ),
            _ => error,
        });
    }
    if !sessions::is_fresh(&app.db().await?, caller.require_session()?).await? {
        let message = "you signed in some time ago; sign in again, then do this";
        return Err(ApiError::forbidden("sign_in_again", message));
    }
    Ok(user)
}

/// The person of a caller, as they are shown.
pub(crate) async fn view(app: &App, caller: &Caller) -> Result<User, ApiError> {
    Ok(users::get(&app.db().await?, caller.require_person()?).await?.view())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_personal_organization_is_called_like_its_person() {
        let first =
            |email: &str| personal_slugs(&email.parse().expect("valid")).next().expect("one").to_string();
        assert_eq!(first("anna.b+x@example.org"), "anna-b-x");
        assert_eq!(first("__@example.org"), "home");
        assert!(first("admin@example.org").starts_with("admin-"), "reserved alone");
        assert!(first(&format!("{}@example.org", "a-".repeat(31))).len() <= 35);
    }
}
