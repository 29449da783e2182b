use super::*;
use crate::metrics::DiskUse;
use loggia_types::{DeploymentId, DeploymentRef};

fn name(number: u64) -> DeploymentRef {
    DeploymentRef {
        project_id: ProjectId::from_parts(number % 2, 0),
        deployment_id: DeploymentId::from_parts(number, 0),
    }
}

struct Opened {
    disk: Disk<DeploymentRef>,
    metrics: Arc<DiskUse>,
}

fn open(root: &Path, bytes_max: u64) -> Opened {
    let metrics = Arc::<DiskUse>::default();
    let disk = Disk::open(root.to_owned(), bytes_max, Spare::ByManifests, Arc::clone(&metrics), |_| false);
    let disk = disk.expect("a thread");
    Opened { disk, metrics }
}

impl Opened {
    fn find(&self, number: u64) -> Option<(Vec<u8>, bool)> {
        self.disk.find_blocking(&name(number), 1000, |found| Some((found.bytes, found.is_stale)))
    }

    fn keep(&self, number: u64, content: &'static [u8]) {
        let outcomes = |outcome| self.metrics.writes.get(outcome);
        let all =
            || outcomes(DiskWrite::Written) + outcomes(DiskWrite::Dropped) + outcomes(DiskWrite::Failed);
        let before = all();
        self.disk.keep(name(number), Bytes::from_static(content));
        let deadline = Instant::now() + Duration::from_secs(10);
        while all() == before {
            assert!(Instant::now() < deadline, "it is never written");
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_is_kept_is_found_by_whoever_shares_the_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("deep").join("down");
    let (one, other) = (open(&root, 1 << 20), open(&root, 1 << 20));
    assert_eq!(one.find(1), None);
    one.keep(1, b"one");
    other.keep(2, b"two");
    other.keep(1, b"one");
    for disk in [&one, &other] {
        assert_eq!(disk.find(1), Some((b"one".to_vec(), false)));
        assert_eq!(disk.find(2), Some((b"two".to_vec(), false)));
    }
    one.disk.hand_over();
    assert!(!one.disk.keep(name(3), Bytes::from_static(b"three")), "the other one writes");
    assert_eq!(one.find(2), Some((b"two".to_vec(), false)));
}

#[test]
fn what_does_not_pass_its_check_is_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(dir.path(), 1 << 20);
    opened.keep(1, b"wrong");
    assert_eq!(opened.disk.find_blocking(&name(1), 1000, |_| None::<()>), None);
    assert_eq!(opened.find(1), None);
    opened.keep(1, b"too long");
    assert_eq!(opened.disk.find_blocking(&name(1), 7, |_| Some(())), None, "it is not even read");
    assert_eq!(opened.find(1), None);
    let reads = [DiskRead::Damaged, DiskRead::Missing, DiskRead::Found];
    assert_eq!(reads.map(|read| opened.metrics.reads.get(read)), [2, 2, 0]);
}

#[test]
fn a_purge_reaches_files_and_those_on_their_way() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(dir.path(), 1 << 20);
    for number in 1..=4 {
        opened.keep(number, b"content");
    }
    opened.disk.purge_all([&name(1)], Purged::Removed);
    opened.disk.purge_all([&name(3)], Purged::Stale);
    opened.disk.purge_all([&name(99)], Purged::Stale);
    opened.disk.purge_project(name(2).project_id, Purged::Removed);
    let stale = Some((b"content".to_vec(), true));
    assert_eq!([1, 2, 3, 4].map(|number| opened.find(number)), [None, None, stale.clone(), None]);
    assert_eq!(opened.find(3), stale, "to be read does not make it fresh");
    opened.keep(3, b"content");
    assert_eq!(opened.find(3), Some((b"content".to_vec(), false)));

    let mut keeper = Keeper::<DeploymentRef>::new(Arc::clone(&opened.disk.shared), Box::new(|_| false));
    let late = Kept { name: name(5), bytes: Bytes::from_static(b"late"), purges: 0 };
    keeper.keep(&late);
    assert_eq!(opened.find(5), None, "it was asked for before a purge");
    let left = fs::read_dir(dir.path()).expect("a folder").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(".tmp")));
}

#[test]
fn the_budget_is_kept_by_removing_what_was_used_longest_ago() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(dir.path(), 1 << 20);
    for number in 0..10 {
        opened.keep(number, b"content");
        let file = File::open(opened.disk.shared.path(&name(number))).expect("a file");
        file.set_modified(STALE + Duration::from_secs(1000 + number)).expect("set");
    }
    fs::write(dir.path().join("notes.txt"), b"not ours").expect("written");
    assert!(opened.find(1).is_some(), "now it was used last");
    // Ten blocks, of which eight may stay, so that there are seven afterwards.
    let room = Room { files: 100, bytes: 8 * 4096 };
    let left = sweep::sweep(dir.path(), room, &|kept: &DeploymentRef| *kept == name(2)).expect("swept");
    assert_eq!(left, Room { files: 7, bytes: 7 * 4096 });
    let gone: Vec<u64> = (0..10).filter(|number| opened.find(*number).is_none()).collect();
    assert_eq!(gone, [0, 3, 4], "1 was used, 2 is in memory");
    assert!(dir.path().join("notes.txt").exists());

    let few = open(dir.path(), 3 * 4096);
    for number in 20..40 {
        few.keep(number, b"content");
    }
    let files = || fs::read_dir(dir.path().join(name(0).project_id.as_str())).expect("a folder").count();
    assert!(files() <= 3, "{} files", files());
    assert!(few.find(39).is_some(), "the newest stays");
}

#[test]
fn a_disk_that_cannot_be_used_is_counted_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("file").join("folder");
    fs::write(dir.path().join("file"), b"").expect("written");
    let opened = open(&root, 1 << 20);
    opened.keep(1, b"one");
    opened.keep(2, b"two");
    assert_eq!(opened.find(1), None);
    opened.disk.purge_all([&name(1)], Purged::Removed);
    assert_eq!(opened.metrics.writes.get(DiskWrite::Failed), 2);
    assert_eq!(opened.metrics.reads.get(DiskRead::Failed), 1);
    // And it is used as soon as it can be.
    fs::remove_file(dir.path().join("file")).expect("removed");
    opened.keep(1, b"one");
    assert_eq!(opened.find(1), Some((b"one".to_vec(), false)));
}

#[tokio::test]
async fn a_disk_that_hangs_delays_nobody_for_long() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(dir.path(), 1 << 20);
    opened.keep(1, b"one");
    assert_eq!(opened.disk.find(name(1), 1000, |found| Some(found.bytes)).await, Some(b"one".to_vec()));
    assert!(opened.disk.has(&name(1), 3).await && !opened.disk.has(&name(1), 4).await);
    let (end, wait) = sync_channel::<()>(1);
    let started = Instant::now();
    let found = opened.disk.find(name(1), 1000, move |found| wait.recv().ok().map(|()| found.bytes)).await;
    assert_eq!(found, None);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(opened.metrics.reads.get(DiskRead::Slow), 1);
    let again = Instant::now();
    assert!(
        !opened.disk.has(&name(1), 3).await && again.elapsed() < Duration::from_millis(500),
        "for a while"
    );
    drop(end);
}
