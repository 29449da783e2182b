//! What our mails say. One letter is written once and sent as text and as HTML, from the two templates in
//! `api/templates/mail/`.

use askama::Template;

use super::Kind;

/// The parts of a mail. Names and messages in it come from people: every part is cleaned before it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) kind: Kind,
    subject: String,
    greeting: String,
    paragraphs: Vec<String>,
    button: Option<Button>,
    after: Vec<String>,
    /// Why one got it.
    reason: &'static str,
    /// Where one says that one wants no more of these.
    pub(crate) unsubscribe: Option<String>,
}

#[derive(Debug, Clone)]
struct Button {
    label: &'static str,
    url: String,
}

#[derive(Template)]
#[template(path = "mail/letter.txt", escape = "none")]
struct Text<'a> {
    greeting: &'a str,
    paragraphs: &'a [String],
    button: &'a Option<Button>,
    after: &'a [String],
    reason: &'a str,
    unsubscribe: &'a Option<String>,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    subject: String,
    greeting: &'a str,
    paragraphs: &'a [String],
    button: &'a Option<Button>,
    after: &'a [String],
    reason: &'a str,
    unsubscribe: &'a Option<String>,
}

/// A subject that is longer is cut by every list of mails.
const SUBJECT_LEN_MAX: usize = 140;

impl Letter {
    fn new(kind: Kind, name: &str, subject: String, reason: &'static str) -> Self {
        let name = clean(name);
        let greeting = if name.is_empty() { "Hello,".to_owned() } else { format!("Hello {name},") };
        let (paragraphs, after) = (Vec::new(), Vec::new());
        Self { kind, subject, greeting, paragraphs, button: None, after, reason, unsubscribe: None }
    }

    fn paragraph(mut self, text: &str) -> Self {
        self.paragraphs.push(clean_lines(text));
        self
    }

    fn button(mut self, label: &'static str, url: &str) -> Self {
        self.button = Some(Button { label, url: url.to_owned() });
        self
    }

    fn after(mut self, text: &str) -> Self {
        self.after.push(clean_lines(text));
        self
    }

    fn unsubscribe(mut self, url: &str) -> Self {
        self.unsubscribe = Some(url.to_owned());
        self
    }

    pub(crate) fn subject(&self) -> String {
        let subject = clean(&self.subject);
        match subject.char_indices().nth(SUBJECT_LEN_MAX) {
            Some((end, _)) => format!("{}…", &subject[..end]),
            None => subject,
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { greeting, paragraphs, button, after, reason, unsubscribe, .. } = self;
        let text = Text { greeting, paragraphs, button, after, reason, unsubscribe };
        text.render().expect("writing to a string does not fail")
    }

    pub(crate) fn html(&self) -> String {
        let Self { greeting, paragraphs, button, after, reason, unsubscribe, .. } = self;
        let html = Html { subject: self.subject(), greeting, paragraphs, button, after, reason, unsubscribe };
        html.render().expect("writing to a string does not fail")
    }
}

/// Without what could end a line of a head, or turn text around (Unicode's bidirectional controls): a name must not be
/// able to write a part of the mail.
fn clean(text: &str) -> String {
    clean_lines(text).replace('\n', " ").trim().to_owned()
}

fn clean_lines(text: &str) -> String {
    let is_bidi =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let kept = text.replace("\r\n", "\n");
    kept.chars().filter(|c| *c == '\n' || !(c.is_control() || is_bidi(*c))).collect()
}

const ASKED_FOR: &str = "You get this mail because somebody asked for it with your address.";
const ACCOUNT: &str =
    "You get this mail because it is about the safety of your account. It cannot be switched off.";
const MEMBER: &str = "You get this mail because you work on this project.";

/// `inviter` and `organization` as they call themselves; `role` in a word.
pub(crate) fn invitation(inviter: &str, organization: &str, role: &str, url: &str) -> Letter {
    let subject = format!("{inviter} invites you to {organization} on Loggia");
    Letter::new(
        Kind::Invitation,
        "",
        subject,
        "You get this mail because somebody entered your address to invite you.",
    )
    .paragraph(&format!("{inviter} invites you to work on the sites of {organization}, as {role}."))
    .button("Accept the invitation", url)
    .after(
        "The invitation is for this address only and holds for 7 days. If you did not expect it, do nothing.",
    )
}

pub(crate) fn password_reset(name: &str, url: &str) -> Letter {
    Letter::new(Kind::PasswordReset, name, "Choose a new password".to_owned(), ASKED_FOR)
        .paragraph("Somebody, probably you, asked for a new password of your account.")
        .button("Choose a new password", url)
        .after("The link works once, within an hour. If it was not you, do nothing: your password stays as it is.")
}

/// For the address of a new account, or a new address of an account.
pub(crate) fn email_verification(name: &str, url: &str) -> Letter {
    Letter::new(Kind::EmailVerification, name, "Confirm your mail address".to_owned(), ASKED_FOR)
        .paragraph("Please confirm that this address is yours.")
        .button("Confirm the address", url)
        .after("The link works once, within a day. If you did not enter this address at Loggia, do nothing.")
}

/// Something that changes who gets into an account; `what` is a sentence, e.g. «The password of your account was changed.»
pub(crate) fn security(name: &str, subject: &str, what: &str, url: &str) -> Letter {
    Letter::new(Kind::Security, name, subject.to_owned(), ACCOUNT)
        .paragraph(what)
        .paragraph("If it was you, all is well. If it was not, choose a new password now and look through your sessions.")
        .button("Look at your account", url)
}

/// A deployment, as its mails name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) project: &'a str,
    pub(crate) branch: Option<&'a str>,
    pub(crate) commit: Option<&'a str>,
    pub(crate) message: &'a str,
    pub(crate) url: &'a str,
}

