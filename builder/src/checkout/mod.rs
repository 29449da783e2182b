//! Gets one commit of a repository into a folder, without trusting the repository, its server or its history.
//!
//! https only (http for hosts that the operator names), no credentials, no submodules, no hooks, no redirects to
//! other hosts. Whose fault a failure is decides what happens next, so each is sorted: *theirs* fails the build with
//! a sentence for the person who pushed, *ours* gives the build back for another try.

mod errors;
mod fetch;
mod tree;

use std::path::PathBuf;

use loggia_types::{BranchName, CommitSha, RepositoryUrl};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What is checked out, and where to.
#[derive(Debug, Clone)]
pub struct Checkout {
    pub url: RepositoryUrl,
    pub branch: BranchName,
    pub commit: CommitSha,
    /// An empty folder.
    pub into: PathBuf,
}

/// The operator's exceptions.
#[derive(Debug, Clone, Default)]
pub struct GitPolicy {
    /// `host` or `host:port` of servers that are spoken to without TLS.
    pub http_hosts: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct CheckoutLimits {
    /// What the server may send.
    pub transfer_bytes: usize,
    pub objects: usize,
    /// What the commit's tree may hold.
    pub files: usize,
    pub tree_bytes: u64,
    /// libgit2 holds a file in memory while it writes it.
    pub file_bytes: u64,
}

impl Default for CheckoutLimits {
    fn default() -> Self {
        Self {
            // 2 GiB: the largest monorepos of websites have 1 GiB at depth 1.
            transfer_bytes: 2 << 30,
            // Twenty times what a tree may hold, for a history that has to be fetched whole.
            objects: 6_000_000,
            // Three times the files of the largest deployment.
            files: 300_000,
            tree_bytes: 8 << 30,
            // Forges stop at 100 MB a file.
            file_bytes: 512 << 20,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The repository's or its owner's doing; another try changes nothing.
    #[error("{0}")]
    Theirs(String),
    /// The network's or this machine's doing.
    #[error("{0}")]
    Ours(String),
    #[error("the checkout was stopped")]
    Stopped,
}

/// Checks out and returns the commit's tree in the folder, with a `.git` that holds no credential.
///
/// `progress` takes a line now and then. The work runs in a thread of its own: libgit2 may wait for a silent server
/// for as long as that likes, and then neither the build nor the end of this process waits with it.
pub async fn fetch(
    checkout: Checkout,
    policy: &GitPolicy,
    limits: CheckoutLimits,
    stop: &CancellationToken,
    progress: impl Fn(&str),
) -> Result<(), CheckoutError> {
    check_transport(&checkout, policy)?;
    // A thread cannot wait for room; it sends a line every two seconds.
    let (lines, mut received) = mpsc::unbounded_channel();
    let (done, mut ended) = oneshot::channel();
    // A thread that is left behind must not go on once it hears from the server again.
    let abandoned = stop.child_token();
    let _abandon = abandoned.clone().drop_guard();
    let work = move || {
        let result = fetch::run(&checkout, &fetch::Watch::new(limits, abandoned, lines));
        // Nobody waits any more.
        let _ = done.send(result);
    };
    let thread = std::thread::Builder::new().name("checkout".to_owned()).spawn(work);
    thread.map_err(|cause| CheckoutError::Ours(format!("starting a thread for the checkout: {cause}")))?;
    loop {
        tokio::select! {
            biased;
            Some(line) = received.recv() => progress(&line),
            result = &mut ended => {
                return result.unwrap_or_else(|_| Err(CheckoutError::Ours("the checkout's thread panicked".to_owned())));
            }
            () = stop.cancelled() => return Err(CheckoutError::Stopped),
        }
    }
}

fn check_transport(checkout: &Checkout, policy: &GitPolicy) -> Result<(), CheckoutError> {
    let authority = checkout.url.authority();
    let is_allowed = || policy.http_hosts.iter().any(|host| host.eq_ignore_ascii_case(authority));
    if !checkout.url.is_https() && !is_allowed() {
        return Err(CheckoutError::Theirs(format!(
            "{} is not encrypted: use its https URL, or ask the operator to add {authority} to LOGGIA_GIT_HTTP_HOSTS.",
            checkout.url
        )));
    }
    if checkout.commit.as_str().len() != 40 {
        return Err(CheckoutError::Theirs(
            "The repository uses SHA-256 object names, which are not supported yet.".to_owned(),
        ));
    }
    Ok(())
}
