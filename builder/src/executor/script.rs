//! The few lines of shell around a user's command. They run inside the isolation, as the build user: nothing of
//! a step ever meets a shell of ours.

use std::collections::BTreeMap;

use super::step::Limits;

/// The programs that run the script come from the image or from the sandbox's read-only `/usr`.
pub(super) const SHELL: &str = "/bin/sh";

/// What the script prints first, on a line of its own, so that we know that the isolation stands. Everything before
/// it is a message of our own tools and means that it does not.
pub(super) const STARTED: &str = "loggia: step started";

/// `$1` is the folder and `$2` the command. The script waits for the end of its input before it goes on: by then
/// the firewall stands and the limits hold. The input itself is shell text that sets the environment, which
/// keeps secrets out of the argument vectors that every user of the machine can list.
///
/// It stays behind as the parent of the command instead of becoming it: as the first process of the sandbox it
/// collects orphans, which Node would not.
pub(super) const SCRIPT: &str = concat!(
    "echo 'loggia: step started'\n",
    "eval \"$(cat)\"\n",
    "exec </dev/null\n",
    "cd -- \"$1\" || exit 1\n",
    "/bin/sh -c -- \"$2\"\n",
    "exit $?\n",
);

/// What the script reads: the limits of single processes, then variables that get exactly these values. Names were
/// checked by `Step::check`.
///
/// Limits are set from within because nobody outside may raise them where hard limits are low already; that is then
/// what a step has to live with. Once lower, it cannot raise them again.
pub(super) fn prologue(limits: &Limits, env: &BTreeMap<String, String>) -> String {
    // POSIX counts file sizes in blocks of 512 bytes.
    let blocks = limits.file_size_bytes / 512;
    let mut text = format!("ulimit -c 0\nulimit -f {blocks}\nulimit -n {} 2>/dev/null\n", limits.open_files);
    text.extend(env.iter().map(|(name, value)| format!("export {name}={}\n", quote(value))));
    text
}

/// Nothing is special between single quotes but the single quote itself.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_whatever_they_hold() {
        let cases = [
            ("plain", "'plain'"),
            ("", "''"),
            ("it's $(id) `id` \\ \"x\"\nnext", "'it'\\''s $(id) `id` \\ \"x\"\nnext'"),
        ];
        for (value, expected) in cases {
            assert_eq!(quote(value), expected, "{value:?}");
        }
    }

    #[test]
    fn limits_come_before_variables() {
        let limits = Limits { open_files: 100, file_size_bytes: 1_000_000, ..Limits::default() };
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let expected = "ulimit -c 0\nulimit -f 1953\nulimit -n 100 2>/dev/null\nexport A='1'\n";
        assert_eq!(prologue(&limits, &env), expected);
    }

    #[test]
    fn the_script_says_the_word_that_we_wait_for() {
        assert!(SCRIPT.starts_with(&format!("echo '{STARTED}'\n")));
    }
}
