//! How mail leaves.

use std::path::PathBuf;
use std::str::FromStr;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use loggia_runtime::{Env, Secret};

#[derive(Debug, Clone)]
pub struct MailConfig {
    pub way: MailWay,
    pub from: Mailbox,
}

#[derive(Debug, Clone)]
pub enum MailWay {
    /// A URL with the password in it.
    Smtp(Secret),
    /// A file for each mail: for development, and for an installation without a mail server.
    Folder(PathBuf),
    /// Into the log, with the links in it: for development only.
    Console,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMailWay {
    #[error("mail leaves by smtp://, smtps://, file:///folder or console:")]
    Scheme,
    #[error("a folder for mail is an absolute path: file:///var/lib/loggia/mail")]
    Folder,
    /// Without the URL, which holds a password.
    #[error("this is no address of a mail server")]
    Smtp,
}

impl FromStr for MailWay {
    type Err = InvalidMailWay;
    fn from_str(text: &str) -> Result<Self, InvalidMailWay> {
        let url = url::Url::parse(text).map_err(|_| InvalidMailWay::Scheme)?;
        match url.scheme() {
            "smtp" | "smtps" => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(text);
                builder.map(|_| Self::Smtp(Secret::new(text))).map_err(|_| InvalidMailWay::Smtp)
            }
            "file" => url.to_file_path().map(Self::Folder).map_err(|()| InvalidMailWay::Folder),
            "console" => Ok(Self::Console),
            _ => Err(InvalidMailWay::Scheme),
        }
    }
}

impl MailConfig {
    pub(crate) fn from_env(env: &mut Env) -> Self {
        // Not `parsed`: it would show the password in its message.
        let url = env
            .optional::<String>("LOGGIA_MAIL_URL", "smtp://user:password@mail.example.org:587?tls=required");
        let way = match url.as_deref().map(str::parse) {
            None => MailWay::Console,
            Some(Ok(way)) => way,
            Some(Err(error)) => {
                env.mistake(format!(
                    "LOGGIA_MAIL_URL: {error} (a good value: smtp://user:password@mail.example.org:587?tls=required)"
                ));
                MailWay::Console
            }
        };
        Self { way, from: env.parsed("LOGGIA_MAIL_FROM", "Loggia <loggia@localhost>") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_out_are_read_and_a_password_is_never_shown() {
        let way = |text: &str| text.parse::<MailWay>();
        assert!(matches!(way("smtp://a:hunter2@mail.example.org:587?tls=required"), Ok(MailWay::Smtp(_))));
        assert!(matches!(way("smtps://a:hunter2@mail.example.org"), Ok(MailWay::Smtp(_))));
        assert!(
            matches!(way("file:///var/mail"), Ok(MailWay::Folder(folder)) if folder.as_os_str() == "/var/mail")
        );
        assert!(matches!(way("console:"), Ok(MailWay::Console)));
        assert_eq!(way("mail.example.org").unwrap_err(), InvalidMailWay::Scheme);
        assert_eq!(way("smtp://a:hunter2@mail.example.org?tls=maybe").unwrap_err(), InvalidMailWay::Smtp);
        let shown = format!("{:?}", way("smtp://a:hunter2@mail.example.org"));
        assert!(!shown.contains("hunter2"), "{shown}");
        let values = [("LOGGIA_MAIL_URL".to_owned(), "ftp://a:hunter2@x".to_owned())];
        let mut env = Env::from_values(values);
        MailConfig::from_env(&mut env);
        let mistakes = format!("{:?}", env.finish());
        assert!(mistakes.contains("LOGGIA_MAIL_URL") && !mistakes.contains("hunter2"), "{mistakes}");
    }
}
