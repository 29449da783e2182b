//! Runs a target for its time: the stored inputs first, then changed ones.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::mutate::{Rng, mutate};

/// What is found to be wrong with an input.
pub(crate) type Checked = Result<(), String>;

/// One kind of input.
pub(crate) struct Target {
    /// The folder of its stored inputs.
    pub(crate) name: &'static str,
    /// What means something in such inputs.
    pub(crate) dictionary: &'static [&'static [u8]],
    /// Inputs don't grow beyond.
    pub(crate) len_max: usize,
    pub(crate) check: fn(&[u8], &mut Notes) -> Checked,
    /// Inputs to begin with that are made, because stored ones would be outdated by the next version of a format.
    pub(crate) made: fn() -> Vec<Vec<u8>>,
    /// Puts right what a change must break, such as a checksum.
    pub(crate) repair: fn(&mut [u8]),
}

/// Many times what the largest file of rules takes, on a busy machine in an unoptimised build.
const CHECK_TIME_MAX: Duration = Duration::from_secs(10);

/// Enough to get from one outcome to the next, few enough that each gets its turn.
const KEPT_MAX: usize = 4_000;

/// A minute of a fast target's checks; making a failure small is a convenience.
const SHRINK_TIME_MAX: Duration = Duration::from_secs(5);

/// What was seen while an input was checked: whatever differs where it is interesting, and is the same otherwise.
#[derive(Default)]
pub(crate) struct Notes(Vec<u64>);

impl Notes {
    pub(crate) fn note(&mut self, what: impl Hash) {
        // With fixed keys: a seed has to lead to the same inputs again.
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.0.push(hasher.finish());
    }
}

struct Run<'t> {
    target: &'t Target,
    seed: u64,
    seen: HashSet<u64>,
    kept: Vec<Vec<u8>>,
}

pub(crate) fn run(target: &Target) {
    let secs = variable("LOGGIA_FUZZ_SECS").unwrap_or(1);
    let seed = variable("LOGGIA_FUZZ_SEED").unwrap_or_else(seed_of_now);
    let deadline = Instant::now() + Duration::from_secs(secs);
    let mut run = Run { target, seed, seen: HashSet::new(), kept: Vec::new() };
    let stored = stored(target);
    assert!(stored.len() >= 12, "{} has lost its stored inputs", target.name);
    for (path, input) in stored {
        run.attempt(&input, Some(&path));
        run.kept.push(input);
    }
    for input in (target.made)() {
        run.attempt(&input, None);
        run.kept.push(input);
    }
    let begun_with = run.kept.len();

    let mut rng = Rng(seed);
    let mut count: u64 = 0;
    while Instant::now() < deadline {
        let (input, other) = (pick(&mut rng, &run.kept), pick(&mut rng, &run.kept));
        let mut changed = mutate(&mut rng, input, other, target.dictionary, target.len_max);
        if rng.below(8) > 0 {
            (target.repair)(&mut changed);
        }
        count += 1;
        if run.attempt(&changed, None) && run.kept.len() < KEPT_MAX {
            run.kept.push(changed);
        }
    }
    let (name, outcomes, kept) = (target.name, run.seen.len(), run.kept.len() - begun_with);
    println!(
        "{name}: {begun_with} inputs, {count} changed ones, {kept} of them kept; {outcomes} outcomes; seed {seed}"
    );
}

/// The later ones more often: they are further away from what is known.
fn pick<'k>(rng: &mut Rng, kept: &'k [Vec<u8>]) -> &'k [u8] {
    let newest = kept.len().saturating_sub(16);
    let from = if rng.below(4) == 0 { &kept[newest..] } else { kept };
    rng.pick::<Vec<u8>>(from)
}

impl Run<'_> {
    /// Whether the input led to something new.
    fn attempt(&mut self, input: &[u8], stored: Option<&Path>) -> bool {
        let started = Instant::now();
        let mut notes = Notes::default();
        let checked = guarded(self.target, input, &mut notes);
        if let Err(broken) = checked {
            self.fail(input, stored, &broken);
        }
        let took = started.elapsed();
        if took > CHECK_TIME_MAX {
            self.fail(input, stored, &format!("it took {took:?}"));
        }
        let before = self.seen.len();
        self.seen.extend(notes.0);
        self.seen.len() > before
    }

    fn fail(&self, input: &[u8], stored: Option<&Path>, broken: &str) -> ! {
        let (name, seed) = (self.target.name, self.seed);
        if let Some(path) = stored {
            panic!("{name}: {}: {broken}", path.display());
        }
        let small = shrink(self.target, input);
        let broken_by_small = guarded(self.target, &small, &mut Notes::default()).err();
        let path = store(name, input, &small);
        panic!(
            "{name}: {broken}\nseed {seed}; {} bytes, made small: {} bytes in {}\n{}\n{}",
            input.len(),
            small.len(),
            path.display(),
            small.escape_ascii(),
            broken_by_small.unwrap_or_default(),
        );
    }
}

/// A panic is as good as an error.
fn guarded(target: &Target, input: &[u8], notes: &mut Notes) -> Checked {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input, notes))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()))
    })
}

/// Leaves out what is not needed for a failure: halves, then quarters, down to single bytes.
fn shrink(target: &Target, input: &[u8]) -> Vec<u8> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let deadline = Instant::now() + SHRINK_TIME_MAX;
    let mut small = input.to_vec();
    let mut step = small.len().div_ceil(2);
    while step > 0 {
        let before = small.len();
        let mut at = 0;
        while at < small.len() && Instant::now() < deadline {
            let mut shorter = small.clone();
            shorter.drain(at..(at + step).min(small.len()));
            (target.repair)(&mut shorter);
            let fails =
                shorter.len() < small.len() && guarded(target, &shorter, &mut Notes::default()).is_err();
            if fails { small = shorter } else { at += step }
        }
        if step == 1 && small.len() == before {
            break;
        }
        step = if step == 1 && Instant::now() < deadline { 1 } else { step / 2 };
    }
    std::panic::set_hook(hook);
    small
}

/// Into cargo's target folder, so that no test changes the sources.
fn store(name: &str, input: &[u8], small: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
    fs::create_dir_all(&folder).unwrap();
    let mut hasher = DefaultHasher::new();
    small.hash(&mut hasher);
    let path = folder.join(format!("{:016x}", hasher.finish()));
    fs::write(&path, small).unwrap();
    fs::write(path.with_extension("whole"), input).unwrap();
    path
}

fn stored(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, for example 60, not {text:?}")))
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    Rng(now.as_secs() ^ u64::from(now.subsec_nanos()) << 32).next() >> 32
}
