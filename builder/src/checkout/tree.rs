//! Looks at a commit's tree before a file of it is written: how much it is, and whether its names are what git
//! itself would accept. libgit2 checks names as well; a tree that it would half write is not begun.

use std::collections::HashSet;

use git2::{ObjectType, Oid, Repository, Tree};

use super::CheckoutError;
use super::fetch::{Watch, size};

/// The kernel's limit for a path is 4,096 bytes; the workspace's own path needs some of them.
const PATH_LEN_MAX: usize = 3500;

/// Links and submodules have modes of their own (git's `S_IFLNK` and `S_IFGITLINK`).
const MODE_SUBMODULE: i32 = 0o160_000;

#[derive(Debug, Default)]
pub(super) struct TreeFacts {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) submodules: usize,
}

/// Without recursion, and bounded by the number of entries: ten nested trees of ten equal entries are ten objects
/// and ten thousand million files.
pub(super) fn check(
    repository: &Repository,
    root: &Tree<'_>,
    watch: &Watch,
) -> Result<TreeFacts, CheckoutError> {
    let mut facts = TreeFacts::default();
    let mut folders = 0;
    let mut waiting = vec![(root.id(), 0_usize)];
    while let Some((id, path_len)) = waiting.pop() {
        watch.check()?;
        folders += 1;
        let tree = repository.find_tree(id).map_err(|error| damaged(&error))?;
        let mut names = HashSet::with_capacity(tree.len());
        for entry in &tree {
            let name = entry.name_bytes();
            check_name(name, path_len)?;
            if !names.insert(name.to_vec()) {
                return Err(theirs(&format!("has {} twice in one folder", String::from_utf8_lossy(name))));
            }
            match entry.kind() {
                Some(ObjectType::Tree) => waiting.push((entry.id(), path_len + name.len() + 1)),
                _ if entry.filemode() == MODE_SUBMODULE => facts.submodules += 1,
                _ => add_file(repository, entry.id(), name, &mut facts, watch)?,
            }
        }
        // Folders count as well: a tree of nothing but folders takes as long to write.
        if facts.files + folders + waiting.len() > watch.limits.files {
            return Err(theirs(&format!("has more than {} files and folders", watch.limits.files)));
        }
    }
    Ok(facts)
}

fn check_name(name: &[u8], path_len: usize) -> Result<(), CheckoutError> {
    let shown = || String::from_utf8_lossy(name).into_owned();
    let is_hostile = matches!(name, b"" | b"." | b"..")
        || name.eq_ignore_ascii_case(b".git")
        || name.iter().any(|byte| matches!(byte, b'/' | 0));
    if is_hostile {
        return Err(theirs(&format!("holds a file with the name {:?}, which git does not allow", shown())));
    }
    if path_len + name.len() > PATH_LEN_MAX {
        return Err(theirs(&format!(
            "holds a path of more than {PATH_LEN_MAX} bytes, which ends in {}",
            shown()
        )));
    }
    Ok(())
}

fn add_file(
    repository: &Repository,
    id: Oid,
    name: &[u8],
    facts: &mut TreeFacts,
    watch: &Watch,
) -> Result<(), CheckoutError> {
    let odb = repository.odb().map_err(|error| damaged(&error))?;
    let (bytes, _) = odb.read_header(id).map_err(|error| damaged(&error))?;
    let bytes = bytes as u64;
    facts.files += 1;
    facts.bytes = facts.bytes.saturating_add(bytes);
    if bytes > watch.limits.file_bytes {
        let (found, limit) = (size(bytes), size(watch.limits.file_bytes));
        return Err(theirs(&format!(
            "holds {}, a file of {found}; at most {limit} are allowed",
            String::from_utf8_lossy(name)
        )));
    }
    if facts.bytes > watch.limits.tree_bytes {
        return Err(theirs(&format!("holds more than {}", size(watch.limits.tree_bytes))));
    }
    Ok(())
}

fn theirs(what: &str) -> CheckoutError {
    CheckoutError::Theirs(format!("The repository {what}."))
}

fn damaged(error: &git2::Error) -> CheckoutError {
    CheckoutError::Theirs(format!("The repository is damaged: {}.", error.message()))
}
