//! Pages, and the `Link` header that their heads become.

use http::HeaderValue;
use loggia_serve::links;

use crate::answers::ensure;
use crate::harness::{Checked, Notes, Target};

pub(crate) const TARGET: Target = Target {
    name: "html",
    dictionary: &[
        b"<",
        b">",
        b"</",
        b"/>",
        b"<!--",
        b"-->",
        b"<!doctype html>",
        b"<html>",
        b"<head>",
        b"</head>",
        b"<body>",
        b"<base href=/x/>",
        b"<link ",
        b"<link rel=preload as=style href=/a.css>",
        b"<link rel=modulepreload href=/a.js crossorigin>",
        b"<link rel=preconnect href=https://x.example>",
        b" rel=preload",
        b" rel=preconnect",
        b" rel=\"a modulepreload\"",
        b" as=style",
        b" as=image",
        b" as=",
        b" href=",
        b" href=\"",
        b" href='",
        b"\"",
        b"'",
        b" crossorigin",
        b" crossorigin=use-credentials",
        b" type=font/woff2",
        b" media=\"(min-width: 1px)\"",
        b" imagesrcset=\"a 1x, b 2x\"",
        b" imagesizes=50vw",
        b" integrity=x",
        b"javascript:",
        b"data:",
        b"HTTPS:",
        b"//evil.example",
        b"\\",
        b"\n",
        b"\r\nX: y",
        b"&#13;&#10;",
        b"&#0;",
        b"&quot;",
        b"&gt;",
        b"&amp;",
        b"&lt",
        b"&#x202e;",
        b",",
        b";",
        b"<script>",
        b"</script>",
        b"<style>",
        b"</style>",
        b"<title>",
        b"</title>",
        b"<template>",
        b"</template>",
        b"<noscript>",
        b"</noscript>",
        b"<svg>",
        b"<![CDATA[",
        b"<?",
        b"\0",
        "ä".as_bytes(),
        "\u{2028}".as_bytes(),
        b"\xff",
    ],
    len_max: 8 * 1024,
    check,
    made: Vec::new,
    repair: super::leave,
};

/// As `links` has them.
const VALUE_BYTES_MAX: usize = 2048;
const LINKS_MAX: usize = 20;

const RELATIONS: [&str; 3] = ["preload", "modulepreload", "preconnect"];
const PARAMETERS: [&str; 6] = ["as", "crossorigin", "type", "media", "imagesrcset", "imagesizes"];

fn check(input: &[u8], notes: &mut Notes) -> Checked {
    let Some(value) = links::of_page(input) else {
        notes.note("nothing");
        return Ok(());
    };
    ensure(value.len() <= VALUE_BYTES_MAX, || format!("{} bytes", value.len()))?;
    ensure(value.is_ascii() && HeaderValue::from_str(&value).is_ok(), || format!("no header: {value:?}"))?;
    let mut rest = &*value;
    let mut count = 0;
    loop {
        rest = check_link(rest, notes).map_err(|broken| format!("{broken}: {value:?} at {rest:?}"))?;
        count += 1;
        match rest.strip_prefix(", ") {
            Some(next) => rest = next,
            None => break,
        }
    }
    notes.note(("links", count));
    ensure(rest.is_empty() && count <= LINKS_MAX, || format!("{count} links, and then {rest:?}"))
}

/// Reads one link as a client would (RFC 8288 §3), and gives what is behind it.
fn check_link<'v>(text: &'v str, notes: &mut Notes) -> Result<&'v str, String> {
    let (address, mut rest) =
        text.strip_prefix('<').and_then(|text| text.split_once('>')).ok_or("no address")?;
    check_address(address)?;
    let mut names = Vec::new();
    while let Some(parameter) = rest.strip_prefix("; ") {
        let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
        let (name, after) = parameter.split_at(end);
        let (value, after) = after.strip_prefix('=').map_or(Ok((String::new(), after)), read_value)?;
        let is_known = if name == "rel" { RELATIONS.contains(&&*value) } else { PARAMETERS.contains(&name) };
        ensure(is_known && !names.contains(&name), || format!("{name}={value} is not ours, or there twice"))?;
        names.push(name);
        rest = after;
    }
    notes.note(names.clone());
    ensure(names.first() == Some(&"rel"), || "no relation".into())?;
    Ok(rest)
}

fn check_address(address: &str) -> Checked {
    let is_clean = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    ensure(!address.is_empty() && address.bytes().all(is_clean), || "no address of RFC 3986".into())?;
    let before_path = address.split(['/', '?', '#']).next().unwrap_or_default();
    let scheme = before_path.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    ensure(scheme.is_none_or(|scheme| scheme == "http" || scheme == "https"), || "another scheme".into())
}

/// A token or a quoted string (RFC 9110 §5.6), and what is behind it.
fn read_value(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '"']).unwrap_or(text.len());
        ensure(end > 0, || "an empty token".into())?;
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    Err("a quoted string without an end".into())
}
