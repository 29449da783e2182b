//! What people are told when their build's command did not succeed: what happened, and what to do. Pure.

use std::time::Duration;

use crate::executor::Exit;

/// Shells report it for a program that is not there (POSIX).
const NOT_FOUND: i32 = 127;

/// 128 + SIGKILL, as shells report it.
const KILLED: i32 = 137;

/// `None`: it succeeded, or was stopped from outside.
pub(super) fn of_exit(exit: &Exit, command: &str, total_secs: u64) -> Option<(String, Option<i32>)> {
    // Commands may be long; the log has all of it.
    let command = shortened(command);
    match exit {
        Exit::Success | Exit::Cancelled => None,
        Exit::TimedOut { .. } => Some((out_of_time(total_secs), None)),
        Exit::OutOfMemory { limit_bytes } => Some((
            format!(
                "The build needed more than {} of memory while it ran `{command}`. Let it use less (for Node.js: \
                 NODE_OPTIONS=--max-old-space-size), or ask the operator for a higher limit.",
                memory(*limit_bytes)
            ),
            None,
        )),
        Exit::Failure { exit_code } => {
            let hint = match *exit_code {
                NOT_FOUND => " A program was not found: add it to the project's dependencies.",
                KILLED => " It was killed, often for want of memory.",
                _ => " The log shows why.",
            };
            Some((format!("`{command}` failed with exit code {exit_code}.{hint}"), Some(*exit_code)))
        }
    }
}

pub(super) fn out_of_time(total_secs: u64) -> String {
    let limit = duration(Duration::from_secs(total_secs));
    format!(
        "The build ran longer than {limit}, which is its limit. Make it faster, or ask the operator for a higher limit."
    )
}

fn shortened(command: &str) -> String {
    const CHARS_MAX: usize = 120;
    let line = command.lines().next().unwrap_or_default();
    match line.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

fn memory(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match bytes {
        bytes if bytes >= 1024 * MIB && bytes.is_multiple_of(1024 * MIB) => {
            format!("{} GiB", bytes / (1024 * MIB))
        }
        bytes => format!("{} MiB", bytes / MIB),
    }
}

fn duration(length: Duration) -> String {
    let plural = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match length.as_secs() {
        secs if secs >= 60 && secs.is_multiple_of(60) => plural(secs / 60, "minute"),
        secs => plural(secs, "second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_command_has_a_sentence() {
        let cases = [
            (Exit::Success, None),
            (Exit::Cancelled, None),
            (
                Exit::Failure { exit_code: 1 },
                Some("`npm run build` failed with exit code 1. The log shows why."),
            ),
            (
                Exit::Failure { exit_code: 127 },
                Some(
                    "`npm run build` failed with exit code 127. A program was not found: add it to the project's dependencies.",
                ),
            ),
            (
                Exit::TimedOut { after: Duration::from_secs(3) },
                Some(
                    "The build ran longer than 20 minutes, which is its limit. Make it faster, or ask the operator for a higher limit.",
                ),
            ),
        ];
        for (exit, expected) in cases {
            let told = of_exit(&exit, "npm run build", 1200).map(|(reason, _)| reason);
            assert_eq!(told.as_deref(), expected, "{exit:?}");
        }
        let memory = of_exit(&Exit::OutOfMemory { limit_bytes: 512 << 20 }, "vite build", 60);
        assert!(memory.is_some_and(|(reason, _)| reason.starts_with("The build needed more than 512 MiB of memory")));
    }

    #[test]
    fn limits_are_written_for_people() {
        assert_eq!((memory(2 << 30).as_str(), memory(1536 << 20).as_str()), ("2 GiB", "1536 MiB"));
        assert_eq!(duration(Duration::from_secs(90)), "90 seconds");
        assert_eq!(duration(Duration::from_secs(60)), "1 minute");
        assert_eq!(shortened(&"x".repeat(200)).chars().count(), 121);
    }
}
