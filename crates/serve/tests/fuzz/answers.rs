//! What holds of every answer of a site, whatever its rules say and whatever was asked.

use http::Method;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, LOCATION, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, VARY,
};
use loggia_serve::decide::{Answer, Content, Decision, Extent, RANGES_MAX, Role};
use loggia_serve::respond::{Body, Response};
use loggia_serve::{Asked, Policy, Site, decide, respond};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::harness::{Checked, Notes};
use crate::world::Question;

pub(crate) fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

/// Asks, checks the answer, and follows where it leads.
pub(crate) fn check(site: &Site, policy: &Policy<'_>, question: &Question, notes: &mut Notes) -> Checked {
    let response = respond(site, policy, question.head());
    notes.note(("status", response.parts.status.as_u16()));
    let about = |broken: String| format!("{broken}\n{question:?}\n{:?}\n{:?}", response.parts, response.body);
    let asked = match Asked::parse(question.head()) {
        Ok(asked) => asked,
        Err(error) => {
            notes.note(error.to_string());
            return check_refused(&response).map_err(about);
        }
    };
    let decision = decide(site, policy, &asked);
    note(&decision, notes);
    check_head(&response, &decision, policy)
        .and_then(|()| check_body(&response, &decision))
        .and_then(|()| check_answer(site, policy, question, &decision))
        .map_err(about)
}

fn check_refused(response: &Response<'_>) -> Checked {
    let Body::Inline(body) = &response.body else { return Err("a file for a bad target".into()) };
    ensure(response.parts.status == 400, || "a bad target is 400".into())?;
    ensure(length(&response.parts.headers) == Some(body.len() as u64), || "a wrong length".into())
}

fn note(decision: &Decision<'_>, notes: &mut Notes) {
    let kind = match &decision.answer {
        Answer::Content(content) => {
            let coding = content.variant.map(|variant| variant.coding);
            notes.note(("content", format!("{:?}", content.role), coding));
            notes.note(("file", content.entry.path()));
            match content.extent {
                Extent::Whole => 0,
                Extent::Part(ranges) => 10 + ranges.as_slice().len(),
                Extent::NotModified => 1,
                Extent::NotSatisfiable => 2,
            }
        }
        Answer::Redirect { location, .. } => 20 + location.len().min(8),
        Answer::Nothing(status) => usize::from(status.code()),
        Answer::Unauthorized => 3,
        Answer::MethodNotAllowed => 4,
        Answer::NotAcceptable => 5,
        Answer::Options => 6,
        Answer::PreconditionFailed => 7,
    };
    notes.note(("answer", kind, decision.rule.is_some(), decision.is_protected));
}

