//! The few lines of shell around a user's command. They run inside the isolation, as the build user: nothing of
//! a step ever meets a shell of ours.

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

/// Shell text that sets these variables to exactly these values. Names were checked by `Step::check`.
pub(super) fn set_environment<'a>(env: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    env.into_iter()
        .map(|(name, value)| format!("export {name}={}\n", quote(value)))
        .collect()
}

/// Nothing is special between single quotes but the single quote itself.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn values_are_quoted_whatever_they_hold() {
        let cases = [
            ("plain", "export A='plain'\n"),
            ("", "export A=''\n"),
            (
                "it's $(id) `id` \\ \"x\"\nnext",
                "export A='it'\\''s $(id) `id` \\ \"x\"\nnext'\n",
            ),
        ];
        for (value, expected) in cases {
            let env = BTreeMap::from([("A".to_owned(), value.to_owned())]);
            assert_eq!(set_environment(&env), expected, "{value:?}");
        }
    }

    #[test]
    fn the_script_says_the_word_that_we_wait_for() {
        assert!(SCRIPT.starts_with(&format!("echo '{STARTED}'\n")));
    }
}
