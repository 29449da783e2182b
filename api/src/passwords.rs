//! Passwords: which ones are taken, and their hashes (argon2id).

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use loggia_types::EmailAddress;
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// NIST SP 800-63B asks for eight at least; ten keep a stolen hash busy.
const LEN: std::ops::RangeInclusive<usize> = 10..=256;

/// OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane; some 30 ms of a core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// What they take of memory and processor is bounded, however many people try to sign in.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// The first of every list of passwords that is tried, of those that are long enough for us to take them.
const COMMON: &[&str] = &[
    "0987654321",
    "0123456789",
    "1111111111",
    "1234512345",
    "1234554321",
    "123456789a",
    "1234567890",
    "12345678910",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "abcdefghij",
    "administrator",
    "asdfghjkl;",
    "basketball",
    "football123",
    "iloveyou123",
    "letmein123",
    "changeme123",
    "password01",
    "password12",
    "password123",
    "password1234",
    "passw0rd123",
    "qazwsxedcrfv",
    "q1w2e3r4t5",
    "qwerty1234",
    "qwerty12345",
    "qwertyuiop",
    "welcome123",
    "zxcvbnm123",
];

/// Refuses what is guessed first.
pub(crate) fn check(password: &str, email: &EmailAddress, name: &str) -> Result<(), ApiError> {
    check_field("password", password, email, name)
}

pub(crate) fn check_field(
    field: &str,
    password: &str,
    email: &EmailAddress,
    name: &str,
) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::invalid(field, "weak_password", message));
    let length = password.chars().count();
    if !LEN.contains(&length) {
        return refuse(format!(
            "a password has {} to {} characters; four words that nobody says together are good",
            LEN.start(),
            LEN.end()
        ));
    }
    let lower = password.to_lowercase();
    let of_one = lower.chars().all(|c| lower.starts_with(c));
    if of_one || COMMON.contains(&lower.as_str()) {
        return refuse("this password is one of the first that are tried; choose another".to_owned());
    }
    let name = name.to_lowercase();
    let own = [email.as_str(), email.local_part(), name.trim()];
    if own.iter().any(|own| own.len() >= 4 && lower.replace(own, "").chars().count() < 4) {
        return refuse("a password is more than your name or address; choose another".to_owned());
    }
    Ok(())
}

pub(crate) async fn hash(password: String) -> Result<String, ApiError> {
    on_a_thread(move || argon2().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
        .await?
        .map_err(ApiError::internal)
}

/// Whether the password is the one of `hash`. Without a hash (nobody has this address, or signs in elsewhere) the answer
/// is no, after the same work.
pub(crate) async fn is_right(password: String, hash: Option<String>) -> Result<bool, ApiError> {
    static NOBODYS: LazyLock<String> = LazyLock::new(|| {
        let hash = argon2().hash_password(&rand::random::<[u8; 32]>());
        hash.expect("a hash of 32 bytes").to_string()
    });
    let known = hash.is_some();
    let right = on_a_thread(move || {
        let hash = hash.unwrap_or_else(|| NOBODYS.clone());
        let parsed = PasswordHash::new(&hash)?;
        Ok::<_, argon2::password_hash::phc::Error>(
            argon2().verify_password(password.as_bytes(), &parsed).is_ok(),
        )
    });
    Ok(right.await?.map_err(ApiError::internal)? && known)
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let _place = AT_ONCE.acquire().await.map_err(ApiError::internal)?;
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("OWASP's parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_guessed_first_are_refused() {
        let email: EmailAddress = "anna.example@example.org".parse().expect("valid");
        let refused = [
            "",
            "short",
            "123456789",
            "Password123",
            "aaaaaaaaaaaa",
            "anna.example1",
            "anna.example@example.org",
            "Anna Example",
        ];
        for password in refused {
            assert!(check(password, &email, "Anna Example").is_err(), "{password:?}");
        }
        assert!(check(&"x".repeat(257), &email, "").is_err());
        for password in ["correct horse battery", "äöüäöüäöüx", "Anna Example likes tea"] {
            assert!(check(password, &email, "Anna Example").is_ok(), "{password:?}");
        }
    }

    #[tokio::test]
    async fn a_hash_is_of_one_password_and_no_two_are_alike() {
        let one = hash("correct horse battery".into()).await.expect("hashes");
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, hash("correct horse battery".into()).await.expect("hashes"));
        let right = async |password: &str, hash: Option<String>| {
            is_right(password.into(), hash).await.expect("works")
        };
        assert!(right("correct horse battery", Some(one.clone())).await);
        assert!(!right("correct horse batterz", Some(one)).await);
        assert!(!right("correct horse battery", None).await);
        assert!(is_right("x".into(), Some("broken".into())).await.is_err());
    }
}
