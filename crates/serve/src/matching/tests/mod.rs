//! Rules are spelled here as a file spells them, by a reader that knows just enough for these tables.

mod conditions;
mod headers;
mod locations;
mod patterns;
mod redirects;

use http::{HeaderMap, HeaderName, HeaderValue};
use loggia_types::rules::{
    Action, Condition, Destination, Dialect, OriginPattern, Part, PathPattern, QueryTest, RedirectRule,
    RedirectStatus, RewriteStatus, RuleSource, Scheme, UrlPattern,
};

use super::RuleRequest;

/// A request that owns what a [`RuleRequest`] borrows.
#[derive(Debug, Clone)]
struct Request {
    scheme: Scheme,
    host: String,
    path: String,
    query: Option<Vec<u8>>,
    headers: HeaderMap,
    country: Option<String>,
}

/// `/a b?x=1` or `http://host/a`, with a decoded path.
fn get(url: &str) -> Request {
    let (scheme, rest) = match url.strip_prefix("http://") {
        Some(rest) => (Scheme::Http, rest),
        None => (Scheme::Https, url.strip_prefix("https://").unwrap_or(url)),
    };
    let (host, rest) = rest.split_at(rest.find('/').expect("a path"));
    let host = if host.is_empty() { "site.test" } else { host };
    let (path, query) = match rest[1..].split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes().to_vec())),
        None => (&rest[1..], None),
    };
    Request { scheme, host: host.into(), path: path.into(), query, headers: HeaderMap::new(), country: None }
}

impl Request {
    fn with(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a name");
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        self
    }

    fn in_country(mut self, country: &str) -> Self {
        self.country = Some(country.into());
        self
    }

    fn head(&self) -> RuleRequest<'_> {
        RuleRequest {
            path: &self.path,
            query: self.query.as_deref(),
            scheme: self.scheme,
            host: &self.host,
            headers: &self.headers,
            country: self.country.as_deref(),
        }
    }
}

/// `a/:name/*` into parts; `:splat` is a splat too.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let name =
            rest.strip_prefix(':').map(|rest| rest.split(|char: char| !char.is_ascii_alphabetic()).next());
        let part = match (first, name) {
            ('*', _) | (_, Some(Some("splat"))) => Some(Part::Splat),
            (_, Some(Some(name))) if !name.is_empty() => Some(Part::Name(name.into())),
            _ => None,
        };
        rest = match &part {
            Some(Part::Splat) if first == '*' => &rest[1..],
            Some(Part::Splat) => &rest[":splat".len()..],
            Some(Part::Name(name)) => &rest[1 + name.len()..],
            _ => &rest[first.len_utf8()..],
        };
        match part {
            Some(part) => {
                parts.extend((!literal.is_empty()).then(|| Part::Text(std::mem::take(&mut literal).into())));
                parts.push(part);
            }
            None => literal.push(first),
        }
    }
    parts.extend((!literal.is_empty()).then(|| Part::Text(literal.into())));
    parts
}

/// `/a/:name` or `https://host/a`.
fn url_pattern(text: &str, dialect: Dialect) -> UrlPattern {
    let (scheme, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Some(Scheme::Http), rest),
        Some((_, rest)) => (Some(Scheme::Https), rest),
        None => (None, text),
    };
    let (host, path) = rest.split_once('/').expect("a path");
    let origin = scheme.map(|scheme| OriginPattern { scheme, host: parts(host) });
    UrlPattern { origin, path: path_pattern(path, dialect) }
}

fn path_pattern(path: &str, dialect: Dialect) -> PathPattern {
    let lenient = dialect == Dialect::Netlify;
    let path = if lenient { path.strip_suffix('/').unwrap_or(path) } else { path };
    PathPattern { parts: parts(path), lenient }
}

fn destination(text: &str) -> Destination {
    let (text, fragment) = match text.split_once('#') {
        Some((text, fragment)) => (text, Some(parts(fragment))),
        None => (text, None),
    };
    let (text, query) = match text.split_once('?') {
        Some((text, query)) => (text, Some(parts(query))),
        None => (text, None),
    };
    let path_at = text.find("://").map_or(Some(0), |at| text[at + 3..].find('/').map(|path| at + 3 + path));
    let (origin, path) = text.split_at(path_at.expect("a path"));
    Destination { origin: (!origin.is_empty()).then(|| parts(origin)), path: parts(path), query, fragment }
}

/// `/from key=:value /to 301! Language=en,de`.
fn rule(line: &str, number: u32, dialect: Dialect) -> RedirectRule {
    let mut words = line.split_whitespace().peekable();
    let from = url_pattern(words.next().expect("from"), dialect);
    let mut query = Vec::new();
    while let Some((key, value)) =
        words.peek().filter(|word| !word.starts_with(['/', 'h'])).and_then(|w| w.split_once('='))
    {
        let value = parts(value).pop().unwrap_or(Part::Text("".into()));
        query.push(QueryTest { key: key.into(), value });
        words.next();
    }
    let to = words.next().expect("to");
    let status = words.next().unwrap_or("301");
    let forced = status.ends_with('!');
    let action = action(to, status.trim_end_matches('!').parse().expect("a status"));
    let conditions = words.map(condition).collect();
    let source = RuleSource { file: "_redirects".into(), line: number };
    RedirectRule { source, from, query, conditions, forced, action }
}

fn rules(lines: &[&str], dialect: Dialect) -> Vec<RedirectRule> {
    (1..).zip(lines).map(|(number, line)| rule(line, number, dialect)).collect()
}

fn action(to: &str, status: u16) -> Action {
    match (RedirectStatus::try_from(status), RewriteStatus::try_from(status)) {
        (Ok(status), _) => Action::Redirect { status, to: destination(to) },
        (_, Ok(_)) if to.starts_with("http") => Action::Proxy { to: destination(to) },
        (_, Ok(status)) => Action::Rewrite { status, path: parts(&to[1..]) },
        _ => panic!("{status} is no status"),
    }
}

fn condition(word: &str) -> Condition {
    let (kind, values) = word.split_once('=').unwrap_or((word, ""));
    let values = || values.split(',').filter(|value| !value.is_empty()).map(Box::from).collect();
    match kind {
        "Country" => Condition::Country(values()),
        "Language" => Condition::Language(values()),
        "Host" => Condition::Host(values()),
        "Cookie" => Condition::Cookie(values()),
        header => {
            let name = header.strip_prefix("Header:").expect("a condition");
            Condition::Header { name: name.into(), values: values() }
        }
    }
}
