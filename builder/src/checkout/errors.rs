//! libgit2's errors, sorted by whose fault they are. Most have no code of their own, only a message.

use git2::{Error, ErrorClass, ErrorCode};
use loggia_types::RepositoryUrl;

use super::CheckoutError;

/// The prefix of libgit2's message about an answer of the server.
const STATUS_MESSAGE: &str = "unexpected http status code: ";

/// What a failed transfer means.
pub(super) fn of_transfer(error: &Error, url: &RepositoryUrl) -> CheckoutError {
    let message = error.message();
    if let Some(status) =
        message.strip_prefix(STATUS_MESSAGE).and_then(|text| text.trim().parse::<u16>().ok())
    {
        return of_status(status, url);
    }
    if error.code() == ErrorCode::Auth || message.contains("authentication") {
        return unauthorized(url);
    }
    if error.code() == ErrorCode::Certificate || error.class() == ErrorClass::Ssl {
        return CheckoutError::Theirs(format!(
            "The certificate of {} is not trusted: {message}. If it is signed by an authority of your own, the \
             operator has to add it to the builder's certificates.",
            url.authority()
        ));
    }
    if message.contains("redirect") {
        return CheckoutError::Theirs(format!(
            "{url} has moved to another host ({message}). Set the repository's new URL in the project's settings."
        ));
    }
    if is_not_git(error) {
        return CheckoutError::Theirs(format!("{url} does not answer as a Git repository does: {message}."));
    }
    CheckoutError::Ours(format!("fetching from {url}: {message}"))
}

fn of_status(status: u16, url: &RepositoryUrl) -> CheckoutError {
    match status {
        401 | 403 => unauthorized(url),
        404 | 410 => CheckoutError::Theirs(format!("There is no repository at {url}, or it is private.")),
        408 | 429 | 500.. => CheckoutError::Ours(format!("{url} answered with status {status}")),
        _ => CheckoutError::Theirs(format!("{url} answered with status {status}.")),
    }
}

fn unauthorized(url: &RepositoryUrl) -> CheckoutError {
    CheckoutError::Theirs(format!(
        "{url} asks for a password: the repository is private or does not exist. Make it readable for everybody; \
         private repositories are not supported yet."
    ))
}

/// A server that answers, but with something else.
fn is_not_git(error: &Error) -> bool {
    let message = error.message();
    let says = |part: &str| message.contains(part);
    error.class() == ErrorClass::Http
        || says("bad packet")
        || says("malformed")
        || says("pkt")
        || says("content-type")
        || says("protocol")
        || says("invalid response")
}

/// The server does not have the object or does not hand out single ones: a branch may still lead there.
///
/// libgit2 says «unexpected packet type» for the server's «not our ref» where it expects a list of shallow commits.
pub(super) fn is_object_refused(error: &Error) -> bool {
    ["cannot fetch a specific object", "not our ref", "unadvertised", "unexpected packet type"]
        .iter()
        .any(|part| error.message().contains(part))
}

/// A failure between libgit2 and this machine's disk.
pub(super) fn of_disk(doing: &str, error: &Error) -> CheckoutError {
    CheckoutError::Ours(format!("{doing}: {}", error.message()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn failures_are_sorted_by_whose_they_are() {
        let cases = [
            // code, class, message, whose
            (ErrorCode::GenericError, ErrorClass::Http, "unexpected http status code: 404", "theirs"),
            (ErrorCode::GenericError, ErrorClass::Http, "unexpected http status code: 401", "theirs"),
            (ErrorCode::GenericError, ErrorClass::Http, "unexpected http status code: 503", "ours"),
            (ErrorCode::GenericError, ErrorClass::Http, "unexpected http status code: 429", "ours"),
            (
                ErrorCode::Auth,
                ErrorClass::Http,
                "remote authentication required but no callback set",
                "theirs",
            ),
            (ErrorCode::Certificate, ErrorClass::Ssl, "the SSL certificate is invalid", "theirs"),
            (ErrorCode::GenericError, ErrorClass::Net, "cannot redirect from 'a' to 'b'", "theirs"),
            (
                ErrorCode::GenericError,
                ErrorClass::Net,
                "failed to resolve address for x: Name not known",
                "ours",
            ),
            (ErrorCode::GenericError, ErrorClass::Os, "failed to connect to x: Connection refused", "ours"),
            (ErrorCode::Eof, ErrorClass::Net, "early EOF", "ours"),
        ];
        let url = "https://forge.example/a/b".parse().unwrap();
        for (code, class, message, expected) in cases {
            let whose = match of_transfer(&Error::new(code, class, message), &url) {
                CheckoutError::Theirs(_) => "theirs",
                CheckoutError::Ours(_) => "ours",
                CheckoutError::Stopped => "stopped",
            };
            assert_eq!(whose, expected, "{message}");
        }
    }
}
