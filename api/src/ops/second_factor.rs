//! Second factors: codes of a device (RFC 6238), and recovery codes for when it is lost.

use axum::http::StatusCode;
use loggia_types::{Timestamp, UserId};
use totp_rs::{Builder, Secret, Totp};

use crate::access::hash;
use crate::app::App;
use crate::attempts::{self, Pace, SIGN_IN};
use crate::db::{GenericClient, two_factors};
use crate::error::ApiError;
use crate::vault::Vault;

/// 160 bits, as RFC 4226 (4) wants.
pub(crate) const SECRET_LEN: usize = 20;
const RECOVERY_CODES: usize = 10;
const CODE_PACE: Pace = SIGN_IN;

/// What an authenticator app is told.
pub(crate) fn totp(secret: &[u8], account: &str) -> Result<Totp, ApiError> {
    Builder::new()
        .with_secret(Secret::from(secret.to_vec()))
        // A colon would end the issuer.
        .with_account_name(account.replace(':', ""))
        .with_issuer(Some("Loggia"))
        .build()
        .map_err(|error| ApiError::internal(format!("{error:?}")))
}

/// Where the vault keeps the secret of a person.
fn place(user: UserId) -> String {
    format!("two-factor {user}")
}

pub(crate) fn seal(vault: &Vault, user: UserId, secret: &[u8]) -> crate::vault::Sealed {
    vault.seal(&place(user), secret)
}

/// Takes a code of the device once, or a recovery code. Wrong ones are counted and slow down.
pub(crate) async fn take(
    app: &App,
    db: &impl GenericClient,
    user: UserId,
    code: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    let subject = format!("second_factor {user}");
    // Over a connection of its own: what is counted stays counted when the transaction around is given up.
    attempts::count(&app.db().await?, &subject, CODE_PACE).await?;
    let typed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let right = if typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit()) {
        take_device_code(app, db, user, &typed, now).await?
    } else {
        let bare = typed.replace('-', "").to_ascii_lowercase();
        two_factors::use_code(db, user, &hash(&bare)).await?
    };
    if !right {
        return Err(ApiError::rejection(
            StatusCode::UNAUTHORIZED,
            "wrong_code",
            "this code is wrong, or was used before; wait for the next one".to_owned(),
        ));
    }
    attempts::clear(&app.db().await?, &subject).await?;
    Ok(())
}

async fn take_device_code(
    app: &App,
    db: &impl GenericClient,
    user: UserId,
    code: &str,
    now: Timestamp,
) -> Result<bool, ApiError> {
    let Some(row) = two_factors::find(db, user).await? else { return Ok(false) };
    let secret = app.vault.open(&place(user), &row.secret.key_id, &row.secret.bytes)?;
    let time = u64::try_from(now.unix_secs()).unwrap_or_default();
    match totp(&secret, "")?.check(code, time) {
        Some(step) => Ok(two_factors::use_step(db, user, i64::try_from(step).unwrap_or(i64::MAX)).await?),
        None => Ok(false),
    }
}

/// New ones; those of before are worth nothing.
pub(crate) async fn make_recovery_codes(
    db: &impl GenericClient,
    user: UserId,
) -> Result<Vec<String>, ApiError> {
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| hash(&code.replace('-', ""))).collect();
    two_factors::replace_codes(db, user, &hashes).await?;
    Ok(codes)
}

/// 80 bits: as many as no table of hashes gives away, in letters that one can read aloud.
fn recovery_code() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let random: [u8; 16] = rand::random();
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let text: String = letters.collect();
    text.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join("-")
}
