use super::*;
use loggia_types::route::{ServeSettings, SurrogateKeys};
use loggia_types::{DeploymentId, EventPosition, ProjectId};
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
        surrogate_keys: SurrogateKeys::Listed(Box::new(["p-1".to_owned()].into())),
        redirect: None,
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

/// A folder that was written by a run with 40 hostnames, and the bytes of its file.
fn whole_state() -> (tempfile::TempDir, Vec<u8>, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let names = (0..40).map(|n| Line::Route(route(&format!("h{n:02}.localhost"), 10 + n)));
    write(dir.path(), &names.collect::<Vec<_>>());
    let known = open(dir.path());
    assert_eq!(known.split(' ').count(), 40);
    let whole = fs::read(dir.path().join(FILE_NAME)).expect("a file");
    (dir, whole, known)
}

#[test]
fn a_file_that_is_cut_or_damaged_anywhere_is_filled_from_its_copy() {
    let (dir, whole, known) = whole_state();
    let path = dir.path().join(FILE_NAME);
    let copy = dir.path().join("routes.log.1");
    let damaged = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).expect("written");
        fs::write(&copy, &whole).expect("written");
        assert_eq!(open(dir.path()), known, "{what}");
        // And again: the next run has both files whole.
        assert_eq!(open(dir.path()), known, "{what}, the run after");
    };
    for at in (0..=whole.len()).step_by(512) {
        damaged(&whole[..at], &format!("cut at {at}"));
        let mut flipped = whole.clone();
        flipped[at.min(whole.len() - 1)] ^= 0x21;
        damaged(&flipped, &format!("flipped at {at}"));
        // A power cut leaves blocks of zeros where data did not arrive.
        let mut zeros = whole.clone();
        zeros[at..].fill(0);
        damaged(&zeros, &format!("zeros from {at}"));
    }
    damaged(b"\xff\xff garbage\n\n", "garbage");
    fs::remove_file(&path).expect("removed");
    assert_eq!(open(dir.path()), known, "without the file");

    for bytes in [&b"garbage"[..], b"", &whole[..1000]] {
        fs::write(&copy, bytes).expect("written");
        assert_eq!(open(dir.path()), known, "a damaged copy is not missed");
    }
}

#[test]
fn a_copy_brings_back_nothing_that_the_file_has_overtaken() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE_NAME);
    let gone = |name: &str, version| Line::Gone {
        hostname: name.parse().expect("valid"),
        version: EventPosition(version),
    };
    let state = [Line::Route(route("a", 5)), Line::Route(route("b", 6)), Line::Route(route("c", 7))];
    write(dir.path(), &state);
    assert_eq!(open(dir.path()), "a@5 b@6 c@7");
    let mut bytes = fs::read(&path).expect("a file");
    let changes = [gone("a", 5), Line::Route(route("b", 9))];
    bytes.extend(changes.iter().flat_map(encode));
    // All of the first state is damaged, the changes are not.
    let beginning = bytes.len() - changes.iter().map(|line| encode(line).len()).sum::<usize>();
    for byte in bytes[..beginning].iter_mut().filter(|byte| **byte != b'\n') {
        *byte ^= 1;
    }
    fs::write(&path, bytes).expect("written");
    assert_eq!(open(dir.path()), "b@9 c@7");
    assert_eq!(open(dir.path()), "b@9 c@7", "nor does it later");
    fs::write(&path, b"").expect("written");
    assert_eq!(open(dir.path()), "b@9 c@7", "nor from the copy");
}

#[test]
fn damage_of_changes_costs_those_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE_NAME);
    let lines = [Line::Route(route("a", 1)), Line::Route(route("b", 2)), Line::Route(route("c", 3))];
    let whole: Vec<u8> = lines.iter().flat_map(encode).collect();
    for (at, expected) in [(20, "b@2 c@3"), (whole.len() / 2, "a@1 c@3"), (3, "b@2 c@3")] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x21;
        fs::write(&path, damaged).expect("written");
        let _ = fs::remove_file(dir.path().join("routes.log.1"));
        assert_eq!(open(dir.path()), expected, "flipped at {at}");
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
    let mut writer = Writer::start(path.clone(), &Lines::new(), errors);
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
    let mut writer = Writer::start(path.clone(), &Lines::new(), Arc::default());
    writer.file().expect("a file").write_all(b"0123half a li").expect("written");
    writer.report(&io::Error::other("no space left"));
    writer.append(&Line::Route(route("a", 1))).expect("appended");
    assert_eq!(writer.errors.load(Ordering::Relaxed), 1);
    drop(writer);
    assert_eq!(open(dir.path()), "a@1");
}
