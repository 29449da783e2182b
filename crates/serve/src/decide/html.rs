//! How URLs and `.html` files correspond: the four modes of HTML handling.
//!
//! A redirect is only ever answered when its target is no other file and leads, without a further redirect,
//! to the same file. So no two of them can follow one another, and a file whose short URL belongs to
//! something else stays reachable at its exact name.

use loggia_types::Manifest;
use loggia_types::manifest::{Entry, HtmlHandling};
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

/// What a decoded path without its leading slash shows.
pub(super) fn resolve<'m, 'p>(
    manifest: &'m Manifest,
    mode: HtmlHandling,
    path: &'p str,
) -> Resolution<'m, 'p> {
    if path.is_empty() {
        return file(manifest.find("index.html"));
    }
    let pages = Pages { manifest, mode };
    match mode {
        HtmlHandling::AutoTrailingSlash => pages.auto(path),
        HtmlHandling::ForceTrailingSlash => pages.force(path),
        HtmlHandling::DropTrailingSlash => pages.drop(path),
        HtmlHandling::None => file(manifest.find(path)),
    }
}

/// As [`resolve`] for a path that nobody sees: what the visitor would get at the end of the redirect.
pub(super) fn resolve_silently<'m>(
    manifest: &'m Manifest,
    mode: HtmlHandling,
    path: &str,
) -> Option<Entry<'m>> {
    match resolve(manifest, mode, path) {
        Resolution::File(entry) => Some(entry),
        Resolution::Redirect(place) => Pages { manifest, mode }.shown_at(place),
        Resolution::Nothing => None,
    }
}

fn file<'m>(found: Option<Entry<'m>>) -> Resolution<'m, 'static> {
    found.map_or(Resolution::Nothing, Resolution::File)
}

