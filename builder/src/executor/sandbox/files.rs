//! What a step sees of this machine's files.

use std::fs;
use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

use super::User;
use super::network::RESOLVER;
use crate::executor::script::SHELL;
use crate::executor::step::{CACHE_DIR, HOME_DIR, Step, WORKSPACE_DIR};
use crate::executor::{ExecutorConfig, environment};

/// The build user's number inside a user namespace. Outside it is the builder's own.
pub(super) const INSIDE_UID: u32 = 1000;

/// Folders that are links on a machine with a merged `/usr`, and real ones elsewhere.
const SYSTEM_DIRS: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What of `/etc` tools need to run: certificates, the chosen alternatives, the loader's table, fonts, the time zone.
const ETC: [&str; 12] = [
    "ssl",
    "ca-certificates",
    "pki",
    "crypto-policies",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "fonts",
    "localtime",
    "mime.types",
    "os-release",
];

/// Files that a sandbox sees in place of this machine's own.
#[derive(Debug)]
pub(super) struct SystemFiles {
    folder: TempDir,
}

impl SystemFiles {
    pub(super) fn write(user: User) -> io::Result<Self> {
        let folder = TempDir::with_prefix("loggia-sandbox-")?;
        let (uid, gid) = inside_ids(user);
        let files = [
            ("passwd", format!("root:x:0:0:::\nbuild:x:{uid}:{gid}:build:{HOME_DIR}:{SHELL}\n")),
            ("group", format!("root:x:0:\nbuild:x:{gid}:\n")),
            ("hosts", "127.0.0.1 localhost build\n::1 localhost\n".to_owned()),
            ("resolv.conf", format!("nameserver {RESOLVER}\n")),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ];
        for (name, text) in files {
            fs::write(folder.path().join(name), text)?;
        }
        Ok(Self { folder })
    }

    fn names() -> [&'static str; 5] {
        ["passwd", "group", "hosts", "resolv.conf", "nsswitch.conf"]
    }
}

fn inside_ids(user: User) -> (u32, u32) {
    match user {
        User::Root { uid, gid } => (uid, gid),
        User::Unprivileged => (INSIDE_UID, INSIDE_UID),
    }
}

/// bwrap's arguments for the whole file system of a step: nothing of this machine is in it that is not named here.
pub(super) fn arguments(config: &ExecutorConfig, files: &SystemFiles, step: &Step) -> Vec<String> {
    let mut argv: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    let size = step.limits.memory_bytes.to_string();
    add(&["--tmpfs", "/", "--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/home"]);
    add(&["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/opt", "/opt"]);
    for dir in SYSTEM_DIRS {
        match fs::read_link(dir) {
            Ok(target) => add(&["--symlink", &target.display().to_string(), dir]),
            Err(_) => add(&["--ro-bind-try", dir, dir]),
        }
    }
    for name in ETC {
        add(&["--ro-bind-try", &format!("/etc/{name}"), &format!("/etc/{name}")]);
    }
    for name in SystemFiles::names() {
        add(&["--ro-bind", &files.folder.path().join(name).display().to_string(), &format!("/etc/{name}")]);
    }
    if let Some(file) = &config.ca_file {
        add(&["--ro-bind", &file.display().to_string(), environment::CA_FILE]);
    }
    add(&["--proc", "/proc", "--dev", "/dev"]);
    // What is written there counts as the step's memory.
    add(&["--perms", "1777", "--size", &size, "--tmpfs", "/tmp"]);
    add(&["--perms", "1777", "--size", &size, "--tmpfs", HOME_DIR]);
    for dir in &config.toolchain_dirs {
        // bwrap would make the folders above for root alone.
        let above: Vec<_> = dir.ancestors().skip(1).filter(|above| above.parent().is_some()).collect();
        for above in above.into_iter().rev() {
            add(&["--perms", "0755", "--dir", &above.display().to_string()]);
        }
        let dir = dir.display().to_string();
        add(&["--ro-bind", &dir, &dir]);
    }
    for dir in hidden(config) {
        add(&["--tmpfs", &dir.display().to_string()]);
    }
    add(&["--bind", &step.workspace.display().to_string(), WORKSPACE_DIR]);
    add(&["--bind", &step.cache.display().to_string(), CACHE_DIR]);
    add(&["--remount-ro", "/", "--chdir", "/"]);
    argv
}

/// Private keys, and what the operator names, if it is below a folder that the sandbox shows.
fn hidden(config: &ExecutorConfig) -> Vec<PathBuf> {
    let shown = ["/usr", "/opt", "/etc/ssl", "/etc/pki"].map(PathBuf::from);
    let is_shown =
        |dir: &PathBuf| shown.iter().chain(&config.toolchain_dirs).any(|above| dir.starts_with(above));
    let keys = ["/etc/ssl/private", "/etc/pki/tls/private"].map(PathBuf::from);
    let dirs = keys.into_iter().chain(config.hidden_dirs.iter().cloned());
    dirs.filter(|dir| is_shown(dir) && dir.is_dir()).collect()
}
