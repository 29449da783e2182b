//! Bodies that end early, are wrong, or come in chunks.

use crate::support::{BUCKET, Noise, World, eventually};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test]
async fn an_upload_that_is_cut_leaves_nothing() {
    let world = World::new().await;
    world.put("old", "old body").await;
    for key in ["new", "old"] {
        let (path, host) = (world.presigned_put(key).await, world.server.addr());
        let mut socket = TcpStream::connect(host).await.unwrap();
        let head = format!("PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2000000\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&vec![7; 1_000_000]).await.unwrap();
        eventually("the server has begun to write", || world.temp_files() == 1).await;
        drop(socket);
        eventually("the server has cleaned up", || world.temp_files() == 0).await;
    }
    assert_eq!(world.keys().await, ["old"]);
    assert_eq!(world.get("old").await.unwrap(), b"old body");
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let put = || world.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"hello"));
    let md5_of_nothing = "1B2M2Y8AsgTpgAmY7PhCfg==";
    let cases = [
        ("MD5", put().content_md5(md5_of_nothing)),
        ("CRC32", put().checksum_crc32("AAAAAA==")),
        ("CRC32C", put().checksum_crc32_c("AAAAAA==")),
        ("CRC64NVME", put().checksum_crc64_nvme("AAAAAAAAAAA=")),
        ("SHA1", put().checksum_sha1("2jmj7l5rSw0yVb/vlWAYkK/YBwk=")),
        ("SHA256", put().checksum_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")),
    ];
    for (name, put) in cases {
        assert_eq!(put.send().await.unwrap_err().code(), Some("BadDigest"), "{name}");
        assert_eq!(world.get("k").await, None, "{name}");
    }
    let malformed = put().content_md5("AAAA").send().await.unwrap_err();
    assert_eq!(malformed.code(), Some("InvalidDigest"));
    assert_eq!(world.temp_files(), 0);
}

#[tokio::test]
async fn right_checksums_are_kept_also_those_after_a_streamed_body() {
    let world = World::new().await;
    let file = world.dir().join("file");
    let body = Noise(3).bytes(300_000);
    std::fs::write(&file, &body).unwrap();
    let all = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];
    for algorithm in all {
        let put = world.client.put_object().bucket(BUCKET).key("k").checksum_algorithm(algorithm.clone());
        let put = put.content_encoding("gzip").body(ByteStream::from_path(&file).await.unwrap());
        put.send().await.unwrap();
        // The client compares the checksum that comes back with the body.
        let got = world.client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
        let sums = [
            got.checksum_crc32(),
            got.checksum_crc32_c(),
            got.checksum_crc64_nvme(),
            got.checksum_sha1(),
            got.checksum_sha256(),
        ];
        assert_eq!(sums.iter().flatten().count(), 1, "{algorithm:?}");
        assert_eq!(got.content_encoding(), Some("gzip"), "the transfer's aws-chunked is not stored");
        assert!(got.body.collect().await.unwrap().to_vec() == body, "{algorithm:?}");
    }
}