fn check_head(response: &Response<'_>, decision: &Decision<'_>, policy: &Policy<'_>) -> Checked {
    let headers = &response.parts.headers;
    ensure(!headers.contains_key(TRANSFER_ENCODING), || "a site frames its answer".into())?;
    ensure(!headers.contains_key(SET_COOKIE), || "a site sets a cookie".into())?;
    ensure(headers.get_all(CONTENT_LENGTH).iter().count() <= 1, || "two lengths".into())?;
    if decision.is_protected {
        let caching: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
        ensure(caching == ["private, no-store"], || "what is protected may be stored".into())?;
    }
    if policy.is_platform_host {
        let security =
            headers.get(STRICT_TRANSPORT_SECURITY).map(|value| value.as_bytes().to_ascii_lowercase());
        let binds = |value: Vec<u8>| value.windows(17).any(|window| window == b"includesubdomains");
        ensure(!security.is_some_and(binds), || "it binds other sites to https".into())?;
    }
    match &decision.answer {
        Answer::Unauthorized => {
            ensure(decision.is_protected, || "401 without protection".into())?;
            ensure(response.parts.status == 401, || "not 401".into())
        }
        Answer::Content(content) if content.entry.is_compressible() => {
            let vary = headers.get(VARY).map(|value| value.to_str().unwrap_or_default()).unwrap_or_default();
            let names = || vary.split(',').map(|name| name.trim().to_ascii_lowercase());
            let varies = vary == "*" || names().any(|name| name == "accept-encoding");
            ensure(varies, || "it does not vary by coding".into())
        }
        Answer::Redirect { location, .. } => {
            ensure(headers.get(LOCATION).is_some_and(|said| said == location), || "another address".into())
        }
        _ => Ok(()),
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Length, coding and range say what follows.
fn check_body(response: &Response<'_>, decision: &Decision<'_>) -> Checked {
    let headers = &response.parts.headers;
    let status = response.parts.status.as_u16();
    let has_inline = |len: u64| matches!(&response.body, Body::Inline(bytes) if bytes.len() as u64 == len);
    if matches!(status, 204 | 304) {
        let is_bare = has_inline(0) && !headers.contains_key(CONTENT_LENGTH);
        return ensure(is_bare, || format!("{status} with a body"));
    }
    let length = length(headers).ok_or("no length")?;
    let coding = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    let Answer::Content(content) = &decision.answer else {
        ensure(coding.is_none(), || "a page of ours in a coding".into())?;
        return ensure(has_inline(length), || "not as long as it says".into());
    };
    let expected = match content.extent {
        Extent::NotSatisfiable => return ensure(length == 0 && has_inline(0), || "416 with a body".into()),
        Extent::NotModified => return Err("a 304 with another status".into()),
        Extent::Whole => content.variant.map_or(content.entry.size(), |variant| variant.size),
        Extent::Part(_) => {
            ensure(content.variant.is_none(), || "a range of a compressed form".into())?;
            ensure(status == 206, || "a range that is not 206".into())?;
            part_length(content, response)?.unwrap_or(length)
        }
    };
    ensure(length == expected, || format!("{expected} bytes follow, it says {length}"))?;
    let applied = content.variant.filter(|_| content.extent == Extent::Whole);
    ensure(coding == applied.map(|variant| variant.coding.as_str()), || "another coding".into())?;
    let body = match &response.body {
        Body::Inline(bytes) => return ensure(bytes.is_empty(), || "bytes of our own in a file".into()),
        Body::File(body) | Body::Parts(body, _) => body,
    };
    ensure(body.entry.path() == content.entry.path(), || "another file".into())
}

/// Of a body of one range; of several the parts are added up. `None`: there is no body.
fn part_length(content: &Content<'_>, response: &Response<'_>) -> Result<Option<u64>, String> {
    let Extent::Part(ranges) = content.extent else { return Ok(None) };
    let (ranges, size) = (ranges.as_slice(), content.entry.size());
    ensure((1..=RANGES_MAX).contains(&ranges.len()), || "no ranges, or too many".into())?;
    let inside = ranges.iter().all(|range| range.first <= range.last && range.last < size);
    ensure(inside, || "a range outside of the file".into())?;
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.first);
    let apart = sorted.windows(2).all(|pair| pair[0].last + 1 < pair[1].first);
    ensure(apart, || "ranges that touch".into())?;
    match (&response.body, ranges) {
        (_, [range]) => {
            let value = format!("bytes {}-{}/{size}", range.first, range.last);
            let said = response.parts.headers.get(CONTENT_RANGE);
            ensure(said.is_some_and(|said| *said == *value), || "another range".into())?;
            Ok(Some(range.size_bytes()))
        }
        (Body::Parts(_, multipart), _) => {
            let part = |range| multipart.part_head(range).len() as u64 + range.size_bytes();
            Ok(Some(ranges.iter().copied().map(part).sum::<u64>() + multipart.end().len() as u64))
        }
        (Body::Inline(_), _) => Ok(None),
        (Body::File(_), _) => Err("several ranges in one piece".into()),
    }
}

fn check_answer(site: &Site, policy: &Policy<'_>, question: &Question, decision: &Decision<'_>) -> Checked {
    match &decision.answer {
        Answer::Content(content) => {
            check_file(site, content)?;
            if decision.is_protected {
                Ok(())
            } else {
                check_open(site, policy, question, content.entry.path())
            }
        }
        Answer::Redirect { location, .. } => {
            check_location(location)?;
            let without_fragment = location.split('#').next().unwrap_or_default();
            ensure(without_fragment.as_bytes() != question.target, || "a redirect to itself".into())?;
            if decision.rule.is_none() { follow(site, policy, question, location) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

fn check_file(site: &Site, content: &Content<'_>) -> Checked {
    let path = content.entry.path();
    ensure(!is_hidden(path), || format!("{path} is nobody's business"))?;
    let (manifest, hash) = (site.manifest(), content.entry.hash());
    let found = match content.role {
        Role::Retired(_) => manifest.find_retired(path).map(|(entry, _)| entry.hash()),
        _ => manifest.find(path).map(|entry| entry.hash()),
    };
    ensure(found == Some(hash), || format!("{path} is no file of the site"))
}

/// What asks for no password here asks for none at its own name.
fn check_open(site: &Site, policy: &Policy<'_>, question: &Question, path: &str) -> Checked {
    let target = format!("/{}", utf8_percent_encode(path, NON_ALPHANUMERIC)).replace("%2F", "/");
    let directly = Question { target: target.into_bytes(), method: Method::GET, ..question.clone() };
    let asked = Asked::parse(directly.head()).map_err(|error| format!("{path}: {error}"))?;
    let is_refused = matches!(decide(site, policy, &asked).answer, Answer::Unauthorized);
    ensure(!is_refused, || format!("{path} is protected, but not here"))
}

fn is_hidden(path: &str) -> bool {
    let settings = [
        "_headers",
        "_redirects",
        "loggia.toml",
        "netlify.toml",
        "wrangler.json",
        "wrangler.jsonc",
        "wrangler.toml",
    ];
    settings.contains(&path)
        || path.split('/').any(|segment| segment.starts_with('.') && segment != ".well-known")
}

/// A path of the site, or the URL of another one.
fn check_location(location: &str) -> Checked {
    ensure(location.bytes().all(|byte| byte.is_ascii_graphic()), || "bytes that no header holds".into())?;
    if location.starts_with('/') {
        let is_path = !location.starts_with("//") && !location.starts_with("/\\");
        return ensure(is_path, || "a path that names a host".into());
    }
    let rest = location.strip_prefix("https://").or_else(|| location.strip_prefix("http://"));
    let authority = rest.ok_or("another scheme")?.split(['/', '?', '#']).next().unwrap_or_default();
    let is_clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    ensure(!authority.is_empty() && authority.bytes().all(is_clean), || "no host, or a user".into())
}

/// A redirect that no rule made is the only one.
fn follow(site: &Site, policy: &Policy<'_>, question: &Question, location: &str) -> Checked {
    let next = Question { target: location.as_bytes().to_vec(), ..question.clone() };
    let asked = Asked::parse(next.head()).map_err(|error| format!("it leads to a bad target: {error}"))?;
    ensure(asked.target.is_canonical(), || "it leads to a path that is not canonical".into())?;
    let decision = decide(site, policy, &asked);
    let leads_on = matches!(decision.answer, Answer::Redirect { .. }) && decision.rule.is_none();
    ensure(!leads_on, || format!("it leads to another: {:?}", decision.answer))
}
