//! What the numbers were measured on.

use std::path::Path;
use std::process::Command;

/// Access logs of all contenders.
pub(crate) const LOGS: [&str; 3] = ["edge-access.log", "nginx-access.log", "caddy-access.log"];

/// A minute of requests fills gigabytes. They are appended to, so an emptied log goes on at its start.
pub(crate) fn empty_logs(dir: &Path) -> std::io::Result<()> {
    for log in LOGS {
        let path = dir.join(log);
        if path.exists() {
            std::fs::File::options().write(true).open(path)?.set_len(0)?;
        }
    }
    Ok(())
}

/// Kernel, processor and how many of them.
pub(crate) fn describe() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("Linux {}, {model}, {cores} cores", first_line("uname", &["--kernel-release"]))
}

/// What a program says about itself; some say it on standard error.
pub(crate) fn first_line(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else { return "not installed".to_owned() };
    let text = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&text);
    // Some align their columns.
    words.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
