//! One engine behind three doors: `loggia rules test`, `loggia dev` and an edge answer every example alike.
#![allow(clippy::unwrap_used, clippy::large_futures, reason = "a journey that fails should say where")]

#[path = "../../crates/serve/tests/support/cases.rs"]
mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;

use cases::{Case, Example, Expected, HOST};
use loggia_e2e::dns::NameServer;
use loggia_e2e::eventually;
use loggia_e2e::fleet::{Fleet, SOON, slug};
use loggia_e2e::http1::{self, RawAnswer};
use loggia_e2e::process::{Process, free_port, loggia, repository_root};
use loggia_types::api::{AddDomain, Domain, DomainRole};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Tells which example a deployment shows.
const MARKER: &str = "shown.txt";

/// What the same answer may say otherwise at another door.
const MAY_DIFFER: [&str; 10] = [
    // When it was answered.
    "date",
    // When the deployment was made: for a folder, the time of its newest file.
    "last-modified",
    // Of one connection, not of the answer (RFC 9110 §7.6.1).
    "connection",
    // What the edge's access log knows a request by.
    "x-request-id",
    // Only an edge has a cache.
    "age",
    "x-cache",
    "x-cache-hits",
    "x-served-by",
    "cache-status",
    "server-timing",
];

/// What a door says to a row.
struct Said {
    door: &'static str,
    status: u16,
    headers: BTreeMap<String, String>,
    /// `rules test` names the file, the others send it.
    file: Option<String>,
    body: Option<Vec<u8>>,
}

impl Said {
    fn over_http(door: &'static str, answer: RawAnswer) -> Self {
        let body = if answer.body.is_empty() { Vec::new() } else { answer.decoded() };
        let mut said =
            Self { door, status: answer.status, headers: answer.headers, file: None, body: Some(body) };
        said.drop_what_may_differ();
        said
    }

    fn of_rules_test(output: &Output) -> Self {
        assert!(output.status.success(), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers = said["headers"].as_object().unwrap();
        let headers = headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let status = u16::try_from(said["status"].as_u64().unwrap()).unwrap();
        let file = said["file"]["path"].as_str().map(str::to_owned);
        let mut said = Self { door: "loggia rules test", status, headers, file, body: None };
        said.drop_what_may_differ();
        said
    }

    fn drop_what_may_differ(&mut self) {
        self.headers.retain(|name, _| !MAY_DIFFER.contains(&name.as_str()));
    }

    /// `loggia dev` compresses while somebody waits, so its variants are larger.
    fn without_size_of_variant(&self) -> BTreeMap<String, String> {
        let mut headers = self.headers.clone();
        if headers.contains_key("content-encoding") {
            headers.remove("content-length");
        }
        headers
    }

    /// Everything in which this differs from the table.
    fn faults(&self, case: &Case, contents: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |what: &str, found: Option<String>, expected: Option<String>| {
            if found != expected {
                faults.push(format!("{}: {what} is {found:?}, not {expected:?}", self.door));
            }
        };
        expect("the status", Some(self.status.to_string()), Some(case.status.to_string()));
        let header = |name: &str| self.headers.get(name).cloned();
        match &case.expected {
            Expected::Location(location) => {
                expect("the location", header("location"), Some(location.clone()));
            }
            Expected::NoHeader(name) => expect(name, header(name), None),
            Expected::Header(name, value) if !MAY_DIFFER.contains(&name.as_str()) => {
                expect(name, header(name), Some(value.clone()));
            }
            Expected::Header(..) => {}
            Expected::File(path) => match &self.body {
                None => expect("the file", self.file.clone(), Some(path.clone())),
                Some(body) => {
                    let content: &[u8] = if case.method == "HEAD" { &[] } else { &contents[path] };
                    let shown = |body: &[u8]| Some(String::from_utf8_lossy(body).into_owned());
                    expect("the body", shown(body), shown(content));
                }
            },
        }
        faults
    }
}

/// What an edge says more at a hostname that is not the primary one, of which the other doors know nothing.
const SAID_OF_COPIES: [&str; 2] = ["x-robots-tag", "x-loggia-rule"];

fn differences(one: &Said, other: &Said, is_copy: bool) -> Vec<String> {
    let mut found = Vec::new();
    if one.status != other.status {
        found.push(format!("{} says {}, {} says {}", one.door, one.status, other.door, other.status));
    }
    let is_dev = [one.door, other.door].contains(&"loggia dev");
    let headers = |said: &Said| if is_dev { said.without_size_of_variant() } else { said.headers.clone() };
    let (left, right) = (headers(one), headers(other));
    for name in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
        let may_differ = is_copy && SAID_OF_COPIES.contains(&name.as_str());
        if left.get(name) != right.get(name) && !may_differ {
            let (left, right) = (left.get(name), right.get(name));
            found.push(format!("{name}: {left:?} of {}, {right:?} of {}", one.door, other.door));
        }
    }
    if let (Some(left), Some(right)) = (&one.body, &other.body)
        && left != right
    {
        found.push(format!("the bodies of {} and {} differ", one.door, other.door));
    }
    found
}

