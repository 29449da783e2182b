//! The transfer and the checkout with libgit2, in a thread that may block.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use git2::build::CheckoutBuilder;
use git2::{
    AutotagOption, Commit, FetchOptions, ObjectType, Oid, Progress, ProxyOptions, RemoteCallbacks,
    RemoteRedirect, Repository, RepositoryInitOptions,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::{Checkout, CheckoutError, CheckoutLimits, errors, tree};

/// A line of progress every now and then.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// libgit2's `GIT_FETCH_DEPTH_UNSHALLOW`.
const DEPTH_ALL: i32 = i32::MAX;

/// What the transfer is held to, and whom it tells.
pub(super) struct Watch {
    pub(super) limits: CheckoutLimits,
    stop: CancellationToken,
    lines: UnboundedSender<String>,
    exceeded: RefCell<Option<String>>,
    last_line: Cell<Instant>,
}

impl Watch {
    pub(super) fn new(
        limits: CheckoutLimits,
        stop: CancellationToken,
        lines: UnboundedSender<String>,
    ) -> Self {
        Self { limits, stop, lines, exceeded: RefCell::new(None), last_line: Cell::new(Instant::now()) }
    }

    fn say(&self, line: String) {
        // A reader that has gone is no reason to stop: `stop` is.
        let _ = self.lines.send(line);
    }

    pub(super) fn check(&self) -> Result<(), CheckoutError> {
        if self.stop.is_cancelled() { Err(CheckoutError::Stopped) } else { Ok(()) }
    }

    /// Whether the transfer may go on.
    fn on_transfer(&self, progress: &Progress<'_>) -> bool {
        if progress.received_bytes() > self.limits.transfer_bytes {
            let limit = size(self.limits.transfer_bytes as u64);
            *self.exceeded.borrow_mut() = Some(format!("The repository sends more than {limit}."));
        } else if progress.total_objects() > self.limits.objects {
            let (found, limit) = (thousands(progress.total_objects()), thousands(self.limits.objects));
            *self.exceeded.borrow_mut() =
                Some(format!("The repository sends {found} objects; at most {limit} are allowed."));
        } else if self.last_line.get().elapsed() >= PROGRESS_AFTER {
            self.last_line.set(Instant::now());
            self.say(describe(progress));
        }
        self.exceeded.borrow().is_none() && !self.stop.is_cancelled()
    }

    /// What an aborted transfer was aborted for.
    fn aborted(&self) -> Option<CheckoutError> {
        let exceeded = self.exceeded.borrow_mut().take();
        exceeded.map(CheckoutError::Theirs).or_else(|| self.check().err())
    }
}

/// Why a download did not come to its end.
enum Failed {
    Aborted(CheckoutError),
    Transfer(git2::Error),
}

impl From<CheckoutError> for Failed {
    fn from(error: CheckoutError) -> Self {
        Self::Aborted(error)
    }
}

impl Failed {
    fn sorted(self, checkout: &Checkout) -> CheckoutError {
        match self {
            Self::Aborted(reason) => reason,
            Self::Transfer(error) => errors::of_transfer(&error, &checkout.url),
        }
    }
}

pub(super) fn run(checkout: &Checkout, watch: &Watch) -> Result<(), CheckoutError> {
    // Not even templates: they may bring hooks.
    let mut options = RepositoryInitOptions::new();
    options.external_template(false).no_reinit(true);
    let repository = Repository::init_opts(&checkout.into, &options)
        .map_err(|error| errors::of_disk("creating the repository", &error))?;
    let wanted = Oid::from_str(checkout.commit.as_str())
        .map_err(|error| errors::of_disk("reading the commit's name", &error))?;
    let commit = find_commit(&repository, checkout, wanted, watch)?;
    watch.check()?;
    let tree = commit.tree().map_err(|error| damaged(&error))?;
    let facts = tree::check(&repository, &tree, watch)?;
    if facts.submodules > 0 {
        watch.say(format!("{} submodules are left empty: they are not fetched.", facts.submodules));
    }
    write_files(&repository, checkout, &commit)?;
    watch.say(format!("Checked out {} with {} files.", checkout.commit.short(), thousands(facts.files)));
    Ok(())
}

/// By its name if the server allows it, else by its branch: its tip first, and all of it if the branch has moved on.
fn find_commit<'r>(
    repository: &'r Repository,
    checkout: &Checkout,
    wanted: Oid,
    watch: &Watch,
) -> Result<Commit<'r>, CheckoutError> {
    let exact = format!("+{wanted}:refs/loggia/commit");
    match download(repository, checkout, &exact, 1, watch) {
        Err(Failed::Transfer(error)) if errors::is_object_refused(&error) => {}
        done => done.map_err(|failed| failed.sorted(checkout))?,
    }
    if let Some(commit) = found(repository, wanted)? {
        return Ok(commit);
    }
    let branch = format!("+{}:refs/loggia/branch", checkout.branch.reference());
    for depth in [1, DEPTH_ALL] {
        if depth == DEPTH_ALL {
            watch.say(format!(
                "{} is not the tip of {}, fetching its history.",
                checkout.commit.short(),
                checkout.branch
            ));
        }
        download(repository, checkout, &branch, depth, watch).map_err(|failed| failed.sorted(checkout))?;
        if let Some(commit) = found(repository, wanted)? {
            return Ok(commit);
        }
    }
    Err(CheckoutError::Theirs(format!(
        "The commit {} is not in the repository any more: the branch {} was deleted or rewritten. Push again to \
         build what is there now.",
        checkout.commit.short(),
        checkout.branch
    )))
}

