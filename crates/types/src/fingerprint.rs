//! Whether a file's name carries a hash of its content, so that the name may be cached for a year.
//!
//! A false «yes» pins a stale file in every visitor's browser, a false «no» costs one revalidation, so the
//! test is strict; outside a bundler's own folder it wants more.

/// Folders in which a bundler puts hashed names: Vite, Astro, SvelteKit, Next, Nuxt, CRA, Parcel, Angular.
const HASHED_FOLDERS: &[&str] = &[
    "assets/",
    "_astro/",
    "_app/immutable/",
    "_next/static/",
    "_nuxt/",
    "static/js/",
    "static/css/",
    "static/media/",
];

/// Bundlers write 8 (Vite, Rollup, webpack) to 64 (a whole SHA-256) characters.
const HASH_LEN: std::ops::RangeInclusive<usize> = 8..=64;

pub fn is_fingerprinted(path: &str) -> bool {
    let (folder, name) =
        path.rsplit_once('/').map_or(("", path), |(_, name)| (&path[..path.len() - name.len()], name));
    // A page's URL is what people share; it is never immutable.
    if name.ends_with(".html") {
        return false;
    }
    let bundler =
        HASHED_FOLDERS.iter().any(|known| folder.starts_with(known) || folder.contains(&format!("/{known}")));
    // `index-DiwrgTda.js`, `main.3f2a91bc.chunk.js`, `3f2a91bc.js`: any part between dots may end in a hash.
    name.split('.').enumerate().any(|(at, part)| ends_in_hash(part, at == 0, bundler))
}

fn ends_in_hash(part: &str, first: bool, bundler: bool) -> bool {
    // Base64url hashes may hold `-` and `_` themselves, so take Vite's fixed eight characters first.
    let fixed = part.len().checked_sub(8).and_then(|at| part.get(at..).map(|tail| (at, tail)));
    if let Some((at, tail)) = fixed
        && match at {
            // `start.BNgT2_4a.js`: a part of its own, after the name.
            0 => !first,
            _ => matches!(part.as_bytes()[at - 1], b'-' | b'_'),
        }
        && looks_random(tail, bundler)
    {
        return true;
    }
    let tail = part.rsplit(['-', '_']).next().unwrap_or(part);
    HASH_LEN.contains(&tail.len()) && looks_random(tail, bundler)
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
    if hex && digits >= 2 && letters >= 1 {
        return true;
    }
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // `DiwrgTda` changes 3 times, `version2` once, `MacBook2` 4 times.
    if bundler {
        changes >= 2 && letters >= 4
    } else {
        changes >= 4 && digits > 0 && count(Class::Upper) > 1 && count(Class::Lower) > 1 && text.len() >= 10
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
        ];
        for (path, expected) in cases {
            assert_eq!(is_fingerprinted(path), expected, "{path}");
        }
    }
}
