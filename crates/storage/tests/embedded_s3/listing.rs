//! Listing, against a model.

use std::collections::BTreeSet;

use crate::support::{Listing, Noise, World, list};

/// What a listing must say: keys and common prefixes in order.
fn expected_listing(keys: &BTreeSet<String>, listing: &Listing) -> (Vec<String>, Vec<String>) {
    let (mut found, mut prefixes) = (Vec::new(), BTreeSet::new());
    let after = listing.start_after.as_deref().unwrap_or_default();
    for key in keys.iter().filter(|key| key.starts_with(&listing.prefix) && key.as_str() > after) {
        let rest = &key[listing.prefix.len()..];
        match listing.delimiter.as_ref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len())) {
            Some(end) => drop(prefixes.insert(key[..listing.prefix.len() + end].to_owned())),
            None => found.push(key.clone()),
        }
    }
    (found, prefixes.into_iter().collect())
}

#[tokio::test]
async fn listings_agree_with_a_sorted_set() {
    let world = World::new().await;
    let mut noise = Noise(42);
    let long = "x".repeat(79);
    let pieces = ["a", "b", "/", "/", "-", ".", "0", "ä", "A", "/a", &long];
    let word = |noise: &mut Noise, len: usize| -> String {
        (0..len).map(|_| pieces[noise.below(pieces.len())]).collect()
    };
    let mut keys = BTreeSet::new();
    while keys.len() < 120 {
        let len = 1 + noise.below(6);
        keys.insert(word(&mut noise, len));
    }
    for key in &keys {
        world.put(key, "x").await;
    }
    // Some go again, and their empty folders with them.
    for key in keys.iter().filter(|_| noise.below(4) == 0).cloned().collect::<Vec<_>>() {
        world.delete(&key).await;
        keys.remove(&key);
    }
    let delimiters = [None, None, Some("/"), Some("/"), Some("a"), Some("/a"), Some("xx")];
    for round in 0..100 {
        let len = noise.below(4);
        let prefix = word(&mut noise, len);
        let len = 1 + noise.below(4);
        let start_after = (noise.below(2) == 0).then(|| word(&mut noise, len));
        let page_len = (noise.below(2) == 0).then(|| 1 + i32::try_from(noise.below(7)).unwrap());
        let delimiter = delimiters[noise.below(delimiters.len())].map(str::to_owned);
        let listing = Listing { prefix, delimiter, start_after, page_len };
        assert_eq!(
            list(&world.client, &listing).await,
            expected_listing(&keys, &listing),
            "{round}: {listing:?}"
        );
    }
    assert_eq!(list(&world.client, &Listing::default()).await.0.len(), keys.len());
}
