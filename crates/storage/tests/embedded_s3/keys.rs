//! Keys and bucket names of every kind.

use std::collections::BTreeSet;

use crate::support::{BUCKET, World, tree};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;

fn odd_keys() -> Vec<String> {
    let odd = [
        "a",
        "a/",
        "a/b",
        "a//b",
        "a/b/",
        "a/b/c",
        "A",
        "A/b",
        "/",
        "//",
        "/a",
        ".",
        "..",
        "./a",
        "../a",
        "../../a",
        "a/../../../b",
        "a/./b",
        "-",
        "a-b",
        "a.b",
        "a b",
        "a+b",
        "a%2Fb",
        "%",
        "%41",
        "ä",
        "a\u{308}",
        "日本語/キー",
        "🦀",
        "\u{10ffff}",
        "<&>\"'",
        "a?b#c",
        "a\\b",
        "a:b",
        "con",
        ".loggia/manifest",
        "tab\there",
        "~",
        "lock",
        "tmp/x",
    ];
    let mut keys: Vec<String> = odd.iter().map(|key| (*key).to_owned()).collect();
    // Around the length at which a file name is split, and the longest keys.
    keys.extend([79, 80, 81, 160, 255, 256, 1024].map(|len| "x".repeat(len)));
    keys.extend([
        format!("{}/y", "x".repeat(80)),
        format!("{}-", "x".repeat(80)),
        format!("{}/", "x".repeat(80)),
    ]);
    keys.extend(["/".repeat(100), "a/".repeat(512), "Ä".repeat(512), "..".to_owned() + &"/..".repeat(20)]);
    keys
}

#[tokio::test]
async fn odd_keys_coexist_come_back_exactly_and_stay_inside_the_root() {
    let world = World::new().await;
    let outside = world.dir().join("outside");
    std::fs::write(&outside, "untouched").unwrap();
    let mut keys = odd_keys();
    for key in &keys {
        world.put(key, format!("body of {key}")).await;
    }
    let world = world.restart().await;
    for key in &keys {
        let body = world.get(key).await.map(|body| String::from_utf8(body).unwrap());
        assert!(body.as_deref() == Some(&format!("body of {key}")), "{key:?}: {body:?}");
    }
    keys.sort();
    assert_eq!(world.keys().await, keys);

    let beside: BTreeSet<_> =
        std::fs::read_dir(world.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(beside, BTreeSet::from([outside, world.root()]));
    for (path, _) in tree(&world.root()) {
        let names = path.strip_prefix(world.root()).unwrap().to_str().unwrap().to_owned();
        assert!(!names.contains(|c: char| c.is_ascii_uppercase() || !c.is_ascii()), "{names}");
    }

    for key in &keys {
        world.delete(key).await;
        assert_eq!(world.get(key).await, None, "{key:?}");
    }
    assert_eq!(world.keys().await, Vec::<String>::new());
    assert!(tree(&world.root().join("buckets").join(BUCKET)).is_empty());
}

#[tokio::test]
async fn keys_that_xml_cannot_hold_are_listed_url_encoded() {
    let world = World::new().await;
    world.put("a\u{1}b/c d", "x").await;
    let listing = world.client.list_objects_v2().bucket(BUCKET).encoding_type(EncodingType::Url);
    let page = listing.send().await.unwrap();
    assert_eq!(page.contents()[0].key(), Some("a%01b/c%20d"));
}

#[tokio::test]
async fn what_is_too_long_or_missing_has_a_clear_error() {
    let world = World::new().await;
    let too_long = "x".repeat(1025);
    let put = world.client.put_object().bucket(BUCKET).key(&too_long).body(ByteStream::from_static(b"x"));
    assert_eq!(put.send().await.unwrap_err().code(), Some("KeyTooLongError"));
    let put = world.client.put_object().bucket("no-such-bucket").key("k");
    let error = put.body(ByteStream::from(vec![0; 3_000_000])).send().await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchBucket"));
    let get = world.client.get_object().bucket("no-such-bucket").key("k").send().await;
    assert_eq!(get.unwrap_err().code(), Some("NoSuchBucket"));
    let list = world.client.list_objects_v2().bucket("no-such-bucket").send().await;
    assert_eq!(list.unwrap_err().code(), Some("NoSuchBucket"));
    let token = world.client.list_objects_v2().bucket(BUCKET).continuation_token("nonsense").send().await;
    assert_eq!(token.unwrap_err().code(), Some("InvalidArgument"));
    assert_eq!(world.temp_files(), 0);
}

#[tokio::test]
async fn buckets_are_created_found_and_listed() {
    let world = World::new().await;
    world.client.create_bucket().bucket("another").send().await.unwrap();
    let again = world.client.create_bucket().bucket("another").send().await.unwrap_err();
    assert_eq!(again.code(), Some("BucketAlreadyOwnedByYou"));
    world.client.head_bucket().bucket("another").send().await.unwrap();
    assert!(world.client.head_bucket().bucket("missing").send().await.is_err());
    let buckets = world.client.list_buckets().send().await.unwrap();
    let names: Vec<_> = buckets.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["another", BUCKET]);
}
