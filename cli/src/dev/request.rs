//! One request: what it says, the engine's answer, the bytes.

use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use loggia_serve::RequestHead;
use loggia_serve::pages::Page;
use loggia_types::rules::Scheme;
use loggia_types::{CountryCode, Hostname};

use super::Server;
use super::body::{self, SentBody};
use crate::local_site::{self, Answer, Look};

/// As the edge: a site takes no bodies, and small ones are thrown away.
const BODY_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn answer(server: &Server, request: Request<Incoming>) -> Response<SentBody> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let host = hostname(&head.uri, &head.headers);
    let asked = RequestHead {
        method: &head.method,
        target: target.as_bytes(),
        headers: &head.headers,
        scheme: scheme(&head.headers),
        host: host.as_ref().map_or("", Hostname::as_str),
        country: None,
    };
    let country = country(&head.headers).or(server.country);
    let asked = RequestHead { country: country.as_ref().map(CountryCode::as_str), ..asked };
    let refused = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Err(_) => Some(Page::refused(StatusCode::PAYLOAD_TOO_LARGE, "a static site takes no request bodies")),
        Ok(_) => refuse(asked),
    };
    let (answer, body) = match refused {
        Some(page) => without_site(page, asked),
        None => of_site(server, asked).await,
    };
    server.report.answer(&head.method, target, &answer);
    Response::from_parts(answer.parts, body)
}

/// What the edge does not let through to a site.
fn refuse(request: RequestHead<'_>) -> Option<Page> {
    let names_upgrade = |line: &http::HeaderValue| {
        line.to_str()
            .is_ok_and(|line| line.split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade")))
    };
    let refused = Page::refused;
    if matches!(*request.method, Method::CONNECT | Method::TRACE) {
        Some(refused(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here"))
    } else if request.headers.contains_key(UPGRADE)
        || request.headers.get_all(CONNECTION).into_iter().any(names_upgrade)
    {
        Some(refused(StatusCode::BAD_REQUEST, "this server does not change protocols"))
    } else if request.host.is_empty() {
        Some(refused(StatusCode::BAD_REQUEST, "the request must name exactly one valid host"))
    } else {
        None
    }
}

/// The files are looked at before, and once more when they changed between the answer and its bytes.
async fn of_site(server: &Server, request: RequestHead<'_>) -> (Answer, SentBody) {
    let policy = local_site::policy(server.environment);
    tell(server, server.site.look().await);
    for _ in 0..2 {
        let answered = async {
            let answer = server.site.answer(&policy, request).await?;
            let body = body::open(&server.site, &answer).await?;
            anyhow::Ok((answer, body))
        };
        match answered.await {
            Ok(answered) => return answered,
            Err(error) => {
                server.report.trouble(&error, "trying again");
                tell(server, server.site.look_again().await);
            }
        }
    }
    without_site(Page::store_unavailable(), request)
}

fn tell(server: &Server, look: anyhow::Result<Look>) {
    match look {
        Ok(Look::Same) => {}
        Ok(Look::Changed) => server.report.problems(&server.site.problems()),
        Ok(Look::Refused(error)) => {
            server.report.trouble(&error, "a deployment would fail, the rules before it count");
        }
        Err(error) => server.report.trouble(&error, "what was there before is shown"),
    }
}

fn without_site(page: Page, request: RequestHead<'_>) -> (Answer, SentBody) {
    let answer = Answer::page(page, request);
    let body = match *request.method {
        Method::HEAD => body::empty(),
        _ => body::inline(&answer),
    };
    (answer, body)
}

/// Of the one host that the request names.
fn hostname(uri: &http::Uri, headers: &HeaderMap) -> Option<Hostname> {
    let mut lines = headers.get_all(HOST).into_iter();
    let (line, second) = (lines.next(), lines.next());
    let field = line.and_then(|line| line.to_str().ok());
    let host = uri.authority().map(http::uri::Authority::as_str).or(field)?;
    let agrees = second.is_none() && field.is_none_or(|field| field == host);
    // Somebody who listens on ::1 types it. No site has it as its name, so this machine's stands in.
    let host = if host.starts_with('[') { "localhost" } else { host };
    Hostname::from_host_header(host).ok().filter(|_| agrees)
}

/// Production speaks https: rules for `https://…` shall be seen at work.
fn scheme(headers: &HeaderMap) -> Scheme {
    let proto = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    if proto.is_some_and(|proto| proto.eq_ignore_ascii_case("http")) { Scheme::Http } else { Scheme::Https }
}

fn country(headers: &HeaderMap) -> Option<CountryCode> {
    headers.get("cf-ipcountry")?.to_str().ok()?.trim().parse().ok()
}
