//! Writing, copying and deleting, alone and in races.

use crate::support::{BUCKET, World, tree};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MetadataDirective;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

#[tokio::test]
async fn conditional_writes_happen_only_when_the_condition_holds() {
    let world = World::new().await;
    let put = |body: &'static str| {
        world.client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(body.as_bytes()))
    };
    assert_eq!(put("x").if_match("\"abc\"").send().await.unwrap_err().code(), Some("NoSuchKey"));
    let first = put("first").if_none_match("*").send().await.unwrap();
    assert_eq!(put("again").if_none_match("*").send().await.unwrap_err().code(), Some("PreconditionFailed"));
    assert_eq!(put("x").if_match("\"abc\"").send().await.unwrap_err().code(), Some("PreconditionFailed"));
    assert_eq!(world.get("k").await.unwrap(), b"first");

    put("second").if_match(first.e_tag().unwrap()).send().await.unwrap();
    let stale = put("third").if_match(first.e_tag().unwrap()).send().await.unwrap_err();
    assert_eq!(stale.code(), Some("PreconditionFailed"));
    assert_eq!(world.get("k").await.unwrap(), b"second");

    let delete = world.client.delete_object().bucket(BUCKET).key("k");
    let stale = delete.if_match(first.e_tag().unwrap()).send().await.unwrap_err();
    assert_eq!(stale.code(), Some("PreconditionFailed"));
    assert_eq!(world.temp_files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_conditional_writes_exactly_one_wins() {
    let world = World::new().await;
    for round in 0..10 {
        let key = format!("round/{round}/claim");
        let racers = (0..16).map(|racer| {
            let put = world.client.put_object().bucket(BUCKET).key(&key).if_none_match("*");
            let body = format!("racer {racer}");
            async move {
                let result = put.body(ByteStream::from(body.clone().into_bytes())).send().await;
                result.map(|_| body).map_err(|error| error.code().unwrap_or_default().to_owned())
            }
        });
        let results = futures::future::join_all(racers.map(tokio::spawn)).await;
        let (won, lost): (Vec<_>, Vec<_>) =
            results.into_iter().map(|joined| joined.unwrap()).partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{key}");
        assert!(lost.iter().all(|lost| lost == &Err("PreconditionFailed".to_owned())), "{lost:?}");
        assert_eq!(world.get(&key).await.map(|body| String::from_utf8(body).unwrap()), won[0].clone().ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_during_overwrites_sees_one_whole_version() {
    let world = World::new().await;
    // One size is read at once, the other in chunks.
    let version = |number: u8| vec![number; if number.is_multiple_of(2) { 20_000 } else { 300_000 }];
    world.put("k", version(0)).await;
    let writers = (0..4u8).map(|writer| {
        let client = world.client.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                let number = writer * 4 + round;
                let put = client.put_object().bucket(BUCKET).key("k").metadata("number", number.to_string());
                put.body(ByteStream::from(version(number))).send().await.unwrap();
            }
        })
    });
    let writers = futures::future::join_all(writers.collect::<Vec<_>>());
    let readers = (0..4).map(|_| {
        let client = world.client.clone();
        tokio::spawn(async move {
            for _ in 0..12 {
                let object = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
                let said = object.metadata().and_then(|metadata| metadata.get("number").cloned());
                let body = object.body.collect().await.unwrap().to_vec();
                let number = body[0];
                assert!(body == version(number), "{} bytes of version {number}", body.len());
                assert!(number == 0 || said == Some(number.to_string()), "{number} {said:?}");
            }
        })
    });
    let readers = futures::future::join_all(readers.collect::<Vec<_>>());
    let (written, read) = tokio::join!(writers, readers);
    written.into_iter().chain(read).for_each(|joined| joined.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_that_remove_a_folder_never_break_writes_into_it() {
    let world = World::new().await;
    let tasks = (0..8).map(|task| {
        let client = world.client.clone();
        tokio::spawn(async move {
            let key = format!("deep/er/folder/{task}");
            for _ in 0..15 {
                let put = client.put_object().bucket(BUCKET).key(&key);
                put.body(ByteStream::from_static(b"x")).send().await.unwrap();
                client.delete_object().bucket(BUCKET).key(&key).send().await.unwrap();
            }
        })
    });
    for joined in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        joined.unwrap();
    }
    let left = tree(&world.root().join("buckets").join(BUCKET));
    assert!(left.is_empty(), "empty folders are removed: {left:?}");
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let world = World::new().await;
    for key in ["p/1", "p/2", "p/q/3", "kept"] {
        world.put(key, "x").await;
    }
    let identify = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let objects = ["p/1", "p/2", "p/q/3", "never-there"].map(identify);
    let delete = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
    let answer = world.client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(answer.deleted().len(), 4);
    assert!(answer.errors().is_empty());
    assert_eq!(world.keys().await, ["kept"]);
}

#[tokio::test]
async fn a_copy_keeps_body_and_metadata_or_replaces_them() {
    let world = World::new().await;
    let put = world.client.put_object().bucket(BUCKET).key("a/from").content_type("text/css");
    put.body(ByteStream::from_static(b"hello")).send().await.unwrap();
    let copy = || world.client.copy_object().bucket(BUCKET).copy_source(format!("{BUCKET}/a/from"));
    let copied = copy().key("to").send().await.unwrap();
    assert_eq!(copied.copy_object_result().unwrap().e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let replace =
        copy().key("other").metadata_directive(MetadataDirective::Replace).content_type("text/plain");
    replace.send().await.unwrap();
    for (key, content_type) in [("to", "text/css"), ("other", "text/plain")] {
        let got = world.client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert_eq!(got.content_type(), Some(content_type));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
    }
    let missing = world.client.copy_object().bucket(BUCKET).key("x").copy_source(format!("{BUCKET}/missing"));
    assert_eq!(missing.send().await.unwrap_err().code(), Some("NoSuchKey"));
    let stale = copy().key("x").copy_source_if_match("\"abc\"").send().await.unwrap_err();
    assert_eq!(stale.code(), Some("PreconditionFailed"));
}
