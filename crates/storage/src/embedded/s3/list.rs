//! ListObjectsV2.

use data_encoding::BASE64URL_NOPAD;
use s3s::dto::{CommonPrefix, EncodingType, ListObjectsV2Input, ListObjectsV2Output, Object};
use s3s::{S3Response, S3Result, s3_error};

use super::convert;
use super::{Answer, FolderS3};
use crate::embedded::listing::{ListRequest, Marker};
use crate::embedded::object::ObjectMeta;

/// S3's limit and default.
const PAGE_LEN_MAX: u16 = 1000;

pub(super) async fn list_objects(s3: &FolderS3, input: ListObjectsV2Input) -> Answer<ListObjectsV2Output> {
    let max_keys = input.max_keys.unwrap_or(i32::from(PAGE_LEN_MAX));
    let limit = u16::try_from(max_keys).map(|limit| limit.min(PAGE_LEN_MAX));
    let limit =
        limit.or_else(|_| if max_keys > 0 { Ok(PAGE_LEN_MAX) } else { Err(s3_error!(InvalidArgument)) })?;
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => decode_token(token)?,
        (None, Some(key)) if !key.is_empty() => Marker::Key(key.clone()),
        (None, _) => Marker::Start,
    };
    let request = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after,
        limit: usize::from(limit),
    };
    let bucket = input.bucket.clone();
    let page = s3.blocking(move |store| store.list(&bucket, &request)).await?;

    let escapes = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
    let spell = |text: String| if escapes { percent_encode(&text) } else { text };
    let key_count = i32::try_from(page.objects.len() + page.prefixes.len()).ok();
    let contents = page.objects.into_iter().map(|(key, meta)| listed(spell(key), &meta)).collect();
    let prefixes =
        page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(spell(prefix)) }).collect();
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: input.prefix.map(spell),
        delimiter: input.delimiter.map(spell),
        start_after: input.start_after.map(spell),
        encoding_type: input.encoding_type,
        max_keys: Some(i32::from(limit)),
        key_count,
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(encode_token),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        ..ListObjectsV2Output::default()
    }))
}

fn listed(key: String, meta: &ObjectMeta) -> Object {
    Object {
        key: Some(key),
        e_tag: Some(convert::etag(meta)),
        last_modified: Some(convert::modified(meta)),
        size: i64::try_from(meta.size_bytes).ok(),
        ..Object::default()
    }
}

fn encode_token(marker: &Marker) -> String {
    let text = match marker {
        Marker::Start => "s".to_owned(),
        Marker::Key(key) => format!("k{key}"),
        Marker::Prefix(prefix) => format!("p{prefix}"),
    };
    BASE64URL_NOPAD.encode(text.as_bytes())
}

fn decode_token(token: &str) -> S3Result<Marker> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    if let Some(key) = text.strip_prefix('k') {
        return Ok(Marker::Key(key.to_owned()));
    }
    if let Some(prefix) = text.strip_prefix('p') {
        return Ok(Marker::Prefix(prefix.to_owned()));
    }
    Err(s3_error!(InvalidArgument, "the continuation token is not one of this server"))
}

/// `encoding-type=url`: for keys with characters that XML cannot hold.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_others_are_refused() {
        for marker in [Marker::Key("ä/b".to_owned()), Marker::Prefix("a/".to_owned())] {
            assert_eq!(decode_token(&encode_token(&marker)).expect("our own token"), marker);
        }
        for token in ["", "!", "a", "AAAA"] {
            assert!(decode_token(token).is_err(), "{token:?}");
        }
    }

    #[test]
    fn url_encoding_is_that_of_s3() {
        assert_eq!(percent_encode("a/b c\u{1}ü+~"), "a/b%20c%01%C3%BC%2B~");
    }
}
