//! What answers a path that no file answers: the not-found modes and the navigation rule.

use http::header::{ACCEPT, HeaderMap, HeaderValue};
use loggia_types::Manifest;
use loggia_types::manifest::{Entry, NotFound};
use loggia_types::route::ServeSettings;

use super::html::find;
use super::is_hidden;

const PAGE: &str = "404.html";
const SHELL: &str = "index.html";

/// `Sec-Fetch-Dest` of things that a page loads (Fetch §2.2.7): for them a page of HTML is never right.
const SUBRESOURCES: &[&str] = &[
    "audio",
    "audioworklet",
    "font",
    "image",
    "json",
    "manifest",
    "paintworklet",
    "report",
    "script",
    "serviceworker",
    "sharedworker",
    "style",
    "text",
    "track",
    "video",
    "webidentity",
    "worker",
    "xslt",
];

/// Extensions of files that pages load. A dot alone tells nothing: `/user/jane.doe`, `/v1.2`.
const ASSET_EXTENSIONS: &[&str] = &[
    "7z",
    "aac",
    "apk",
    "appcache",
    "atom",
    "avi",
    "avif",
    "bin",
    "bmp",
    "br",
    "bz2",
    "cjs",
    "css",
    "csv",
    "cur",
    "dmg",
    "doc",
    "docx",
    "eot",
    "exe",
    "flac",
    "geojson",
    "gif",
    "glb",
    "gltf",
    "gz",
    "heic",
    "heif",
    "ico",
    "ics",
    "jpeg",
    "jpg",
    "js",
    "json",
    "jsonld",
    "jsx",
    "jxl",
    "less",
    "m3u8",
    "m4a",
    "m4v",
    "map",
    "md",
    "mjs",
    "mkv",
    "mov",
    "mp3",
    "mp4",
    "mpd",
    "msi",
    "odt",
    "oga",
    "ogg",
    "ogv",
    "opus",
    "otf",
    "pdf",
    "png",
    "ppt",
    "pptx",
    "rar",
    "rss",
    "rtf",
    "sass",
    "scss",
    "svg",
    "swf",
    "tar",
    "tgz",
    "tif",
    "tiff",
    "topojson",
    "ts",
    "tsv",
    "tsx",
    "ttf",
    "txt",
    "vcf",
    "vtt",
    "wasm",
    "wav",
    "webm",
    "webmanifest",
    "webp",
    "wma",
    "wmv",
    "woff",
    "woff2",
    "xls",
    "xlsx",
    "xml",
    "xsl",
    "xz",
    "yaml",
    "yml",
    "zip",
    "zst",
];

/// What stands in for the missing file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Substitute<'m> {
    /// The nearest `404.html`.
    Page(Entry<'m>),
    /// The application's `index.html`, which knows the path.
    Shell(Entry<'m>),
    Nothing,
}

/// `path` is decoded and without its leading slash.
pub(super) fn substitute<'m>(
    manifest: &'m Manifest,
    settings: &ServeSettings,
    path: &str,
    headers: &HeaderMap,
) -> Substitute<'m> {
    match mode(manifest, settings) {
        NotFound::Page => nearest_page(manifest, path).map_or(Substitute::Nothing, Substitute::Page),
        NotFound::SinglePageApplication if is_navigation(path, headers) => {
            manifest.find(SHELL).map_or(Substitute::Nothing, Substitute::Shell)
        }
        NotFound::SinglePageApplication | NotFound::None | NotFound::Auto => Substitute::Nothing,
    }
}

/// The nearest `404.html`, for requests that no application shell can answer.
pub(super) fn substitute_page<'m>(
    manifest: &'m Manifest,
    settings: &ServeSettings,
    path: &str,
) -> Option<Entry<'m>> {
    (mode(manifest, settings) == NotFound::Page).then(|| nearest_page(manifest, path)).flatten()
}

/// The deployment's own mode, else the project's, else what the files suggest. Never `Auto`.
fn mode(manifest: &Manifest, settings: &ServeSettings) -> NotFound {
    let chosen =
        [manifest.facts().not_found, settings.not_found].into_iter().find(|mode| *mode != NotFound::Auto);
    chosen.unwrap_or_else(|| {
        if manifest.has_404_page() {
            NotFound::Page
        } else if manifest.find(SHELL).is_some() {
            NotFound::SinglePageApplication
        } else {
            NotFound::None
        }
    })
}

/// `docs/x` asks `docs/404.html`, then `404.html`; no page in a folder that is not public.
fn nearest_page<'m>(manifest: &'m Manifest, path: &str) -> Option<Entry<'m>> {
    let mut folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
    loop {
        if let Some(entry) = find(manifest, &[folder, PAGE]).filter(|entry| !is_hidden(entry.path())) {
            return Some(entry);
        }
        let parent = folder.strip_suffix('/')?;
        folder = &parent[..parent.rfind('/').map_or(0, |at| at + 1)];
    }
}

/// Whether a person's browser goes to this address, rather than a page loading something from it.
fn is_navigation(path: &str, headers: &HeaderMap) -> bool {
    let fetch_dest = text(headers.get("sec-fetch-dest"));
    if fetch_dest.is_some_and(|dest| SUBRESOURCES.iter().any(|known| dest.eq_ignore_ascii_case(known))) {
        return false;
    }
    if text(headers.get("sec-fetch-mode")).is_some_and(|mode| mode.eq_ignore_ascii_case("navigate")) {
        return true;
    }
    let has_fetch_metadata = headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
    !has_fetch_metadata && (accepts_html(headers) || (accepts_anything_only(headers) && !names_asset(path)))
}

/// What the client names, and whether it takes that.
fn media_ranges(headers: &HeaderMap) -> impl Iterator<Item = (&str, bool)> {
    let lines = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(','));
    ranges.map(|range| (range.split(';').next().unwrap_or(range).trim(), !is_refused(range)))
}

/// `;q=0` means «not this» (RFC 9110 §12.4.2).
fn is_refused(range: &str) -> bool {
    let weight = range.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    weight.and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
}

fn accepts_html(headers: &HeaderMap) -> bool {
    media_ranges(headers).any(|(range, is_taken)| is_taken && range.eq_ignore_ascii_case("text/html"))
}

fn accepts_anything_only(headers: &HeaderMap) -> bool {
    media_ranges(headers).all(|(range, is_taken)| range.is_empty() || (is_taken && range == "*/*"))
}

fn names_asset(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|found| ASSET_EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok().map(str::trim)
}
