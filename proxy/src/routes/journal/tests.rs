use super::*;
use loggia_types::route::ServeSettings;
use loggia_types::{DeploymentId, ProjectId};
use std::time::{Duration, Instant};

fn route(hostname: &str, version: u64) -> Route {
    Route {
        hostname: hostname.parse().expect("valid"),
        project_id: ProjectId::from_parts(1, 1),
        slug: "shop".parse().expect("valid"),
        deployment_id: Some(DeploymentId::from_parts(version, 0)),
        environment: loggia_types::build::Environment::Production,
        indexable: true,
        serve: ServeSettings::default(),
        surrogate_keys: vec!["p-1".into()],
        version: EventPosition(version),
    }
}

/// `a@5 b@2`, in order of hostname.
fn summary(mut routes: Vec<Route>) -> String {
    routes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    let texts = routes.iter().map(|route| format!("{}@{}", route.hostname, route.version));
    texts.collect::<Vec<_>>().join(" ")
}

fn write(dir: &Path, lines: &[Line]) {
    let bytes: Vec<u8> = lines.iter().flat_map(encode).collect();
    fs::write(dir.join(FILE_NAME), bytes).expect("written");
}

/// Opens, and waits until it is closed again.
fn open(dir: &Path) -> String {
    let routes = Journal::open(dir).expect("opens").1;
    File::open(dir.join(LOCK_NAME)).and_then(|lock| lock.lock()).expect("free");
    summary(routes)
}

#[test]
fn the_newest_line_of_a_hostname_wins() {
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(open(dir.path()), "");
    let gone = |name: &str, version| Line::Gone {
        hostname: name.parse().expect("valid"),
        version: EventPosition(version),
    };
    write(
        dir.path(),
        &[
            Line::Route(route("a", 5)),
            Line::Route(route("b", 2)),
            Line::Route(route("a", 3)),
            Line::Route(route("c", 4)),
            gone("c", 4),
            gone("b", 1),
        ],
    );
    assert_eq!(open(dir.path()), "a@5 b@2");
    assert_eq!(open(dir.path()), "a@5 b@2", "also after the file was rewritten");
}

#[test]
fn damage_costs_the_damaged_lines_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE_NAME);
    write(dir.path(), &[Line::Route(route("a", 1)), Line::Route(route("b", 2)), Line::Route(route("c", 3))]);
    let whole = fs::read(&path).expect("a file");

    for (at, expected) in [(20, "b@2 c@3"), (whole.len() / 2, "a@1 c@3"), (3, "b@2 c@3")] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x21;
        fs::write(&path, damaged).expect("written");
        assert_eq!(open(dir.path()), expected, "flipped at {at}");
    }
    for (bytes, expected) in [
        (&whole[..whole.len() - 10], "a@1 b@2"),
        (&[b"\xff\xff garbage\n\n", whole.as_slice()].concat(), "a@1 b@2 c@3"),
        (&whole[..0], ""),
    ] {
        fs::write(&path, bytes).expect("written");
        assert_eq!(open(dir.path()), expected);
    }
}

#[test]
fn a_line_is_in_the_file_while_the_process_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let (journal, _) = Journal::open(dir.path()).expect("opens");
    journal.keep(&route("a", 1));
    journal.keep(&route("b", 2));
    journal.forget(&route("a", 1));
    let path = dir.path().join(FILE_NAME);
    let deadline = Instant::now() + Duration::from_secs(10);
    // The file, read as a successor of a killed process would.
    while load(&path).expect("a file").values().filter(|line| matches!(line, Line::Route(_))).count() != 1
        || load(&path).expect("a file").len() != 2
    {
        assert!(Instant::now() < deadline, "the line never came");
        std::thread::yield_now();
    }
    assert_eq!(journal.errors(), 0);
}

#[test]
fn a_process_that_takes_over_reads_at_once_and_writes_when_the_other_one_has_let_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let (before, _) = Journal::open(dir.path()).expect("opens");
    before.keep(&route("a", 1));
    let path = dir.path().join(FILE_NAME);
    let in_file = || {
        summary(
            load(&path)
                .expect("a file")
                .into_values()
                .filter_map(|line| match line {
                    Line::Route(route) => Some(route),
                    Line::Gone { .. } => None,
                })
                .collect(),
        )
    };
    let eventually = |expected: &str| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while in_file() != expected {
            assert!(Instant::now() < deadline, "{} and not {expected}", in_file());
            std::thread::yield_now();
        }
    };
    eventually("a@1");
    let (after, routes) = Journal::open(dir.path()).expect("opens");
    assert_eq!(summary(routes), "a@1");
    after.keep(&route("c", 3));
    before.keep(&route("b", 2));
    eventually("a@1 b@2");
    before.hand_over();
    eventually("a@1 b@2 c@3");
    before.keep(&route("d", 4));
    after.keep(&route("e", 5));
    eventually("a@1 b@2 c@3 e@5");
    assert_eq!((before.errors(), after.errors()), (0, 0));
}

#[test]
fn the_file_does_not_grow_with_every_change() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE_NAME);
    let errors = Arc::new(AtomicU64::new(0));
    let mut writer = Writer::start(path.clone(), &HashMap::new(), errors);
    for version in 0..5_000 {
        writer.append(&Line::Route(route("a", version))).expect("appended");
    }
    assert!(fs::metadata(&path).expect("a file").len() <= COMPACT_BYTES_MIN);
    drop(writer);
    assert_eq!(open(dir.path()), "a@4999");
}

#[test]
fn after_a_failed_write_the_next_line_starts_afresh() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE_NAME);
    let mut writer = Writer::start(path.clone(), &HashMap::new(), Arc::default());
    writer.file().expect("a file").write_all(b"0123half a li").expect("written");
    writer.report(&io::Error::other("no space left"));
    writer.append(&Line::Route(route("a", 1))).expect("appended");
    assert_eq!(writer.errors.load(Ordering::Relaxed), 1);
    drop(writer);
    assert_eq!(open(dir.path()), "a@1");
}
