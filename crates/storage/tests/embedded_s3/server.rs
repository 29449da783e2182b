//! Who gets in, and how the server starts and stops.

use crate::support::{BUCKET, SECRET_KEY, World, client, config, eventually, raw};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use loggia_storage::embedded::EmbeddedS3;
use loggia_storage::embedded::EmbeddedS3Error;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test]
async fn requests_without_the_right_signature_are_refused() {
    let world = World::new().await;
    world.put("k", "x").await;
    let stranger = client(&world.server.endpoint_url(), "wrong-secret");
    let error = stranger.get_object().bucket(BUCKET).key("k").send().await.unwrap_err();
    assert_eq!(error.code(), Some("SignatureDoesNotMatch"));
    let put = stranger.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"y"));
    assert_eq!(put.send().await.unwrap_err().code(), Some("SignatureDoesNotMatch"));

    let host = format!("Host: {}\r\nConnection: close\r\n", world.server.addr());
    let form = "Content-Type: multipart/form-data; boundary=b\r\n";
    let field = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\n\
                 Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nevil\r\n--b--\r\n";
    let form_len = field.len();
    let signed = world.presigned_get("k").await;
    let tampered = signed.replace("/k?", "/l?");
    let cases = [
        (403, format!("GET /{BUCKET}/k HTTP/1.1\r\n{host}\r\n")),
        (403, format!("GET / HTTP/1.1\r\n{host}\r\n")),
        (403, format!("DELETE /{BUCKET}/k HTTP/1.1\r\n{host}\r\n")),
        (403, format!("PUT /{BUCKET}/k HTTP/1.1\r\n{host}Content-Length: 1\r\n\r\ny")),
        (403, format!("GET {tampered} HTTP/1.1\r\n{host}\r\n")),
        (200, format!("GET {signed} HTTP/1.1\r\n{host}\r\n")),
        (400, format!("POST /{BUCKET} HTTP/1.1\r\n{host}{form}Content-Length: {form_len}\r\n\r\n{field}")),
    ];
    for (status, request) in cases {
        let answer = world.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
        assert!(!answer.contains(SECRET_KEY));
    }
    assert_eq!(world.get("k").await.unwrap(), b"x");
}

#[tokio::test]
async fn where_everybody_may_read_nobody_else_may_do_more() {
    let dir = tempfile::tempdir().unwrap();
    let server = EmbeddedS3::start_with_public_reads(config(&dir.path().join("root"))).await.unwrap();
    let signed = client(&server.endpoint_url(), SECRET_KEY);
    let put = signed.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"x"));
    put.send().await.unwrap();
    let forged = client(&server.endpoint_url(), "wrong-secret");
    let error = forged.get_object().bucket(BUCKET).key("k").send().await.unwrap_err();
    assert_eq!(error.code(), Some("SignatureDoesNotMatch"));

    let host = format!("Host: {}\r\nConnection: close\r\n", server.addr());
    let cases = [
        ("200 OK", format!("GET /{BUCKET}/k HTTP/1.1\r\n{host}\r\n")),
        ("206 Partial", format!("GET /{BUCKET}/k HTTP/1.1\r\n{host}Range: bytes=0-0\r\n\r\n")),
        ("200 OK", format!("HEAD /{BUCKET}/k HTTP/1.1\r\n{host}\r\n")),
        ("404", format!("GET /{BUCKET}/none HTTP/1.1\r\n{host}\r\n")),
        ("403", format!("GET /{BUCKET}?list-type=2 HTTP/1.1\r\n{host}\r\n")),
        ("403", format!("GET / HTTP/1.1\r\n{host}\r\n")),
        ("403", format!("DELETE /{BUCKET}/k HTTP/1.1\r\n{host}\r\n")),
        ("403", format!("PUT /{BUCKET}/k HTTP/1.1\r\n{host}Content-Length: 1\r\n\r\ny")),
    ];
    for (status, request) in cases {
        let answer = raw(server.addr(), &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
    }
}

#[tokio::test]
async fn two_servers_cannot_share_a_directory_and_bad_settings_are_refused() {
    let world = World::new().await;
    let error = EmbeddedS3::start(config(&world.root())).await.unwrap_err();
    assert!(matches!(error, EmbeddedS3Error::RootInUse(_)), "{error}");

    let mut bad = config(&world.dir().join("other"));
    bad.buckets.push("../evil".to_owned());
    assert!(!format!("{bad:?}").contains(SECRET_KEY));
    let error = EmbeddedS3::start(bad).await.unwrap_err();
    assert!(matches!(error, EmbeddedS3Error::InvalidBucketName(_)), "{error}");

    let mut bad = config(&world.dir().join("other"));
    bad.secret_key.clear();
    let error = EmbeddedS3::start(bad).await.unwrap_err();
    assert!(matches!(error, EmbeddedS3Error::EmptyCredentials), "{error}");

    let mut taken = config(&world.dir().join("other"));
    taken.listen = world.server.addr();
    let error = EmbeddedS3::start(taken).await.unwrap_err();
    assert!(matches!(error, EmbeddedS3Error::Listen { .. }), "{error}");
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish() {
    let world = World::new().await;
    let (path, addr) = (world.presigned_put("k").await, world.server.addr());
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 1000000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![7; 600_000]).await.unwrap();
    eventually("the server has begun to write", || world.temp_files() == 1).await;

    let root = world.root();
    let finish = async {
        eventually("the server no longer accepts", || std::net::TcpStream::connect(addr).is_err()).await;
        socket.write_all(&vec![7; 400_000]).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (restarted, answer) = tokio::join!(world.restart(), finish);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(restarted.root(), root);
    assert_eq!(restarted.get("k").await.unwrap().len(), 1_000_000);
}
