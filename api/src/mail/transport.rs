//! The ways out for mail.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::config::mail::{MailConfig, MailWay};
use crate::db::mails::DueMail;

/// A server that takes longer to answer a command is of no use for now (RFC 5321, 4.5.3.2, allows minutes).
const SMTP_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a mail was not taken.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The server is away or says «later»: the same mail may go another time.
    Later(String),
    /// The server refused this mail (RFC 5321, 4.2.1: 5yz).
    Never(String),
}

pub(crate) struct Transport {
    from: Mailbox,
    way: Way,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(AsyncFileTransport<Tokio1Executor>),
    Console,
}

impl Transport {
    pub(crate) fn new(config: &MailConfig) -> anyhow::Result<Self> {
        let way = match &config.way {
            MailWay::Smtp(url) => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.reveal());
                // The URL was tried when the configuration was read; it is not shown, for its password.
                let builder = builder.ok().context("LOGGIA_MAIL_URL is no address of a mail server")?;
                Way::Smtp(builder.timeout(Some(SMTP_TIMEOUT)).build())
            }
            MailWay::Folder(folder) => {
                let made = |folder: &PathBuf| std::fs::create_dir_all(folder);
                made(folder).with_context(|| format!("creating {}", folder.display()))?;
                Way::Folder(AsyncFileTransport::new(folder))
            }
            MailWay::Console => Way::Console,
        };
        Ok(Self { from: config.from.clone(), way })
    }

    pub(crate) async fn send(&self, mail: &DueMail) -> Result<(), SendError> {
        let message = self.message(mail).map_err(|error| SendError::Never(format!("{error:#}")))?;
        match &self.way {
            Way::Smtp(smtp) => smtp.send(message).await.map(drop).map_err(|error| {
                let cause = causes(&error);
                if error.is_permanent() { SendError::Never(cause) } else { SendError::Later(cause) }
            }),
            Way::Folder(folder) => {
                folder.send(message).await.map(drop).map_err(|e| SendError::Later(causes(&e)))
            }
            Way::Console => {
                tracing::info!("Mail to {}: {}\n{}", mail.recipient, mail.subject, mail.text);
                Ok(())
            }
        }
    }

    fn message(&self, mail: &DueMail) -> anyhow::Result<Message> {
        let to = mail.recipient.parse().with_context(|| format!("{:?} is no address", mail.recipient))?;
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject.as_str())
            // Of one mail, however often it is sent: a reader's program drops the second.
            .message_id(Some(format!("<{}.loggia@{}>", mail.id, self.from.email.domain())))
            .header(AutoSubmitted);
        if let Some(url) = &mail.unsubscribe {
            builder = builder.header(ListUnsubscribe(format!("<{url}>"))).header(ListUnsubscribePost);
        }
        let parts = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
        Ok(builder.multipart(parts)?)
    }
}

/// lettre's own message does not say what the server said.
fn causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

/// Nobody answers these with a note that they are on holiday (RFC 3834, 5).
#[derive(Clone)]
struct AutoSubmitted;
/// RFC 2369, 3.2, and the click that needs no page (RFC 8058).
#[derive(Clone)]
struct ListUnsubscribe(String);
#[derive(Clone)]
struct ListUnsubscribePost;

macro_rules! header {
    ($type:ty, $name:literal, |$header:ident| $value:expr) => {
        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }

            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Err("is written, never read".into())
            }

            fn display(&self) -> HeaderValue {
                let $header = self;
                HeaderValue::new(Self::name(), $value)
            }
        }
    };
}

header!(AutoSubmitted, "Auto-Submitted", |_header| "auto-generated".to_owned());
header!(ListUnsubscribe, "List-Unsubscribe", |header| header.0.clone());
header!(ListUnsubscribePost, "List-Unsubscribe-Post", |_header| "List-Unsubscribe=One-Click".to_owned());
