//! What `/proc` says about processes.

use std::collections::HashSet;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    resident_pages: u64,
}

/// The processes that this one has started and not yet waited for.
pub(super) fn children_of(parent: i32) -> Vec<i32> {
    all().filter(|process| process.parent == parent).map(|process| process.pid).collect()
}

/// Memory that the descendants of a process hold. Pages that several share count several times.
pub(super) fn resident_bytes_below(ancestor: i32) -> u64 {
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    resident_pages_below(ancestor, &all().collect::<Vec<_>>()) * u64::try_from(page_bytes).unwrap_or(4096)
}

/// A process that is gone is what we wanted.
pub(super) fn kill_now(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

fn resident_pages_below(ancestor: i32, processes: &[Process]) -> u64 {
    let mut family = HashSet::from([ancestor]);
    let mut pages = 0;
    // Pids wrap around, so a child may be listed before its parent: repeat until nobody is new.
    loop {
        let members = family.len();
        for process in processes {
            if family.contains(&process.parent) && family.insert(process.pid) {
                pages += process.resident_pages;
            }
        }
        if family.len() == members {
            return pages;
        }
    }
}

fn all() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| read(&entry.path()))
}

/// A process may end between the listing and this.
fn read(folder: &Path) -> Option<Process> {
    folder.file_name()?.to_str()?.parse::<i32>().ok()?;
    parse(&std::fs::read_to_string(folder.join("stat")).ok()?)
}

/// `pid (name) state parent …`, where the name may hold anything, also brackets and spaces. See proc_pid_stat(5).
fn parse(stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let pid = head.split_once(' ')?.0.parse().ok()?;
    let mut fields = tail.split_ascii_whitespace();
    // Behind the name come the state (3), the parent (4), and the resident pages as field 24.
    let parent = fields.nth(1)?.parse().ok()?;
    let resident_pages = fields.nth(19)?.parse().ok()?;
    Some(Process { pid, parent, resident_pages })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_forge_its_parent() {
        let stat = "42 (a) R 1 (x) S 7 42 42 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 500 8192 321 1844 1 1 0";
        assert_eq!(parse(stat), Some(Process { pid: 42, parent: 7, resident_pages: 321 }));
    }

    #[test]
    fn memory_is_summed_over_all_descendants() {
        let process = |pid, parent, resident_pages| Process { pid, parent, resident_pages };
        let processes = [process(5, 9, 1000), process(9, 3, 100), process(3, 1, 10), process(4, 1, 1)];
        assert_eq!(resident_pages_below(3, &processes), 1100);
        assert_eq!(resident_pages_below(1, &processes), 1111);
        assert_eq!(resident_pages_below(77, &processes), 0);
    }

    #[test]
    fn our_own_test_runner_has_us_as_a_child() {
        let us = i32::try_from(std::process::id()).expect("pids are below 2^22");
        assert!(children_of(nix::unistd::getppid().as_raw()).contains(&us));
    }
}
