//! How URLs and `.html` files correspond (BEHAVIOR §4).
//!
//! A redirect is only ever answered when its target is no other file and leads, without a further redirect,
//! to the same file. So no two of them can follow one another, and a file whose short URL belongs to
//! something else stays reachable at its exact name.

use loggia_types::Manifest;
use loggia_types::manifest::Entry;
use loggia_types::path::SITE_PATH_LEN_MAX;

/// A path of this site, as a piece of the requested one and perhaps a slash: naming it allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'p> {
    pub base: &'p str,
    pub slash: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Resolution<'m, 'p> {
    File(Entry<'m>),
    Redirect(Place<'p>),
    Nothing,
}

/// Finds the file with the path that `pieces` make together. Allocates nothing.
pub(super) fn find<'m>(manifest: &'m Manifest, pieces: &[&str]) -> Option<Entry<'m>> {
    // No file has a longer path (SitePath), so a longer request needs no buffer.
    let mut buffer = [0; SITE_PATH_LEN_MAX];
    let mut len = 0;
    for piece in pieces {
        buffer.get_mut(len..len + piece.len())?.copy_from_slice(piece.as_bytes());
        len += piece.len();
    }
    manifest.find(std::str::from_utf8(&buffer[..len]).ok()?)
}

/// The mode `auto-trailing-slash` for a decoded path without its leading slash.
pub(super) fn auto_trailing_slash<'m, 'p>(manifest: &'m Manifest, path: &'p str) -> Resolution<'m, 'p> {
    let Some(folder) = folder_of(path) else {
        return named(manifest, path);
    };
    if let Some(entry) = find(manifest, &[folder, "index.html"]) {
        return Resolution::File(entry);
    }
    let redirect = folder.strip_suffix('/').and_then(|base| to_file(manifest, &[base, ".html"], base));
    redirect.map_or(Resolution::Nothing, Resolution::Redirect)
}

/// A path that ends in a slash, or the root.
fn folder_of(path: &str) -> Option<&str> {
    (path.is_empty() || path.ends_with('/')).then_some(path)
}

/// A path whose last segment is not empty.
fn named<'m, 'p>(manifest: &'m Manifest, path: &'p str) -> Resolution<'m, 'p> {
    let exact = manifest.find(path);
    if let Some(place) = shorter(manifest, path, exact.is_some()) {
        return Resolution::Redirect(place);
    }
    if let Some(entry) = exact.or_else(|| find(manifest, &[path, ".html"])) {
        return Resolution::File(entry);
    }
    to_folder(manifest, &[path, "/index.html"], path, "/").map_or(Resolution::Nothing, Resolution::Redirect)
}

/// The short URL of a path that spells out `index` or `.html`.
fn shorter<'p>(manifest: &Manifest, path: &'p str, is_file: bool) -> Option<Place<'p>> {
    if let Some(folder) = strip_name(path, "index") {
        // A file called `index`, without extension, is served as such.
        return if is_file { None } else { index_of(manifest, folder) };
    }
    if let Some(folder) = strip_name(path, "index.html") {
        return index_of(manifest, folder);
    }
    let base = path.strip_suffix(".html").filter(|base| folder_of(base).is_none())?;
    if is_file {
        return to_file(manifest, &[path], base);
    }
    to_folder(manifest, &[base, "/index.html"], base, "/")
}

/// `folder` (with its slash) for `folder/index.html`, or `folder` without it for `folder.html`.
fn index_of<'p>(manifest: &Manifest, folder: &'p str) -> Option<Place<'p>> {
    to_folder(manifest, &[folder, "index.html"], folder, "").or_else(|| {
        let base = folder.strip_suffix('/')?;
        to_file(manifest, &[base, ".html"], base)
    })
}

/// The part before the last segment, with its slash, if that segment is `name`.
fn strip_name<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    path.strip_suffix(name).and_then(folder_of)
}

/// A folder URL always shows the folder's `index.html`, so its existence is the whole condition.
fn to_folder<'p>(
    manifest: &Manifest,
    file: &[&str],
    base: &'p str,
    slash: &'static str,
) -> Option<Place<'p>> {
    find(manifest, file)?;
    Some(Place { base, slash })
}

/// `base` if asking for it gives exactly the file of `pieces`, at once.
fn to_file<'p>(manifest: &Manifest, pieces: &[&str], base: &'p str) -> Option<Place<'p>> {
    let file = find(manifest, pieces)?;
    match named(manifest, base) {
        Resolution::File(found) if found.path() == file.path() => Some(Place { base, slash: "" }),
        _ => None,
    }
}
