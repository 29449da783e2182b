//! Headers that no rule of a site may set or remove.

/// They frame the message, name it for caches, or belong to somebody else than this site.
///
/// `Strict-Transport-Security` is not among them: with `includeSubDomains` it is refused on the platform's hostnames
/// only, and which hostname a request is for is known where rules are executed.
const PLATFORMS: [&str; 16] = [
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "keep-alive",
    "location",
    "server",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const PREFIX: &str = "x-loggia-";

/// `name` in lower case.
pub(crate) fn is_platforms(name: &str) -> bool {
    PLATFORMS.contains(&name) || name.starts_with(PREFIX)
}
