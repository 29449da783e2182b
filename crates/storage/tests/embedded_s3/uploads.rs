//! Multipart uploads.

use crate::support::{BUCKET, Noise, World, tree};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

#[tokio::test]
async fn a_multipart_upload_survives_a_restart_and_becomes_one_object() {
    let mut world = World::new().await;
    let parts = [Noise(1).bytes(5 * 1024 * 1024), Noise(2).bytes(1000)];
    let create = world.client.create_multipart_upload().bucket(BUCKET).key("big").content_type("video/mp4");
    let id = create.send().await.unwrap().upload_id().unwrap().to_owned();
    let mut completed = Vec::new();
    for (number, part) in (1..).zip(&parts) {
        let upload = world.client.upload_part().bucket(BUCKET).key("big").upload_id(&id).part_number(number);
        let uploaded = upload.body(ByteStream::from(part.clone())).send().await.unwrap();
        let part =
            CompletedPart::builder().part_number(number).set_e_tag(uploaded.e_tag().map(str::to_owned));
        completed.push(part.set_checksum_crc32(uploaded.checksum_crc32().map(str::to_owned)).build());
        world = world.restart().await;
    }
    assert_eq!(world.get("big").await, None);
    let complete = |parts: Vec<CompletedPart>| {
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = world.client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(&id);
        complete.multipart_upload(upload).send()
    };
    let reversed = completed.iter().rev().cloned().collect();
    assert_eq!(complete(reversed).await.unwrap_err().code(), Some("InvalidPartOrder"));
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"abc\"").build();
    assert_eq!(complete(vec![wrong]).await.unwrap_err().code(), Some("InvalidPart"));

    let done = complete(completed.clone()).await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""), "{done:?}");
    let got = world.client.get_object().bucket(BUCKET).key("big").send().await.unwrap();
    assert_eq!(got.content_type(), Some("video/mp4"));
    assert_eq!(got.e_tag(), done.e_tag());
    assert!(got.body.collect().await.unwrap().to_vec() == parts.concat());
    assert_eq!(complete(completed).await.unwrap_err().code(), Some("NoSuchUpload"));
    assert_eq!(tree(&world.root().join("uploads")).len(), 0);
    assert_eq!(world.temp_files(), 0);
}

#[tokio::test]
async fn an_aborted_or_foreign_multipart_upload_is_not_found() {
    let world = World::new().await;
    let create = world.client.create_multipart_upload().bucket(BUCKET).key("k").send().await.unwrap();
    let id = create.upload_id().unwrap();
    let part = |key: &str, id: &str| {
        let upload = world.client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(1);
        upload.body(ByteStream::from_static(b"x")).send()
    };
    part("k", id).await.unwrap();
    for (key, id) in [("other", id), ("k", "../tmp"), ("k", "0-0")] {
        assert_eq!(part(key, id).await.unwrap_err().code(), Some("NoSuchUpload"), "{key} {id}");
    }
    world.client.abort_multipart_upload().bucket(BUCKET).key("k").upload_id(id).send().await.unwrap();
    assert_eq!(part("k", id).await.unwrap_err().code(), Some("NoSuchUpload"));
    assert_eq!(tree(&world.root().join("uploads")).len(), 0);
    assert_eq!(world.temp_files(), 0);
}
