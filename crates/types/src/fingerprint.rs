//! Whether a file's name carries a hash of its content, so that the name may be cached for a year.
//!
//! A false «yes» pins a stale file in every visitor's browser, a false «no» costs one revalidation, so the
//! test is strict; outside a bundler's own folder it wants more.

use std::collections::HashSet;

/// Folders that belong to a framework, which puts nothing there whose path does not change with its content: the
/// hash may also be in the name of a folder below, or the name be nothing else. SvelteKit, Astro, Next.
const IMMUTABLE_FOLDERS: &[&str] = &["_app/immutable/", "_astro/", "_next/static/"];

/// Folders in which a bundler puts hashed names, beside others: Vite, Nuxt, CRA, Parcel.
const HASHED_FOLDERS: &[&str] = &["assets/", "_nuxt/", "static/js/", "static/css/", "static/media/"];

/// What people share the address of; its name never stands for its content.
const PAGES: &[&str] = &["html", "htm", "xhtml"];

/// Data that pages ask for by a name that they know, beside [`PAGES`].
const DOCUMENTS: &[&str] = &["json", "xml", "rss", "atom", "webmanifest"];

/// Service workers, without their hash: a browser that can't see a new one keeps the old site for good.
const SERVICE_WORKERS: &[&str] = &["sw", "serviceworker", "ngswworker", "firebasemessagingsw"];

/// Bundlers write 8 (Vite, Rollup, webpack) to 64 (a whole SHA-256) characters.
const HASH_LEN: std::ops::RangeInclusive<usize> = 8..=64;

pub fn is_fingerprinted(path: &str) -> bool {
    let (folder, name) =
        path.rsplit_once('/').map_or(("", path), |(_, name)| (&path[..path.len() - name.len()], name));
    if has_extension(name, PAGES) {
        return false;
    }
    let is_in = |folders: &[&str]| {
        folders.iter().any(|known| folder.starts_with(known) || folder.contains(&format!("/{known}")))
    };
    if is_in(IMMUTABLE_FOLDERS) {
        return true;
    }
    let place = Place { bundler: is_in(HASHED_FOLDERS), code: has_extension(name, CODE) };
    // `index-DiwrgTda.js`, `main.3f2a91bc.chunk.js`, `3f2a91bc.js`: any part between dots may end in a hash.
    name.split('.').enumerate().any(|(at, part)| ends_in_hash(part, at == 0, place))
}

/// Whether browsers have to ask again for a file, whatever it is called: pages, data and service workers.
pub fn is_revalidated(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    has_extension(name, PAGES) || has_extension(name, DOCUMENTS) || is_service_worker(name)
}

/// `sw.js`, `service-worker.3f2a91bc.js`, `sw-3f2a91bc.js`.
fn is_service_worker(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let unhashed = match stem.rsplit_once('-') {
        Some((before, tail)) if ends_in_hash(tail, true, Place::default()) => before,
        _ => stem,
    };
    let letters: String = unhashed.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    has_extension(name, &["js", "mjs"])
        && SERVICE_WORKERS.iter().any(|known| letters.eq_ignore_ascii_case(known))
}

fn has_extension(name: &str, known: &[&str]) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|found| known.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// What bundlers write.
const CODE: &[&str] = &["js", "mjs", "css", "map"];

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// In a folder where hashed names are usual.
    bundler: bool,
    code: bool,
}

fn ends_in_hash(part: &str, first: bool, place: Place) -> bool {
    // Base64url hashes may hold `-` and `_` themselves, so take Vite's fixed eight characters first.
    let fixed = part.len().checked_sub(8).and_then(|at| part.get(at..).map(|tail| (at, tail)));
    if let Some((at, tail)) = fixed
        && match at {
            // `start.BNgT2_4a.js`: a part of its own, after the name.
            0 => !first,
            _ => matches!(part.as_bytes()[at - 1], b'-' | b'_'),
        }
        && (looks_random(tail, place.bundler) || place.code && (is_hex(tail) || is_base32(tail)))
    {
        return true;
    }
    let tail = part.rsplit(['-', '_']).next().unwrap_or(part);
    // A name that is nothing but a hash has to look like one anywhere: `assets/BrandLogo.svg`.
    let is_named = !(first && tail.len() == part.len());
    HASH_LEN.contains(&tail.len())
        && (looks_random(tail, place.bundler && is_named) || place.code && is_named && is_hex(tail))
}

/// `deadbeef` behind a name: no word of eight letters and more has only these.
fn is_hex(text: &str) -> bool {
    let digits: HashSet<u8> = text.bytes().collect();
    text.bytes().all(|byte| matches!(byte, b'a'..=b'f' | b'0'..=b'9'))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && digits.len() >= 4
}