/// What a path spells out.
enum Shape<'p> {
    /// `base/`
    Folder(&'p str),
    /// `base/index`; the base of `index` itself is empty.
    Index(&'p str),
    /// `base/index.html`
    IndexHtml(&'p str),
    /// `base.html`
    Html(&'p str),
    Plain,
}

fn shape(path: &str) -> Shape<'_> {
    let below = |name: &str| {
        let folder = path.strip_suffix(name)?;
        if folder.is_empty() { Some("") } else { folder.strip_suffix('/') }
    };
    if let Some(base) = path.strip_suffix('/') {
        Shape::Folder(base)
    } else if let Some(base) = below("index") {
        Shape::Index(base)
    } else if let Some(base) = below("index.html") {
        Shape::IndexHtml(base)
    } else {
        let base = path.strip_suffix(".html").filter(|base| !base.is_empty() && !base.ends_with('/'));
        base.map_or(Shape::Plain, Shape::Html)
    }
}

/// The pages of a site, in one of the modes that have any.
#[derive(Clone, Copy)]
struct Pages<'m> {
    manifest: &'m Manifest,
    mode: HtmlHandling,
}

impl<'m> Pages<'m> {
    fn auto<'p>(self, path: &'p str) -> Resolution<'m, 'p> {
        let exact = self.manifest.find(path);
        let spelled_out = match shape(path) {
            Shape::Folder(base) => {
                return self.index(base).map_or_else(
                    || self.redirect(self.page(base), base, "").unwrap_or(Resolution::Nothing),
                    Resolution::File,
                );
            }
            Shape::Index(_) if exact.is_some() => None,
            Shape::Index(base) | Shape::IndexHtml(base) => self.to_folder_or_page(base),
            Shape::Html(base) if exact.is_some() => self.redirect(exact, base, ""),
            Shape::Html(base) => self.redirect(self.index(base), base, "/"),
            Shape::Plain => None,
        };
        spelled_out
            .or_else(|| exact.or_else(|| self.page(path)).map(Resolution::File))
            .or_else(|| self.redirect(self.index(path), path, "/"))
            .unwrap_or(Resolution::Nothing)
    }

    /// The folder's own URL, else that of the page with the folder's name.
    fn to_folder_or_page<'p>(self, base: &'p str) -> Option<Resolution<'m, 'p>> {
        self.redirect(self.index(base), base, "/").or_else(|| self.redirect(self.page(base), base, ""))
    }

    fn force<'p>(self, path: &'p str) -> Resolution<'m, 'p> {
        let exact = self.manifest.find(path);
        let to_folder = |entry, base| self.redirect(entry, base, "/");
        let spelled_out = match shape(path) {
            Shape::Folder(base) => return file(self.index(base).or_else(|| self.page(base))),
            Shape::Index(_) if exact.is_some() => None,
            Shape::Index(base) => {
                to_folder(self.index(base), base).or_else(|| to_folder(self.page(base), base))
            }
            Shape::IndexHtml(base) if exact.is_some() => to_folder(exact, base),
            Shape::IndexHtml(base) => to_folder(self.page(base), base),
            Shape::Html(base) if exact.is_some() => to_folder(exact, base),
            Shape::Html(base) => to_folder(self.index(base), base),
            Shape::Plain => None,
        };
        spelled_out
            .or_else(|| exact.map(Resolution::File))
            .or_else(|| to_folder(self.page(path), path))
            .or_else(|| to_folder(self.index(path), path))
            .unwrap_or(Resolution::Nothing)
    }

    fn drop<'p>(self, path: &'p str) -> Resolution<'m, 'p> {
        let exact = self.manifest.find(path);
        let without_slash = |entry, base| self.redirect(entry, base, "");
        let page_or_index =
            |base| without_slash(self.page(base), base).or_else(|| without_slash(self.index(base), base));
        let spelled_out = match shape(path) {
            Shape::Folder(base) => return page_or_index(base).unwrap_or(Resolution::Nothing),
            Shape::Index(_) if exact.is_some() => None,
            Shape::Index(base) => page_or_index(base),
            Shape::IndexHtml(base) if exact.is_some() => without_slash(exact, base),
            Shape::IndexHtml(base) => without_slash(self.page(base), base),
            Shape::Html(base) if exact.is_some() => without_slash(exact, base),
            Shape::Html(base) => without_slash(self.index(base), base),
            Shape::Plain => None,
        };
        spelled_out
            .or_else(|| exact.or_else(|| self.page(path)).or_else(|| self.index(path)).map(Resolution::File))
            .unwrap_or(Resolution::Nothing)
    }

    /// `base/index.html`; that of the root for no base.
    fn index(self, base: &str) -> Option<Entry<'m>> {
        if base.is_empty() {
            self.manifest.find("index.html")
        } else {
            find(self.manifest, &[base, "/index.html"])
        }
    }

    /// `base.html`
    fn page(self, base: &str) -> Option<Entry<'m>> {
        if base.is_empty() { None } else { find(self.manifest, &[base, ".html"]) }
    }

    /// A redirect to the place, if that shows exactly `entry`, at once.
    fn redirect<'p>(
        self,
        entry: Option<Entry<'m>>,
        base: &'p str,
        slash: &'static str,
    ) -> Option<Resolution<'m, 'p>> {
        let entry = entry?;
        // The root is written by its slash alone.
        let place = Place { base, slash: if base.is_empty() { "" } else { slash } };
        let shown = self.shown_at(place)?;
        (shown.path() == entry.path()).then_some(Resolution::Redirect(place))
    }

    /// The file that the place shows without a redirect.
    fn shown_at(self, place: Place<'_>) -> Option<Entry<'m>> {
        if !place.slash.is_empty() {
            // A slash is only ever added in the two modes that have pages there.
            return match self.mode {
                HtmlHandling::ForceTrailingSlash => self.index(place.base).or_else(|| self.page(place.base)),
                _ => self.index(place.base),
            };
        }
        match resolve(self.manifest, self.mode, place.base) {
            Resolution::File(entry) => Some(entry),
            Resolution::Redirect(_) | Resolution::Nothing => None,
        }
    }
}
