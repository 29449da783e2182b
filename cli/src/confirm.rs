//! Before something is lost.

use std::io::{IsTerminal, Write};

use anyhow::bail;

/// Has the name typed, unless `yes` was said on the command line. A program that did not say it is refused.
pub(crate) fn ask(yes: bool, question: &str, name: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("this cannot be asked without a terminal; say --yes if you mean it");
    }
    eprint!("{question} Type {name} to go on: ");
    std::io::stderr().flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() != name {
        bail!("that was not {name}; nothing was changed");
    }
    Ok(())
}
