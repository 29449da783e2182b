//! Reading objects: bodies, headers, ranges, conditions.

use crate::support::{BUCKET, Noise, World};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::primitives::DateTime;

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let world = World::new().await;
    // Around the sizes at which the server changes how it reads and writes.
    for size in [0, 1, 10_000, 262_143, 262_144, 524_288, 1_500_000] {
        let body = Noise(size as u64 + 1).bytes(size);
        world.put("some/key", body.clone()).await;
        assert!(world.get("some/key").await.unwrap() == body, "{size} bytes");
    }
    assert_eq!(world.get("some").await, None);
    assert_eq!(world.temp_files(), 0);
}

#[tokio::test]
async fn headers_and_metadata_are_kept() {
    let world = World::new().await;
    let put = world
        .client
        .put_object()
        .bucket(BUCKET)
        .key("page")
        .content_type("text/html; charset=utf-8")
        .content_encoding("br")
        .content_language("de")
        .content_disposition("inline")
        .cache_control("max-age=60")
        .metadata("commit", "abc123")
        .body(ByteStream::from_static(b"hello"));
    let put = put.send().await.unwrap();
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));

    let world = world.restart().await;
    let got = world.client.get_object().bucket(BUCKET).key("page").send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/html; charset=utf-8"));
    assert_eq!(got.content_encoding(), Some("br"));
    assert_eq!(got.content_language(), Some("de"));
    assert_eq!(got.content_disposition(), Some("inline"));
    assert_eq!(got.cache_control(), Some("max-age=60"));
    assert_eq!(got.metadata().unwrap()["commit"], "abc123");
    assert_eq!(got.e_tag(), put.e_tag());
    assert_eq!(got.content_length(), Some(5));

    let head = world.client.head_object().bucket(BUCKET).key("page").send().await.unwrap();
    assert_eq!(head.e_tag(), got.e_tag());
    assert_eq!(head.content_length(), Some(5));
    assert_eq!(head.last_modified(), got.last_modified());
    assert_eq!(head.metadata().unwrap()["commit"], "abc123");
    let age = DateTime::from(std::time::SystemTime::now()).secs() - head.last_modified().unwrap().secs();
    assert!((0..60).contains(&age), "{age} seconds");
}

#[tokio::test]
async fn metadata_beyond_the_limit_is_refused() {
    let world = World::new().await;
    let put = world.client.put_object().bucket(BUCKET).key("k").metadata("a", "x".repeat(20_000));
    let error = put.body(ByteStream::from_static(b"x")).send().await.unwrap_err();
    assert_eq!(error.code(), Some("MetadataTooLarge"));
    assert_eq!(world.get("k").await, None);
    assert_eq!(world.temp_files(), 0);
}

#[tokio::test]
async fn ranges_are_answered_as_rfc_9110_says() {
    let world = World::new().await;
    let large: Vec<u8> = Noise(7).bytes(700_000);
    world.put("small", "0123456789").await;
    world.put("large", large.clone()).await;
    world.put("empty", "").await;
    let cases = [
        // key      range               body or error       content-range
        ("small", "bytes=0-0", Ok(b"0".to_vec()), "bytes 0-0/10"),
        ("small", "bytes=2-4", Ok(b"234".to_vec()), "bytes 2-4/10"),
        ("small", "bytes=7-", Ok(b"789".to_vec()), "bytes 7-9/10"),
        ("small", "bytes=-3", Ok(b"789".to_vec()), "bytes 7-9/10"),
        ("small", "bytes=-99", Ok(b"0123456789".to_vec()), "bytes 0-9/10"),
        ("small", "bytes=5-99", Ok(b"56789".to_vec()), "bytes 5-9/10"),
        ("small", "bytes=10-", Err("InvalidRange"), ""),
        ("small", "bytes=-0", Err("InvalidRange"), ""),
        ("empty", "bytes=0-", Err("InvalidRange"), ""),
        ("empty", "bytes=-1", Err("InvalidRange"), ""),
        ("large", "bytes=100-600000", Ok(large[100..=600_000].to_vec()), "bytes 100-600000/700000"),
        ("large", "bytes=-300000", Ok(large[400_000..].to_vec()), "bytes 400000-699999/700000"),
    ];
    for (key, range, expected, content_range) in cases {
        let answer = world.client.get_object().bucket(BUCKET).key(key).range(range).send().await;
        match (answer, expected) {
            (Ok(object), Ok(body)) => {
                assert_eq!(object.content_range(), Some(content_range), "{key} {range}");
                assert_eq!(object.content_length(), i64::try_from(body.len()).ok(), "{key} {range}");
                assert!(object.body.collect().await.unwrap().to_vec() == body, "{key} {range}");
            }
            (Err(error), Err(code)) => assert_eq!(error.code(), Some(code), "{key} {range}"),
            (answer, _) => panic!("{key} {range}: {answer:?}"),
        }
    }
    let path = world.presigned_get("small").await;
    let close = "Host: x\r\nConnection: close";
    let host = world.server.addr();
    let close = close.replace('x', &host.to_string());
    let answer = world.raw(&format!("GET {path} HTTP/1.1\r\n{close}\r\nRange: bytes=3-4\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 206 ") && answer.ends_with("\r\n\r\n34"), "{answer}");
    let answer = world.raw(&format!("GET {path} HTTP/1.1\r\n{close}\r\nRange: bytes=30-\r\n\r\n")).await;
    assert!(
        answer.starts_with("HTTP/1.1 416 ") && answer.contains("content-range: bytes */10\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn conditional_reads_follow_the_object() {
    let world = World::new().await;
    world.put("k", "hello").await;
    let etag = "\"5d41402abc4b2a76b9719d911017c592\"";
    let other = "\"00000000000000000000000000000000\"";
    let (past, future) = ("Mon, 01 Jan 2024 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
    let modified = world.client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
    let modified =
        modified.last_modified().unwrap().fmt(aws_sdk_s3::primitives::DateTimeFormat::HttpDate).unwrap();
    let cases = [
        // conditions                                                     status
        (format!("If-None-Match: {etag}"), 304),
        ("If-None-Match: *".to_owned(), 304),
        (format!("If-None-Match: {other}"), 200),
        (format!("If-Match: {etag}"), 200),
        ("If-Match: *".to_owned(), 200),
        (format!("If-Match: {other}"), 412),
        (format!("If-Modified-Since: {future}"), 304),
        (format!("If-Modified-Since: {modified}"), 304),
        (format!("If-Modified-Since: {past}"), 200),
        (format!("If-Unmodified-Since: {past}"), 412),
        (format!("If-Unmodified-Since: {modified}"), 200),
        // An ETag is exact and a date is not: the ETag decides.
        (format!("If-None-Match: {other}\r\nIf-Modified-Since: {future}"), 200),
        (format!("If-Match: {etag}\r\nIf-Unmodified-Since: {past}"), 200),
    ];
    let (path, host) = (world.presigned_get("k").await, world.server.addr());
    for (conditions, status) in cases {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{conditions}\r\nConnection: close\r\n\r\n");
        let answer = world.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{conditions}: {answer}");
        match status {
            200 => assert!(answer.ends_with("\r\n\r\nhello"), "{answer}"),
            304 => {
                assert!(
                    answer.contains(&format!("etag: {etag}")) && answer.ends_with("\r\n\r\n"),
                    "{answer}"
                );
            }
            _ => {}
        }
    }
}
