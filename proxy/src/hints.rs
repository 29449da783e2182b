//! Early Hints (RFC 8297): what a page needs is named before the page itself is fetched.
//!
//! Only browsers on HTTP/2 understand them, and only while they navigate. Everybody else finds the same values in the
//! `Link` header of the answer.

use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// What browsers act on in an interim answer (HTML, «process early hint headers»).
const HINTS: [&str; 3] = ["preload", "modulepreload", "preconnect"];

/// Whether this client acts on hints.
///
/// HTTP/1.1 never gets them: software that does not know interim answers takes them for the final one (RFC 8297 §3), and
/// browsers ignore them there. Frames and pages that are prefetched are left out because browsers ignore hints for them.
pub(crate) fn are_understood(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_2 && request.method == Method::GET && act_on_them(&request.headers)
}

/// Whether a browser that sends these headers navigates.
pub(crate) fn act_on_them(headers: &HeaderMap) -> bool {
    let is = |name, expected: &str| headers.get(name).is_none_or(|value| value == expected);
    headers.contains_key(SEC_FETCH_MODE)
        && is(SEC_FETCH_MODE, "navigate")
        && is(SEC_FETCH_DEST, "document")
        && !headers.contains_key(SEC_PURPOSE)
}

/// Sends the hints of an answer's head, and takes them out of it. `false` when there are none.
pub(crate) async fn send(session: &mut ServerSession, head: &mut HeaderMap) -> pingora::Result<bool> {
    let hints = take(head);
    if hints.is_empty() {
        return Ok(false);
    }
    let mut early = ResponseHeader::build(StatusCode::EARLY_HINTS, Some(hints.len()))?;
    for hint in hints {
        early.append_header(LINK, hint)?;
    }
    session.write_response_header(Box::new(early)).await?;
    Ok(true)
}

/// Takes the hints out of the `Link` lines. What else is in them stays as it was written.
fn take(head: &mut HeaderMap) -> Vec<HeaderValue> {
    let lines: Vec<HeaderValue> = head.get_all(LINK).iter().cloned().collect();
    let (mut hints, mut rest) = (Vec::new(), Vec::new());
    for line in lines {
        let (early, late): (Vec<&[u8]>, Vec<&[u8]>) =
            split(line.as_bytes(), b',').into_iter().partition(|value| is_hint(value));
        for (values, into) in [(early, &mut hints), (late, &mut rest)] {
            // Pieces of a header value make one again.
            into.extend(
                HeaderValue::from_bytes(&values.join(&b", "[..])).ok().filter(|line| !line.is_empty()),
            );
        }
    }
    if !hints.is_empty() {
        head.remove(LINK);
        for line in rest {
            head.append(LINK, line);
        }
    }
    hints
}

/// Whether a value of `Link` (RFC 8288 §3) asks for nothing but hints. One about another page than ours does not.
fn is_hint(value: &[u8]) -> bool {
    let mut parameters = split(value, b';').into_iter();
    let is_target = parameters.next().is_some_and(|first| first.starts_with(b"<") && first.ends_with(b">"));
    let mut relations = None;
    for parameter in parameters {
        let (name, value) = name_and_value(parameter);
        if name.eq_ignore_ascii_case(b"anchor") {
            return false;
        }
        // Any but the first are ignored (§3.3).
        if name.eq_ignore_ascii_case(b"rel") && relations.is_none() {
            relations = Some(value);
        }
    }
    let mut relations = relations
        .and_then(|relations| std::str::from_utf8(relations).ok())
        .into_iter()
        .flat_map(str::split_ascii_whitespace)
        .peekable();
    let is_known = |relation: &str| HINTS.iter().any(|hint| relation.eq_ignore_ascii_case(hint));
    is_target && relations.peek().is_some() && relations.all(is_known)
}

/// `rel`, and what stands behind `=` without its quotes. No relation that we know has anything escaped in it.
fn name_and_value(parameter: &[u8]) -> (&[u8], &[u8]) {
    let equals = parameter.iter().position(|byte| *byte == b'=').unwrap_or(parameter.len());
    let value = parameter.get(equals + 1..).unwrap_or_default().trim_ascii();
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    (parameter[..equals].trim_ascii(), inner.unwrap_or(value))
}

