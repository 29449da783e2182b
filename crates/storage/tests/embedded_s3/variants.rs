use loggia_storage::{Store, StoreConfig, StoreError};
use loggia_types::manifest::{Coding, NewEntry, NewVariant};
use loggia_types::{ContentHash, DeploymentId, FolderRef, ObjectKey, ProjectId};

use super::support::{ACCESS_KEY, BUCKET, SECRET_KEY, World};

#[tokio::test]
async fn a_variant_has_the_type_of_its_file_and_no_coding_of_its_own() {
    let world = World::new().await;
    let store = Store::connect(&StoreConfig {
        endpoint_url: Some(world.server.endpoint_url()),
        region: "us-east-1".to_owned(),
        bucket: BUCKET.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
    });
    let project_id = ProjectId::from_parts(1, 1);
    let entry = NewEntry {
        path: "copy.css".parse().unwrap(),
        hash: ContentHash::of(b"a {}"),
        size: 4,
        folder: FolderRef::of_attempt(DeploymentId::from_parts(2, 2), 1),
        source_path: "a.css".parse().unwrap(),
        content_type: "text/css; charset=utf-8".to_owned(),
        fingerprinted: false,
        immutable: false,
        variants: Vec::new(),
        link: None,
    };
    let bytes = b"compressed".to_vec();
    let size = u32::try_from(bytes.len()).unwrap();
    let variant = NewVariant { coding: Coding::Zstd, size, hash: ContentHash::of(&bytes) };
    store.put_variant(project_id, &entry, &variant, bytes).await.unwrap();
    let key = ObjectKey::variant(project_id, entry.folder, Coding::Zstd, &entry.source_path);
    let head = world.client.head_object().bucket(BUCKET).key(key.as_str()).send().await.unwrap();
    assert_eq!(head.content_type(), Some("text/css; charset=utf-8"));
    assert_eq!(head.content_encoding(), None);

    let other = store.put_variant(project_id, &entry, &variant, b"other".to_vec()).await;
    assert!(matches!(other, Err(StoreError::Refused { .. })), "{other:?}");
    assert_eq!(world.get(key.as_str()).await.unwrap(), b"compressed");
}