/// esbuild and Angular write eight characters of RFC 4648 base32, as in `main-FFHMD2TL.js`. `VERSION2` has its
/// digits at the end.
fn is_base32(text: &str) -> bool {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
        && digits(text) < text.len()
        && digits(text.trim_end_matches(|c: char| c.is_ascii_digit())) > 0
}

/// Words have few changes between letters, capitals and digits; hashes have many.
fn looks_random(text: &str, bundler: bool) -> bool {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Lower,
        Upper,
        Digit,
        Mark,
    }
    let mut classes = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        classes.push(match byte {
            b'a'..=b'z' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            b'0'..=b'9' => Class::Digit,
            b'-' | b'_' => Class::Mark,
            _ => return false,
        });
    }
    let count = |class| classes.iter().filter(|c| **c == class).count();
    let (digits, letters) = (count(Class::Digit), count(Class::Lower) + count(Class::Upper));
    let hex =
        text.bytes().all(|b| b.is_ascii_hexdigit()) && (count(Class::Lower) == 0 || count(Class::Upper) == 0);
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // `20240131b` and `decade99` change once.
    if hex && digits >= 2 && letters >= 1 && changes >= 2 {
        return true;
    }
    // `DiwrgTda` changes 3 times, `version2` once, `MacBook2` 4 times. Without a digit it has to be as long as Vite
    // makes them: `HomeBanner`.
    if bundler {
        changes >= 2 && letters >= 4 && (digits > 0 || text.len() == 8)
    } else {
        // `iPhone15Pro` changes 5 times; half of all places and more is chance.
        changes * 2 > text.len() && digits > 0 && count(Class::Upper) > 1 && count(Class::Lower) > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_are_told_from_words() {
        let cases = [
            ("assets/index-DiwrgTda.js", true),
            ("assets/index-C-x3_Kd2.css", true),
            ("assets/react-CHdo91hT.svg", true),
            ("_astro/hoisted.D7kAz3xQ.js", true),
            ("_app/immutable/entry/start.BNgT2_4a.js", true),
            ("static/js/main.3f2a91bc.chunk.js", true),
            ("main.3f2a91bc9d8e7f60.js", true),
            ("sub/assets/index-DiwrgTda.js", true),
            ("3f2a91bc9d8e7f603f2a91bc9d8e7f60.png", true),
            ("_astro/hoisted.js", true),
            ("_app/immutable/nodes/0.js", true),
            ("_next/static/chunks/webpack.js", true),
            ("docs/_next/static/Xa81/_buildManifest.js", true),
            ("_nuxt/entry.CjRTfYKp.js", true),
            ("_nuxt/builds/latest.json", false),
            ("_app/version.json", false),
            ("polyfills-FFHMD2TL.js", true),
            ("styles-5INURTSO.css", true),
            ("build/q-BZ1kLmNp.js", true),
            ("main-VERSION2.js", false),
            ("photo-A2B3C4D5.jpg", true),
            ("photo-FFHMD2TL.jpg", false),
            ("app.deadbeef.js", true),
            ("app-abcdef12.css", true),
            ("app.12345678.js", false),
            ("photo-facade20.jpg", false),
            ("index.html", false),
            ("assets/page-3f2a91bc.html", false),
            ("assets/jquery-3.6.0.min.js", false),
            ("photo-20240131.jpg", false),
            ("report-Internal.pdf", false),
            ("my-version2.js", false),
            ("assets/logo-original.svg", false),
            ("assets/bootstrap.min.css", false),
            ("photo-MacBook2.png", false),
            ("favicon.svg", false),
            ("sw.js", false),
            ("photo-20240131b.jpg", false),
            ("decade99.png", false),
            ("iPhone15Pro.png", false),
            ("assets/BrandLogo.svg", false),
            ("assets/HelloWorld.js", false),
            ("assets/iPhone15Pro.png", false),
            ("assets/hero-HomeBanner.png", false),
            ("assets/page-3f2a91bc.HTM", false),
            ("_next/static/page.html", false),
        ];
        for (path, expected) in cases {
            assert_eq!(is_fingerprinted(path), expected, "{path}");
        }
    }

    #[test]
    fn pages_data_and_service_workers_are_asked_for_again() {
        for (path, expected) in [
            ("a/index.html", true),
            ("a.HTM", true),
            ("assets/data-3f2a91bc.json", true),
            ("sitemap-3f2a91bc.xml", true),
            ("site.webmanifest", true),
            ("sw.js", true),
            ("sw-3f2a91bc.js", true),
            ("service-worker.3f2a91bc.js", true),
            ("ngsw-worker.js", true),
            ("workbox-3f2a91bc.js", false),
            ("assets/app-3f2a91bc.js.map", false),
            ("assets/app-3f2a91bc.js", false),
            ("sw.png", false),
        ] {
            assert_eq!(is_revalidated(path), expected, "{path}");
        }
    }
}