/// The pieces between separators that are neither in `<…>` nor in a quoted string.
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    // The byte that ends what we are in.
    let mut closing = None;
    let mut is_escaped = false;
    for (at, byte) in text.iter().copied().enumerate() {
        match closing {
            _ if is_escaped => is_escaped = false,
            Some(b'"') if byte == b'\\' => is_escaped = true,
            Some(end) if byte == end => closing = None,
            Some(_) => {}
            None if byte == b'"' => closing = Some(b'"'),
            None if byte == b'<' => closing = Some(b'>'),
            None if byte == separator => {
                pieces.push(text[start..at].trim_ascii());
                start = at + 1;
            }
            None => {}
        }
    }
    pieces.push(text[start..].trim_ascii());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Early lines, then those that stay.
    fn taken(lines: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut head = HeaderMap::new();
        for line in lines {
            head.append(LINK, line.parse().expect("a value"));
        }
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let early = take(&mut head).iter().map(text).collect();
        (early, head.get_all(LINK).iter().map(text).collect())
    }

    #[test]
    fn hints_are_told_from_other_links() {
        let cases: &[(&str, &str, &str)] = &[
            // the line                                   early                                  late
            ("</a.css>; rel=preload; as=style", "</a.css>; rel=preload; as=style", ""),
            ("</a.js>; rel=\"modulepreload\"", "</a.js>; rel=\"modulepreload\"", ""),
            ("<https://c.example>;REL = Preconnect", "<https://c.example>;REL = Preconnect", ""),
            ("</>; rel=canonical", "", "</>; rel=canonical"),
            ("</a>; rel=preload, </>; rel=canonical", "</a>; rel=preload", "</>; rel=canonical"),
            ("</a,b;c>; rel=preload,,</d>; rel=next", "</a,b;c>; rel=preload", "</d>; rel=next"),
            (
                "</a>; title=\"x, \\\"y; rel=z\"; rel=preload",
                "</a>; title=\"x, \\\"y; rel=z\"; rel=preload",
                "",
            ),
            ("</a>; rel=\"preload preconnect\"", "</a>; rel=\"preload preconnect\"", ""),
            ("</a>; rel=\"preload canonical\"", "", "</a>; rel=\"preload canonical\""),
            ("</a>; rel=next; rel=preload", "", "</a>; rel=next; rel=preload"),
            ("</a>; rel=preload; rel=next", "</a>; rel=preload; rel=next", ""),
            ("</a>; rel=preload; anchor=\"/b\"", "", "</a>; rel=preload; anchor=\"/b\""),
            ("</a>; rel=dns-prefetch", "", "</a>; rel=dns-prefetch"),
            ("</a>; rel=\"\"", "", "</a>; rel=\"\""),
            ("</a>; rel", "", "</a>; rel"),
            ("/a; rel=preload", "", "/a; rel=preload"),
            ("</a; rel=preload", "", "</a; rel=preload"),
            ("</a>; x=\"; rel=preload", "", "</a>; x=\"; rel=preload"),
            (",", "", ","),
        ];
        for (line, early, late) in cases {
            let (found_early, found_late) = taken(&[line]);
            assert_eq!(
                (found_early.join("|"), found_late.join("|")),
                ((*early).into(), (*late).into()),
                "{line}"
            );
        }
        let lines = ["</a>; rel=preload", "</b>; rel=next", "</c>; rel=preconnect, </d>; rel=prev"];
        let early = ["</a>; rel=preload", "</c>; rel=preconnect"].map(String::from).to_vec();
        assert_eq!(taken(&lines), (early, ["</b>; rel=next", "</d>; rel=prev"].map(String::from).to_vec()));
    }

    #[test]
    fn only_navigations_of_browsers_on_http2_get_hints() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: &[(&str, Version, Lines, bool)] = &[
            ("GET", Version::HTTP_2, &[("sec-fetch-mode", "navigate")], true),
            ("GET", Version::HTTP_2, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], true),
            ("GET", Version::HTTP_2, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], false),
            ("GET", Version::HTTP_2, &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")], false),
            ("GET", Version::HTTP_2, &[("sec-fetch-mode", "no-cors")], false),
            ("GET", Version::HTTP_2, &[], false),
            ("HEAD", Version::HTTP_2, &[("sec-fetch-mode", "navigate")], false),
            ("GET", Version::HTTP_11, &[("sec-fetch-mode", "navigate")], false),
        ];
        for (method, version, lines, expected) in cases {
            let mut request = RequestHeader::build(*method, b"/", None).expect("a request");
            request.set_version(*version);
            for (name, value) in *lines {
                request.append_header(*name, *value).expect("a header");
            }
            assert_eq!(are_understood(&request), *expected, "{method} {version:?} {lines:?}");
        }
    }
}
