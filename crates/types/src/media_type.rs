//! The `Content-Type` of a file, from its name.

/// What `mime_guess`'s table (2024) lacks or has differently from what browsers expect today.
const OVERRIDES: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("geojson", "application/geo+json"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("otf", "font/otf"),
    ("rss", "application/rss+xml; charset=utf-8"),
    ("atom", "application/atom+xml; charset=utf-8"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
    ("yaml", "text/yaml; charset=utf-8"),
    ("yml", "text/yaml; charset=utf-8"),
];

/// Files whose name alone tells their type.
const NAMED: &[(&str, &str)] = &[("apple-app-site-association", "application/json")];

pub const OCTET_STREAM: &str = "application/octet-stream";

/// The media type by file name; text types are UTF-8, since that is what static generators write.
pub fn for_path(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    if let Some((_, media_type)) = NAMED.iter().find(|(known, _)| *known == name) {
        return (*media_type).to_owned();
    }
    let Some((_, extension)) = name.rsplit_once('.') else {
        return OCTET_STREAM.to_owned();
    };
    let extension = extension.to_ascii_lowercase();
    if let Some((_, media_type)) = OVERRIDES.iter().find(|(known, _)| *known == extension) {
        return (*media_type).to_owned();
    }
    match mime_guess::from_ext(&extension).first_raw() {
        Some(media_type) if media_type.starts_with("text/") => format!("{media_type}; charset=utf-8"),
        Some(media_type) => media_type.to_owned(),
        None => OCTET_STREAM.to_owned(),
    }
}

/// Types that are not compressed already: for them a deployment keeps compressed forms.
pub fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or(media_type).trim();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || COMPRESSIBLE.contains(&essence)
}

/// Beside `text/*`, `*+json` and `*+xml`. `woff2` and the image formats of the web are compressed already.
const COMPRESSIBLE: &[&str] = &[
    "application/javascript",
    "application/json",
    "application/rtf",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/xml",
    "font/collection",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/x-ms-bmp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_types_that_browsers_expect() {
        let cases = [
            ("index.html", "text/html; charset=utf-8"),
            ("a/style.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.MJS", "text/javascript; charset=utf-8"),
            ("app.js.map", "application/json"),
            ("logo.svg", "image/svg+xml"),
            ("photo.JPG", "image/jpeg"),
            ("photo.avif", "image/avif"),
            ("site.webmanifest", "application/manifest+json"),
            ("module.wasm", "application/wasm"),
            ("font.woff2", "font/woff2"),
            ("feed.xml", "application/xml"),
            ("robots.txt", "text/plain; charset=utf-8"),
            ("doc.pdf", "application/pdf"),
            ("bin", OCTET_STREAM),
            ("a.b/bin", OCTET_STREAM),
            ("x.unknownext", OCTET_STREAM),
            (".well-known/apple-app-site-association", "application/json"),
        ];
        for (path, expected) in cases {
            assert_eq!(for_path(path), expected, "{path}");
        }
    }
}
