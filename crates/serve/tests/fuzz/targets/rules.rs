//! Files of rules: compiled in both dialects, checked, and then asked for what they speak of.

use http::{HeaderName, HeaderValue, Method};
use loggia_serve::compile::{Compiled, Defaults, SourceFiles, compile};
use loggia_serve::{Policy, Site};
use loggia_types::manifest::{Facts, HtmlHandling};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{Condition, Dialect, HeaderScope, OriginPattern, Part, PathPattern, RedirectRule};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answers;
use crate::harness::{Checked, Notes, Target};
use crate::soundness;
use crate::world::{self, Question};

pub(crate) const REDIRECTS: Target = Target {
    name: "redirects",
    dictionary: &[
        b" ",
        b"\t",
        b"\n",
        b"\r\n",
        b"/",
        b"/*",
        b"/a",
        b"/:a",
        b"/a/*",
        b"/:a/:b",
        b"/a-:b*",
        b"/:splat",
        b"//",
        b"/..",
        b"/a/../b",
        b"/%2e%2e",
        b"/%2f",
        b"%5c",
        b"\\",
        "/caf%C3%A9".as_bytes(),
        "/é".as_bytes(),
        b"https://example.org/*",
        b"https://:a.example.org/",
        b"https://:splat.b.c",
        b"https://a.b:80/",
        b"https://u@b/",
        b"http://",
        b"//evil.example",
        b"200",
        b"200!",
        b"301",
        b"301!",
        b"404",
        b"404!",
        b"410",
        b"451",
        b"id=:id",
        b"a=*",
        b"Country=us,de",
        b"Header:x=1",
        b"Cookie=a",
        b"Language=en",
        b"Host=a.b",
        b"Role=x",
        b"#",
        b"!",
        b"->",
        b"?x=:a",
        b"#:splat",
        b":splat",
        b"/index.html",
        b"/_headers",
        b"/.git/",
        b"/to",
        b"\0",
        b"\x0b",
        "\u{85}".as_bytes(),
        "\u{feff}".as_bytes(),
        "\u{202e}".as_bytes(),
    ],
    len_max: 70 * 1024,
    check: |input, notes| check(&SourceFiles { redirects: Some(input), ..SourceFiles::default() }, notes),
    made: Vec::new,
    repair: super::leave,
};

pub(crate) const HEADERS: Target = Target {
    name: "headers",
    dictionary: &[
        b" ",
        b"\n",
        b"\n  ",
        b"\r\n",
        b"/*",
        b"/a",
        b"/:a",
        b"/a/*",
        b"/:a/b",
        b"https://:a.example.org/*",
        b"https://example.org/*",
        b"file:/a.html",
        b"file:/*",
        b"[status=404]",
        b"[context=preview]",
        b"[context=production]",
        b"[status=200] ",
        b"X-A:",
        b"X-A: :a",
        b"X-B: :splat",
        b": ",
        b"v",
        b"! ",
        b"! Vary",
        b"! Cache-Control",
        b"Vary: *",
        b"Vary: Origin",
        b"Cache-Control: public",
        b"Basic-Auth: a:b",
        b"Basic-Auth:",
        b"Set-Cookie: a=b",
        b"Content-Length: 1",
        b"Content-Encoding: br",
        b"Content-Type: text/plain",
        b"Transfer-Encoding: chunked",
        b"Location: /x",
        b"Strict-Transport-Security: max-age=1; includeSubDomains",
        b"Link: </a>; rel=preload",
        b"WWW-Authenticate: x",
        b"X-Loggia-Rule: 1",
        b"Access-Control-Allow-Origin: *",
        b"#",
        b"\0",
        b"\x0b",
        b"\x7f",
        "é".as_bytes(),
        "\u{85}".as_bytes(),
        "\u{feff}".as_bytes(),
        b"%0d%0a",
        b"/%2e%2e/",
        b"//",
    ],
    len_max: 70 * 1024,
    check: |input, notes| check(&SourceFiles { headers: Some(input), ..SourceFiles::default() }, notes),
    made: Vec::new,
    repair: super::leave,
};

