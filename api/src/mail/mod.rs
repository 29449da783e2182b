//! Mail: what is written ([`letters`]), the outbox that it waits in ([`outbox`]), and the ways out ([`transport`]).
//!
//! Whoever wants to tell somebody something calls [`enqueue`] in the transaction of what happened: both are stored, or
//! neither. Nothing waits for a mail server.

pub(crate) mod letters;
pub(crate) mod notices;
pub(crate) mod outbox;
pub(crate) mod transport;

use loggia_types::EmailAddress;

use crate::db::mails::NewMail;
use crate::db::{self, DbError, GenericClient};
use letters::Letter;

/// What a mail is about; as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Invitation,
    PasswordReset,
    EmailVerification,
    /// What somebody else could have done: a new password, a new address, two-factor off.
    Security,
    DeploymentFailed,
    DeploymentRecovered,
    DomainLost,
}

impl Kind {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] = [
        Self::Invitation,
        Self::PasswordReset,
        Self::EmailVerification,
        Self::Security,
        Self::DeploymentFailed,
        Self::DeploymentRecovered,
        Self::DomainLost,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
            Self::Security => "security",
            Self::DeploymentFailed => "deployment_failed",
            Self::DeploymentRecovered => "deployment_recovered",
            Self::DomainLost => "domain_lost",
        }
    }
}

/// Puts a letter into the outbox.
pub(crate) async fn enqueue(
    db: &impl GenericClient,
    recipient: &EmailAddress,
    letter: &Letter,
) -> Result<(), DbError> {
    insert(db, recipient, None, letter).await
}

/// As [`enqueue`], for something that may be noticed more than once: `event` names it, e.g. `deployment_failed 01jd…`, and
/// nobody gets two mails about it.
pub(crate) async fn enqueue_once(
    db: &impl GenericClient,
    recipient: &EmailAddress,
    event: &str,
    letter: &Letter,
) -> Result<(), DbError> {
    insert(db, recipient, Some(&format!("{event} {recipient}")), letter).await
}

async fn insert(
    db: &impl GenericClient,
    recipient: &EmailAddress,
    event: Option<&str>,
    letter: &Letter,
) -> Result<(), DbError> {
    let mail = NewMail {
        recipient: recipient.as_str(),
        kind: letter.kind,
        event,
        subject: &letter.subject(),
        text: &letter.text(),
        html: &letter.html(),
        unsubscribe: letter.unsubscribe.as_deref(),
    };
    db::mails::insert(db, &mail).await
}