async fn ask_rules_test(case: &Case, folder: &Path) -> Said {
    let mut command = tokio::process::Command::new(loggia());
    command.args(["rules", "test", "--json", "--method", &case.method, "--dir"]).arg(folder);
    for (name, value) in &case.headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    if let Some(country) = &case.country {
        command.args(["--country", country]);
    }
    Said::of_rules_test(&command.arg(&case.url).output().await.unwrap())
}

/// As a balancer in front passes it on.
async fn ask_over_http(door: &'static str, port: u16, case: &Case) -> Said {
    let (target, headers) = written(case);
    Said::over_http(door, http1::ask(port, &case.method, target, &headers).await)
}

/// An edge that was asked before has the answer at hand, if it is one that is remembered.
async fn ask_again(port: u16, case: &Case) -> Said {
    let (target, headers) = written(case);
    let _remembered = http1::ask_plainly(port, &case.method, target, &headers).await;
    let answer = http1::ask_plainly(port, &case.method, target, &headers).await;
    Said::over_http("the edge again", answer)
}

fn written(case: &Case) -> (&str, Vec<(String, String)>) {
    let (host, target) = case.host_and_target();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut headers = vec![pair("Host", host), pair("X-Forwarded-Proto", "https")];
    headers.extend(case.country.as_ref().map(|country| pair("CF-IPCountry", country)));
    headers.extend(case.headers.iter().cloned());
    (target, headers)
}

async fn run(args: &[&str], env: &[(&str, String)]) -> Output {
    let mut command = tokio::process::Command::new(loggia());
    command.args(args).envs(env.iter().map(|(name, value)| (*name, value)));
    command.output().await.unwrap()
}