pub(crate) const TOML: Target = Target {
    name: "toml",
    dictionary: &[
        b"\n",
        b"[[redirects]]\n",
        b"[[headers]]\n",
        b"[serve]\n",
        b"[build]\n",
        b"[headers.values]\n",
        b"[redirects.query]\n",
        b"from = \"/a/*\"\n",
        b"to = \"/b/:splat\"\n",
        b"to = \"https://:a.example.org/\"\n",
        b"for = \"/*\"\n",
        b"status = 200\n",
        b"status = 301\n",
        b"force = true\n",
        b"values = { X = \"1\" }\n",
        b"query = { id = \":id\" }\n",
        b"conditions = { Country = [\"us\"], Language = \"en\" }\n",
        b"dialect = \"cloudflare\"\n",
        b"dialect = \"netlify\"\n",
        b"html_handling = \"drop-trailing-slash\"\n",
        b"not_found = \"single-page-application\"\n",
        b"permanent = true\n",
        b"skew_protection = ",
        b"Basic-Auth = \"a:b\"\n",
        b"Cache-Control = \"public\"\n",
        b"\"",
        b"'''",
        b"\"\"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b"=",
        b".",
        b"#",
        b",",
        b"\\u0000",
        b"\\r\\n",
        b"1979-05-27",
        b"inf",
        b"-1",
        b"0x10",
        b"true",
        b"\0",
        "\u{feff}".as_bytes(),
        b"headers = { X = [\"1\", \"2\"] }\n",
        b"/../",
        b"/:a",
        b":splat",
    ],
    len_max: 70 * 1024,
    check: |input, notes| {
        check(&SourceFiles { loggia_toml: Some(input), ..SourceFiles::default() }, notes)?;
        check(&SourceFiles { netlify_toml: Some(input), ..SourceFiles::default() }, notes)
    },
    made: Vec::new,
    repair: super::leave,
};

/// More add nothing: an input with many rules has been cut or repeated from ones with few.
const RULES_ASKED: usize = 8;

/// Between what the rules speak of: whatever may be asked of any site.
const ALWAYS_ASKED: [&str; 7] =
    ["/", "/a", "/a/b/?id=1&a=x", "/nothing/here.js", "//a", "/.git/config", "/%C3%BC"];

/// What stands in for a name and for a splat.
const FILLINGS: [(&str, &str); 3] =
    [("a", "a/b"), ("evil.example", ""), ("a b", "ü//@evil.example/x?#%2e%2e")];

const SEGMENTS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');

fn check(files: &SourceFiles<'_>, notes: &mut Notes) -> Checked {
    for dialect in [Dialect::Netlify, Dialect::Cloudflare] {
        let defaults = Defaults { dialect: Some(dialect), allow_proxy: true, ..Defaults::default() };
        let compiled = match compile(files, &defaults) {
            Ok(compiled) => compiled,
            Err(refused) => {
                notes.note(("refused", worded(&refused.message)));
                continue;
            }
        };
        soundness::check(&compiled.rules, &compiled.problems)?;
        for problem in &compiled.problems {
            notes.note(("problem", worded(&problem.message)));
        }
        check_obeyed(compiled, notes)?;
    }
    Ok(())
}

/// The message without what was quoted from the file, and without numbers.
fn worded(message: &str) -> String {
    let outside = message.split(['`', '"', '«', '»']).step_by(2);
    outside.flat_map(str::chars).filter(|c| c.is_ascii_alphabetic() || *c == ' ').collect()
}

