//! The files in which a project says how it is served. The platform reads them and never shows them.

pub const REDIRECTS_FILE: &str = "_redirects";
pub const HEADERS_FILE: &str = "_headers";
pub const LOGGIA_FILE: &str = "loggia.toml";
pub const NETLIFY_FILE: &str = "netlify.toml";

/// Files whose content counts, at the top of the output folder.
pub const NAMES: [&str; 4] = [REDIRECTS_FILE, HEADERS_FILE, LOGGIA_FILE, NETLIFY_FILE];

/// Those of them that may also lie in the project's root folder, above its output.
pub const ROOT_NAMES: [&str; 2] = [LOGGIA_FILE, NETLIFY_FILE];

/// It is enough that one of them is there: the site comes from Cloudflare.
pub const WRANGLER_NAMES: [&str; 3] = ["wrangler.toml", "wrangler.json", "wrangler.jsonc"];

/// Whether a path of a site is such a file. `_headers` can hold passwords.
pub fn is_configuration(path: &str) -> bool {
    NAMES.contains(&path) || WRANGLER_NAMES.contains(&path)
}