async fn start_dev(dir: &Path, folder: &Path) -> (Process, u16) {
    let port = free_port();
    let args = ["dev", folder.to_str().unwrap(), "--port", &port.to_string()];
    let process = Process::start("dev", dir, &loggia(), &args, &[]);
    eventually("loggia dev listens", SOON, || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    (process, port)
}

async fn deploy(fleet: &Fleet, folder: &Path) {
    let args = ["deploy", folder.to_str().unwrap(), "--project", "doors", "--create"];
    let output = run(&args, &fleet.command_line()).await;
    assert!(output.status.success(), "{output:?}");
}

/// Every host of the examples, as a domain of the one project. The primary one is the examples' own.
async fn add_domains(fleet: &Fleet, names: &mut NameServer, hosts: &BTreeSet<String>) {
    let mut domains = Vec::new();
    let others = hosts.iter().map(String::as_str).filter(|host| *host != HOST);
    for host in std::iter::once(HOST).chain(others) {
        let domain =
            AddDomain { hostname: host.parse().unwrap(), with_www: false, role: Some(DomainRole::Serve) };
        domains.push(fleet.api.add_domain(&slug("doors"), &domain).await.unwrap().domain);
    }
    let proof = |domain: &Domain| format!("TXT {} {}", domain.records[0].name, domain.records[0].value);
    names.set(&domains.iter().map(proof).collect::<Vec<_>>());
    for domain in &domains {
        eventually("the domain is proven", SOON, || async {
            let domain = fleet.api.get_domain(&slug("doors"), domain.id).await.unwrap();
            if domain.verified_at.is_none() {
                // Too often is refused.
                let _ = fleet.api.verify_domain(&slug("doors"), domain.id).await;
            }
            domain.verified_at
        })
        .await;
    }
}

/// A deployment takes the place of the one before within a second, on each of its hosts.
async fn is_shown(fleet: &Fleet, example: &Example, cases: &[Case]) {
    for host in cases.iter().map(|case| case.host_and_target().0).collect::<BTreeSet<_>>() {
        eventually(&format!("{host} shows {}", example.name), SOON, || async {
            let headers =
                [("Host".to_owned(), host.to_owned()), ("X-Forwarded-Proto".to_owned(), "https".to_owned())];
            let answer = http1::ask(fleet.edge_port(), "GET", &format!("/{MARKER}"), &headers).await;
            // One host of an example is redirected as a whole; before, it showed another example's marker.
            (answer.body == example.name.as_bytes() || answer.status == 301).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_answered_alike_through_all_three_doors() {
    let examples = Example::all(&repository_root().join("crates/serve/tests/examples"));
    let cases = examples.iter().flat_map(Example::cases);
    let hosts: BTreeSet<String> = cases.map(|case| case.host_and_target().0.to_owned()).collect();
    assert!(hosts.len() > 3 && hosts.contains(HOST), "{hosts:?}");

    let mut fleet = Fleet::new().await;
    let mut names = NameServer::start(fleet.dir.path());
    fleet.set("LOGGIA_DNS_RESOLVER", names.address());
    fleet.set("LOGGIA_PROXY_TRUSTED_HOPS", "127.0.0.1");
    fleet.set("LOGGIA_PROXY_COUNTRY_HEADER", "CF-IPCountry");
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);

    let (mut faults, mut asked) = (Vec::new(), 0);
    for (number, example) in examples.iter().enumerate() {
        let folder = fleet.dir.path().join(&example.name);
        std::fs::create_dir(&folder).unwrap();
        example.write_to(&folder);
        std::fs::write(folder.join(MARKER), &example.name).unwrap();
        deploy(&fleet, &folder).await;
        if number == 0 {
            add_domains(&fleet, &mut names, &hosts).await;
        }
        let cases = example.cases();
        is_shown(&fleet, example, &cases).await;
        let (dev, dev_port) = start_dev(fleet.dir.path(), &folder).await;
        let contents: BTreeMap<String, Vec<u8>> = example.files().into_iter().collect();
        for case in cases {
            let said = [
                ask_rules_test(&case, &folder).await,
                ask_over_http("loggia dev", dev_port, &case).await,
                ask_over_http("the edge", fleet.edge_port(), &case).await,
                ask_again(fleet.edge_port(), &case).await,
            ];
            let mut found: Vec<String> = said.iter().flat_map(|said| said.faults(&case, &contents)).collect();
            let [rules_test, dev, edge, again] = &said;
            let is_copy = case.host_and_target().0 != HOST;
            found.extend(differences(edge, again, false));
            found.extend(differences(rules_test, edge, is_copy));
            found.extend(differences(dev, edge, is_copy));
            let place = format!("{}/cases.tsv:{} {} {}", example.name, case.line, case.method, case.url);
            faults.extend(found.into_iter().map(|fault| format!("{place}\n    {fault}")));
            asked += 1;
        }
        assert!(dev.stop(Signal::SIGINT), "loggia dev ends well");
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(asked > 250, "{asked} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_tried_and_checked_without_a_deployment() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let write = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
    write("index.html", "home");
    write("_redirects", "/old /new 301\n/shop /de 302 Country=DE\n");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let output = run(&["rules", "test", "/old", "/missing.js", "--dir", folder], &[]).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said.starts_with("GET https://www.example.org/old\n  301 Moved Permanently\n  by _redirects:1\n"),
        "{said}"
    );
    assert!(said.contains("location: /new\n") && said.contains("404 Not Found"), "{said}");
    let preview =
        ["rules", "test", "/shop", "--country", "de", "--environment", "preview", "--json", "--dir"];
    let output = run(&[&preview[..], &[folder]].concat(), &[]).await;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["status"], &said["rule"]), (&302.into(), &"_redirects:2".into()));
    assert_eq!(said["headers"]["x-loggia-rule"], "_redirects:2");
    let checked = run(&["rules", "check", folder], &[]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(
        text(&checked.stdout).starts_with("2 redirects (2 static), 0 header blocks, 2 files, 0 problems\n")
    );

    write("_redirects", "/old\n");
    for (args, code) in [(&["rules", "test", "/", "--dir"][..], 0), (&["rules", "check"], 1)] {
        let output = run(&[args, &[folder]].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).starts_with("problem: _redirects:1: "), "{output:?}");
    }
    write("_redirects", &format!("/{} /new\n", "x".repeat(2000)));
    for args in [&["rules", "test", "/", "--dir"][..], &["rules", "check"], &["dev"]] {
        let output = run(&[args, &[folder]].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("_redirects:1: "), "{output:?}");
    }
    for wrong in [
        &["old"][..],
        &["/", "-H", "Accept"],
        &["/", "--country", "Germany"],
        &["/", "--environment", "x"],
        &[],
    ] {
        let output = run(&[&["rules", "test"], wrong].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_shown_as_it_is_now_and_nothing_outside_of_it() {
    let (logs, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
    write("index.html", "one");
    write(".secret", "hidden");
    let large = "0123456789abcdef".repeat(512 * 1024);
    write("large.bin", &large);
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("outside.txt")).unwrap();
    let (mut dev, port) = start_dev(logs.path(), dir.path()).await;
    let get = async |path: &str| {
        let headers = [
            ("Host".to_owned(), format!("localhost:{port}")),
            ("Sec-Fetch-Dest".to_owned(), "image".to_owned()),
        ];
        http1::ask(port, "GET", path, &headers).await
    };
    assert_eq!(get("/").await.body, b"one");
    for path in ["/outside.txt", "/.secret"] {
        assert_eq!(get(path).await.status, 404, "{path}");
    }
    assert!(dev.log().contains("problem: outside.txt: "), "{}", dev.log());
    assert!(get("/large.bin").await.body == large.as_bytes());

    write("index.html", "two, and longer");
    write("_redirects", "/a /b\n/mistake\n");
    eventually("the change is shown", SOON, || async {
        (get("/").await.body == b"two, and longer" && get("/a").await.header("location") == Some("/b"))
            .then_some(())
    })
    .await;
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_millis(350)).await;
        get("/").await;
    }
    assert_eq!(dev.log().matches("problem: _redirects:2").count(), 1, "{}", dev.log());

    let taken = run(&["dev", dir.path().to_str().unwrap(), "--port", &port.to_string()], &[]).await;
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert_eq!(taken.status.code(), Some(1));
    assert!(said.contains("in use") && said.contains("--port"), "{said}");
    assert!(dev.is_running() && dev.stop(Signal::SIGINT), "Ctrl-C ends it well");
}