fn check_obeyed(compiled: Compiled, notes: &mut Notes) -> Checked {
    let Compiled { dialect, html_handling, not_found, permanent, rules, .. } = compiled;
    let mut questions: Vec<Question> = ALWAYS_ASKED.into_iter().map(Question::get).collect();
    for rule in rules.redirects.iter().rev().take(RULES_ASKED) {
        notes.note((
            "redirect",
            shape(&rule.from.path),
            rule.forced,
            rule.conditions.len(),
            rule.query.len(),
        ));
        questions.extend(FILLINGS.map(|filling| about_redirect(rule, filling)));
    }
    for rule in rules.headers.iter().rev().take(RULES_ASKED) {
        let counts = [rule.set.len(), rule.remove.len(), rule.credentials.len()].map(|count| count.min(3));
        notes.note(("headers", counts, rule.status.is_some(), rule.environment.is_some()));
        let (origin, path) = match &rule.scope {
            HeaderScope::Url(url) => (url.origin.as_ref(), &url.path),
            HeaderScope::File(path) => (None, path),
        };
        questions.extend(FILLINGS.map(|filling| about(origin, path, filling)));
    }
    let mode: HtmlHandling = html_handling;
    let facts = Facts { not_found, permanent, ..world::facts(dialect, mode) };
    let site = world::site(facts, rules);
    let settings = ServeSettings::default();
    for policy in world::policies(&settings) {
        for question in &questions {
            ask(&site, &policy, question, notes)?;
        }
    }
    Ok(())
}

fn ask(site: &Site, policy: &Policy<'_>, question: &Question, notes: &mut Notes) -> Checked {
    answers::check(site, policy, question, notes)?;
    let mut question = question.clone();
    question.method = Method::HEAD;
    // a:b
    question.headers.insert("authorization", HeaderValue::from_static("Basic YTpi"));
    answers::check(site, policy, &question, notes)
}

/// `text:name*`, to tell one kind of pattern from another.
fn shape(pattern: &PathPattern) -> String {
    let letter = |part: &Part| match part {
        Part::Text(text) if text.contains('/') => '/',
        Part::Text(_) => 't',
        Part::Name(_) => ':',
        Part::Splat => '*',
    };
    pattern.parts.iter().take(8).map(letter).collect()
}

fn filled(parts: &[Part], (name, splat): (&str, &str)) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => text.to_string(),
        Part::Name(_) => name.to_owned(),
        Part::Splat => splat.to_owned(),
    };
    parts.iter().map(text).collect()
}

fn about(origin: Option<&OriginPattern>, path: &PathPattern, filling: (&str, &str)) -> Question {
    let path = filled(&path.parts, filling);
    let mut question = Question::get(format!("/{}", utf8_percent_encode(&path, SEGMENTS)));
    if let Some(origin) = origin {
        question.scheme = origin.scheme;
        question.host = filled(&origin.host, filling);
    }
    question
}

/// A request that the rule is for.
fn about_redirect(rule: &RedirectRule, filling: (&str, &str)) -> Question {
    let mut question = about(rule.from.origin.as_ref(), &rule.from.path, filling);
    for (at, test) in rule.query.iter().enumerate() {
        let value = filled(std::slice::from_ref(&test.value), filling);
        let (key, value) =
            (utf8_percent_encode(&test.key, NON_ALPHANUMERIC), utf8_percent_encode(&value, NON_ALPHANUMERIC));
        let sign = if at == 0 { '?' } else { '&' };
        question.target.extend(format!("{sign}{key}={value}").bytes());
    }
    for condition in &rule.conditions {
        meet(condition, &mut question);
    }
    question
}

fn meet(condition: &Condition, question: &mut Question) {
    let mut set = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            question.headers.insert(name, value);
        }
    };
    match condition {
        Condition::Country(all) => question.country = all.first().map(ToString::to_string),
        Condition::Host(all) => question.host = all.first().map(ToString::to_string).unwrap_or_default(),
        Condition::Language(all) => all.iter().for_each(|tag| set("accept-language", tag)),
        Condition::Cookie(all) => all.iter().for_each(|name| set("cookie", &format!("{name}=1"))),
        Condition::Header { name, values } => set(name, values.first().map_or("1", |value| value)),
    }
}
