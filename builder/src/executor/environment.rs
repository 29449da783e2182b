//! The environment variables of a step. Nothing of the builder's own environment may get in here: it holds secrets.

use std::collections::BTreeMap;

use super::step::{CACHE_DIR, HOME_DIR, Step, WORKSPACE_DIR};

/// Where the extra certificates are, inside the isolation.
pub(super) const CA_FILE: &str = "/etc/loggia-ca.pem";

/// The variables by which Node, OpenSSL, git, curl, Python and npm are told of another certificate bundle.
const CA_VARIABLES: [&str; 6] = [
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "npm_config_cafile",
];

/// The package managers' caches all live in the step's cache folder, so that it is the only thing to keep.
const CACHES: [(&str, &str); 10] = [
    ("npm_config_cache", "npm"),
    ("YARN_CACHE_FOLDER", "yarn"),
    ("YARN_GLOBAL_FOLDER", "yarn-berry"),
    ("npm_config_store_dir", "pnpm"),
    ("BUN_INSTALL_CACHE_DIR", "bun"),
    ("COREPACK_HOME", "corepack"),
    ("PIP_CACHE_DIR", "pip"),
    ("BUNDLE_USER_CACHE", "bundle"),
    ("HUGO_CACHEDIR", "hugo"),
    ("XDG_CACHE_HOME", "xdg"),
];

/// Our variables first, then the step's own, which win: they only act inside the isolation.
pub(super) fn of(step: &Step, tool_dirs: &[String], has_ca_file: bool) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    set("PATH", path(step, tool_dirs));
    set("HOME", HOME_DIR.to_owned());
    set("USER", "build".to_owned());
    set("TMPDIR", "/tmp".to_owned());
    set("LANG", "C.UTF-8".to_owned());
    set("TERM", "xterm-256color".to_owned());
    set("npm_config_update_notifier", "false".to_owned());
    set("npm_config_fund", "false".to_owned());
    set("npm_config_prefix", format!("{HOME_DIR}/.local"));
    set("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0".to_owned());
    for (name, folder) in CACHES {
        set(name, format!("{CACHE_DIR}/{folder}"));
    }
    if has_ca_file {
        for name in CA_VARIABLES {
            set(name, CA_FILE.to_owned());
        }
    }
    env.extend(step.env.clone());
    env
}

/// A project's own tools come first, as in an npm script, so that `astro build` is a command.
fn path(step: &Step, tool_dirs: &[String]) -> String {
    let mut dirs = vec![format!("{}/node_modules/.bin", step.workdir_inside().display())];
    dirs.push(format!("{WORKSPACE_DIR}/node_modules/.bin"));
    dirs.dedup();
    dirs.push(format!("{HOME_DIR}/.local/bin"));
    dirs.extend_from_slice(tool_dirs);
    dirs.push("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    dirs.join(":")
}