fn found(repository: &Repository, wanted: Oid) -> Result<Option<Commit<'_>>, CheckoutError> {
    match repository.find_commit(wanted) {
        Ok(commit) => Ok(Some(commit)),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(damaged(&error)),
    }
}

/// Downloads objects and moves no reference.
fn download(
    repository: &Repository,
    checkout: &Checkout,
    refspec: &str,
    depth: i32,
    watch: &Watch,
) -> Result<(), Failed> {
    watch.check()?;
    let mut remote = repository.remote_anonymous(checkout.url.as_str()).map_err(Failed::Transfer)?;
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|progress| watch.on_transfer(&progress));
    callbacks.sideband_progress(|_| !watch.stop.is_cancelled());
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .proxy_options(proxy)
        .follow_redirects(RemoteRedirect::None)
        .download_tags(AutotagOption::None)
        .depth(depth);
    let downloaded = remote.download(&[refspec], Some(&mut options));
    if let Some(aborted) = watch.aborted() {
        return Err(Failed::Aborted(aborted));
    }
    downloaded.map_err(Failed::Transfer)?;
    let stats = remote.stats();
    if stats.total_objects() > 0 {
        watch.say(describe(&stats));
    }
    Ok(())
}

/// Writes the files, and what a build may ask git for: its branch and where it came from.
fn write_files(
    repository: &Repository,
    checkout: &Checkout,
    commit: &Commit<'_>,
) -> Result<(), CheckoutError> {
    let disk = |doing: &'static str| move |error: git2::Error| errors::of_disk(doing, &error);
    let object = commit.as_object();
    debug_assert_eq!(object.kind(), Some(ObjectType::Commit));
    repository
        .checkout_tree(object, Some(CheckoutBuilder::new().force()))
        .map_err(disk("writing the files"))?;
    let reference = checkout.branch.reference();
    // A branch name that no file can have, e.g. one of 255 bytes with `.lock` behind it, still has its commit.
    let attached = repository
        .reference(&reference, commit.id(), true, "checkout")
        .and_then(|_| repository.set_head(&reference));
    if attached.is_err() {
        repository.set_head_detached(commit.id()).map_err(disk("setting HEAD"))?;
    }
    repository.remote("origin", checkout.url.as_str()).map(drop).map_err(disk("naming the remote"))
}

fn damaged(error: &git2::Error) -> CheckoutError {
    CheckoutError::Theirs(format!("The repository is damaged: {}.", error.message()))
}

fn describe(progress: &Progress<'_>) -> String {
    let objects = thousands(progress.received_objects());
    format!("Received {objects} objects, {}", size(progress.received_bytes() as u64))
}

/// `1,204`
fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3.1 MiB`
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    // Good enough for people: the error of 52 bits of mantissa is far below a tenth.
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let counts = [(0, "0"), (999, "999"), (1_204, "1,204"), (1_234_567, "1,234,567")];
        counts.iter().for_each(|(count, text)| assert_eq!(thousands(*count), *text));
        let sizes = [(7, "7 bytes"), (3_250_586, "3.1 MiB"), (2 << 30, "2.0 GiB")];
        sizes.iter().for_each(|(bytes, text)| assert_eq!(size(*bytes), *text));
    }
}