impl About<'_> {
    /// `main at 4f6c5ed: Say hello`
    fn line(&self) -> String {
        let commit = self.commit.map(|commit| format!(" at {commit}")).unwrap_or_default();
        let first = self.message.lines().next().unwrap_or_default();
        let message = if first.is_empty() { String::new() } else { format!(": {first}") };
        format!("{}{commit}{message}", self.branch.unwrap_or("An upload"))
    }
}

pub(crate) fn deployment_failed(
    name: &str,
    about: About<'_>,
    reason: &str,
    log: &[String],
    unsubscribe: &str,
) -> Letter {
    let subject = format!("{}: the deployment failed", about.project);
    let letter = Letter::new(Kind::DeploymentFailed, name, subject, MEMBER)
        .paragraph(&format!("A deployment of {} failed. What visitors see stays as it was.", about.project))
        .paragraph(&about.line())
        .paragraph(&format!("Why: {reason}"));
    let letter = if log.is_empty() { letter } else { letter.paragraph(&log.join("\n")) };
    letter.button("Read the whole log", about.url).unsubscribe(unsubscribe)
}

pub(crate) fn deployment_recovered(name: &str, about: About<'_>, unsubscribe: &str) -> Letter {
    let subject = format!("{}: deployments work again", about.project);
    Letter::new(Kind::DeploymentRecovered, name, subject, MEMBER)
        .paragraph(&format!("After failed deployments, one of {} is live.", about.project))
        .paragraph(&about.line())
        .button("Look at the deployment", about.url)
        .unsubscribe(unsubscribe)
}

/// `why` is the diagnosis of the last check.
pub(crate) fn domain_lost(
    name: &str,
    project: &str,
    hostname: &str,
    why: &str,
    url: &str,
    unsubscribe: &str,
) -> Letter {
    let subject = format!("{project}: {hostname} is no longer served");
    Letter::new(Kind::DomainLost, name, subject, MEMBER)
        .paragraph(&format!(
            "The proof that {hostname} is yours has been missing for days, so the project {project} is no longer shown there."
        ))
        .paragraph(why)
        .button("See what to set", url)
        .after("Once the record is back, verify the domain again and it is served at once.")
        .unsubscribe(unsubscribe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About<'static> {
        About {
            project: "shop",
            branch: Some("main"),
            commit: Some("4f6c5ed"),
            message: "Say hello\n\nand more",
            url: "https://loggia.example.org/projects/shop/deployments/01jd3k8mxv7e2q4r",
        }
    }

    fn all() -> Vec<Letter> {
        let unsubscribe = "https://loggia.example.org/unsubscribe#7f3a";
        let log = ["> astro build".to_owned(), "npm error Missing script: \"build\"".to_owned()];
        vec![
            invitation("Anna", "Acme & Sons", "developer", "https://loggia.example.org/invitation#9d2c"),
            password_reset("Anna", "https://loggia.example.org/reset#1b7e"),
            email_verification("", "https://loggia.example.org/verify#44aa"),
            security(
                "Anna",
                "Your password was changed",
                "The password of your account was changed.",
                "https://loggia.example.org/settings",
            ),
            deployment_failed(
                "Anna",
                about(),
                "the build command ended with the exit code 1",
                &log,
                unsubscribe,
            ),
            deployment_recovered("Anna", about(), unsubscribe),
            domain_lost(
                "Anna",
                "shop",
                "www.example.com",
                "There is no TXT record at _loggia.www.example.com.",
                "https://loggia.example.org/projects/shop/domains",
                unsubscribe,
            ),
        ]
    }

    /// As a reader sees them.
    #[test]
    fn letters_read_well() {
        let letters = all();
        assert_eq!(letters.iter().map(|letter| letter.kind).collect::<Vec<_>>(), Kind::ALL);
        for letter in letters {
            let name = letter.kind.as_str();
            insta::assert_snapshot!(
                format!("{name}.txt"),
                format!("Subject: {}\n\n{}", letter.subject(), letter.text())
            );
            insta::assert_snapshot!(format!("{name}.html"), letter.html());
        }
    }

    #[test]
    fn a_name_cannot_write_a_part_of_the_mail() {
        let odd = "Anna\r\nBcc: all@example.org\r\n\r\n<script>\u{202e}gnp.exe";
        let letter = invitation(odd, "<b>Acme</b>", "viewer", "https://x.example/#t");
        assert_eq!(letter.subject().lines().count(), 1);
        assert!(!letter.subject().contains('\u{202e}'));
        assert!(!letter.html().contains("<script>") && !letter.html().contains("<b>"), "{}", letter.html());
        let long = invitation(&"a".repeat(1000), "Acme", "viewer", "https://x.example/#t");
        assert_eq!(long.subject().chars().count(), SUBJECT_LEN_MAX + 1);
    }
}
