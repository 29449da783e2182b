//! Lines of request headers: `Range`, `If-Range`, `If-None-Match`, `If-Modified-Since`, `Accept-Encoding`, and what
//! decides about the application's shell.

use std::sync::LazyLock;

use http::Method;
use http::header::{
    ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use loggia_serve::decide::{Answer, Extent, Validators};
use loggia_serve::{Asked, Policy, Site, decide};
use loggia_types::manifest::{Facts, HtmlHandling, NotFound};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{Dialect, Rules};

use crate::answers::{self, ensure};
use crate::harness::{Checked, Notes, Target};
use crate::world::{self, Question};

pub(crate) const TARGET: Target = Target {
    name: "conditions",
    dictionary: &[
        b"\n",
        b", ",
        b",",
        b";",
        b"=",
        b"-",
        b"\"",
        b"W/",
        b"*",
        b"Range: bytes=",
        b"Range: ",
        b"bytes=",
        b"bytes = ",
        b"0-0",
        b"0-",
        b"-1",
        b"-0",
        b"5-2",
        b"1-3",
        b"0-1,3-4",
        b"18446744073709551615",
        b"99999999999999999999999",
        b"5497558138879",
        b"If-Range: ",
        b"If-None-Match: ",
        b"If-Modified-Since: ",
        b"Tue, 14 Nov 2023 22:13:20 GMT",
        b"Tuesday, 14-Nov-23 22:13:20 GMT",
        b"Tue Nov 14 22:13:20 2023",
        b"Thu, 01 Jan 1970 00:00:00 GMT",
        // Of index.html, and of the file that is not compressed.
        b"\"0eb547304658805aad788d320f10bf1f\"",
        b"\"0eb547304658805aad788d320f10bf1f-br\"",
        b"\"2d711642b726b04401627ca9fbac32f5\"",
        b"Accept-Encoding: ",
        b"gzip",
        b"br",
        b"zstd",
        b"x-gzip",
        b"identity",
        b"*;q=0",
        b"identity;q=0",
        b";q=0.5",
        b";q=1.0001",
        b";q=",
        b"deflate",
        b"Accept: text/html",
        b"Accept: */*",
        b"Sec-Fetch-Mode: navigate",
        b"Sec-Fetch-Dest: script",
        b"\t",
        b" ",
        b"\xff",
    ],
    len_max: 4 * 1024,
    check,
    made: Vec::new,
    repair: super::leave,
};

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let facts = world::facts(Dialect::Netlify, HtmlHandling::AutoTrailingSlash);
    world::site(Facts { not_found: NotFound::SinglePageApplication, ..facts }, Rules::default())
});

/// Pages, an empty file, one of 5 TiB, one of an earlier deployment, one that is not compressed, and none.
const ASKED: [&str; 7] = [
    "/",
    "/assets/empty.css",
    "/assets/large.bin",
    "/assets/app-hash.js",
    "/assets/old-hash.js",
    "/x",
    "/no/such/page",
];

fn check(input: &[u8], notes: &mut Notes) -> Checked {
    let headers = parse(input);
    let settings = ServeSettings::default();
    let [policy, _] = world::policies(&settings);
    for target in ASKED {
        for method in [Method::GET, Method::HEAD] {
            let question = Question { headers: headers.clone(), method, ..Question::get(target) };
            answers::check(&SITE, &policy, &question, notes)?;
            check_reasons(&policy, &question).map_err(|broken| format!("{broken}\n{question:?}"))?;
        }
    }
    Ok(())
}

/// A name and a value on each line; what can be in no request is left out.
fn parse(input: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// Nobody gets less than the whole file as it is who has not asked for that.
fn check_reasons(policy: &Policy<'_>, question: &Question) -> Checked {
    let asked = Asked::parse(question.head()).map_err(|error| error.to_string())?;
    let Answer::Content(content) = decide(&SITE, policy, &asked).answer else { return Ok(()) };
    let headers = &question.headers;
    let said = |name| text(headers, name);
    let validators =
        Validators::of(SITE.manifest(), &content.entry, content.variant.map(|variant| variant.coding));
    let tag = std::str::from_utf8(validators.etag.as_bytes()).expect("hex digits");
    if let Some(variant) = content.variant {
        let wanted = said(&ACCEPT_ENCODING).to_ascii_lowercase();
        let is_wanted = wanted.contains(variant.coding.as_str()) || wanted.contains('*');
        ensure(is_wanted, || "a coding that nobody asked for".into())?;
    }
    match content.extent {
        Extent::Whole => Ok(()),
        Extent::NotModified if headers.contains_key(IF_NONE_MATCH) => {
            let list = said(&IF_NONE_MATCH);
            ensure(list.contains('*') || list.contains(tag), || "304 for another tag".into())
        }
        Extent::NotModified => {
            ensure(headers.contains_key(IF_MODIFIED_SINCE), || "304 without a reason".into())
        }
        Extent::Part(_) | Extent::NotSatisfiable => {
            let is_get = question.method == Method::GET && headers.contains_key(RANGE);
            ensure(is_get, || "a range that nobody asked for".into())?;
            let if_range = said(&IF_RANGE);
            let is_date = httpdate::parse_http_date(&if_range).ok() == Some(validators.last_modified);
            let is_met = !headers.contains_key(IF_RANGE) || if_range.contains(tag) || is_date;
            ensure(is_met, || "a range of another version".into())
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).into_iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join("\n")
}
