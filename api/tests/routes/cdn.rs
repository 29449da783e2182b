//! What CDNs in front of the edges are told, and when.

use std::time::{Duration, Instant};

use loggia_api::{CdnConfig, CloudflareConfig, FastlyConfig, VarnishConfig};
use loggia_runtime::Secret;
use loggia_types::Hostname;
use loggia_types::api::{AddDomain, CdnHook, Promote, UpdateProject};
use loggia_types::purge::PurgeRequest;

use crate::edges::deploy;
use crate::fake_cdn::{Answer, FakeCdn};
use crate::world::{World, slug};

/// Longer than any test: what it sees is the first pass.
const NEVER: Duration = Duration::from_secs(3600);

fn fastly(cdn: &FakeCdn) -> CdnConfig {
    let fastly = FastlyConfig {
        api_url: cdn.url.parse().unwrap(),
        service_id: "SU1Z0".parse().unwrap(),
        token: Secret::new("fastly-token"),
    };
    CdnConfig { fastly: Some(fastly), settled_after: NEVER, ..CdnConfig::default() }
}

fn cloudflare(cdn: &FakeCdn) -> CdnConfig {
    let cloudflare = CloudflareConfig {
        api_url: cdn.url.parse().unwrap(),
        zone_id: "023e".parse().unwrap(),
        token: Secret::new("cloudflare-token"),
    };
    CdnConfig { cloudflare: Some(cloudflare), settled_after: NEVER, ..CdnConfig::default() }
}

fn varnish(cdns: &[&FakeCdn]) -> CdnConfig {
    let varnish = VarnishConfig {
        urls: cdns.iter().map(|cdn| cdn.url.parse().unwrap()).collect(),
        header: "xkey-purge".into(),
        soft_header: "xkey-softpurge".into(),
    };
    CdnConfig { varnish: Some(varnish), settled_after: NEVER, ..CdnConfig::default() }
}

async fn start(cdn: CdnConfig) -> World {
    World::start_with(|config| config.cdn = cdn).await
}

fn keys(keys: &[&str], soft: bool) -> PurgeRequest {
    let keys = Some(keys.iter().map(|key| (*key).to_owned()).collect());
    PurgeRequest { keys, soft, ..PurgeRequest::default() }
}

fn urls(urls: &[&str], soft: bool) -> PurgeRequest {
    let urls = Some(urls.iter().map(|url| (*url).to_owned()).collect());
    PurgeRequest { urls, soft, ..PurgeRequest::default() }
}

async fn purge(world: &World, body: &PurgeRequest) {
    world.api.purge(&slug("shop"), body).await.unwrap();
}

async fn hook(world: &World) -> CdnHook {
    let mut hooks = world.api.list_cdn_hooks().await.unwrap();
    assert_eq!(hooks.len(), 1);
    hooks.remove(0)
}

/// The state that a hook comes to.
async fn hook_when(world: &World, what: &str, is: impl Fn(&CdnHook) -> bool) -> CdnHook {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let hook = hook(world).await;
        if is(&hook) {
            return hook;
        }
        assert!(Instant::now() < deadline, "not soon: {what}: {hook:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn fastly_is_told_what_each_change_makes_stale() {
    let mut cdn = FakeCdn::start().await;
    let world = start(fastly(&cdn)).await;
    let id = world.project("shop").await.project.id;
    let hard =
        |keys: &str| format!("POST /service/SU1Z0/purge\nfastly-key: fastly-token\nsurrogate-key: {keys}");
    let soft = |keys: &str| {
        format!(
            "POST /service/SU1Z0/purge\nfastly-key: fastly-token\nfastly-soft-purge: 1\nsurrogate-key: {keys}"
        )
    };
    let first = deploy(&world, "1", None).await;
    assert_eq!(cdn.call().await, hard(&format!("a-{id}-production")), "a deployment goes live");
    deploy(&world, "2", Some("next")).await;
    assert_eq!(cdn.call().await, hard(&format!("a-{id}-next")), "a preview leaves production alone");
    let second = deploy(&world, "3", None).await;
    cdn.call().await;
    assert_eq!(world.api.roll_back(&slug("shop")).await.unwrap().id, first);
    assert_eq!(cdn.call().await, hard(&format!("a-{id}-production")), "a roll back");
    let promote = Promote { deployment_id: second, alias: None };
    world.api.promote(&slug("shop"), &promote).await.unwrap();
    assert_eq!(cdn.call().await, hard(&format!("a-{id}-production")), "a promote");
    world.api.update_project(&slug("shop"), &UpdateProject::default()).await.unwrap();
    assert_eq!(cdn.call().await, hard(&format!("p-{id}")), "settings");
    let hostname: Hostname = "www.example.com".parse().unwrap();
    let domain = world.api.add_domain(&slug("shop"), &AddDomain::new(hostname)).await.unwrap().domain;
    let proven = "update domains set verified_at = now(), proof_name = hostname";
    world.database.connect().await.execute(proven, &[]).await.unwrap();
    world.api.remove_domain(&slug("shop"), domain.id).await.unwrap();
    assert_eq!(cdn.call().await, hard(&format!("p-{id}")), "a domain");
    purge(&world, &keys(&["news", "sport"], false)).await;
    assert_eq!(cdn.call().await, hard("news sport"));
    purge(&world, &keys(&["news"], true)).await;
    assert_eq!(cdn.call().await, soft("news"));
    purge(&world, &PurgeRequest { all: true, soft: true, ..PurgeRequest::default() }).await;
    assert_eq!(cdn.call().await, soft(&format!("p-{id}")));
    purge(&world, &urls(&["https://shop.localhost/a?b=c"], true)).await;
    let url = "POST /purge/shop.localhost/a?b=c\nfastly-key: fastly-token\nfastly-soft-purge: 1";
    assert_eq!(cdn.call().await, url);
    world.api.delete_project(&slug("shop")).await.unwrap();
    assert_eq!(cdn.call().await, hard(&format!("p-{id}")), "a project that is gone");
    hook_when(&world, "everything is told", |hook| hook.waiting == 0).await;
    assert_eq!(cdn.others(), Vec::<String>::new());
}

#[tokio::test]
async fn cloudflare_is_told_tags_and_addresses() {
    let mut cdn = FakeCdn::start().await;
    let world = start(cloudflare(&cdn)).await;
    let id = world.project("shop").await.project.id;
    let call = |body: &str| {
        let head = "POST /client/v4/zones/023e/purge_cache\nauthorization: Bearer cloudflare-token";
        format!("{head}\ncontent-type: application/json\n{body}")
    };
    deploy(&world, "1", None).await;
    assert_eq!(cdn.call().await, call(&format!(r#"{{"tags":["a-{id}-production"]}}"#)));
    purge(&world, &keys(&["news"], true)).await;
    assert_eq!(cdn.call().await, call(r#"{"tags":["news"]}"#), "there is no soft purge");
    purge(&world, &urls(&["shop.localhost/a?b=c"], false)).await;
    assert_eq!(cdn.call().await, call(r#"{"files":["http://shop.localhost:8080/a?b=c"]}"#));
    let many: Vec<String> = (0..256).map(|number| format!("k{number:03}")).collect();
    purge(&world, &keys(&many.iter().map(String::as_str).collect::<Vec<_>>(), false)).await;
    for range in [0..100, 100..200, 200..256] {
        let tags: Vec<String> = range.map(|number| format!("\"k{number:03}\"")).collect();
        assert_eq!(cdn.call().await, call(&format!(r#"{{"tags":[{}]}}"#, tags.join(","))));
    }
}

#[tokio::test]
async fn every_varnish_is_told_keys_and_addresses() {
    let mut one = FakeCdn::start().await;
    let mut two = FakeCdn::start().await;
    let world = start(varnish(&[&one, &two])).await;
    let id = world.project("shop").await.project.id;
    deploy(&world, "1", None).await;
    purge(&world, &keys(&["news"], true)).await;
    purge(&world, &urls(&["https://shop.localhost/a?b=c"], false)).await;
    for cdn in [&mut one, &mut two] {
        // Events that were committed close together may be told together, the hard ones first.
        let mut calls = [cdn.call().await, cdn.call().await, cdn.call().await];
        calls.sort();
        let expected = [
            format!("PURGE /\nxkey-purge: a-{id}-production"),
            "PURGE /\nxkey-softpurge: news".to_owned(),
            "PURGE /a?b=c\nhost: shop.localhost".to_owned(),
        ];
        assert_eq!(calls, expected);
    }
    purge(&world, &urls(&["shop.localhost/"], true)).await;
    assert_eq!(one.call().await, "PURGE /\nhost: shop.localhost\nsoft-purge: 1");
}

#[tokio::test]
async fn a_cdn_is_told_again_once_every_edge_has_followed() {
    let mut cdn = FakeCdn::start().await;
    let settled_after = Duration::from_millis(1500);
    let world = start(CdnConfig { settled_after, ..fastly(&cdn) }).await;
    world.project("shop").await;
    deploy(&world, "1", None).await;
    let first = cdn.call().await;
    let told = Instant::now();
    assert_eq!(cdn.call().await, first);
    assert!(told.elapsed() > settled_after / 2, "{:?}", told.elapsed());
    hook_when(&world, "it is told twice", |hook| hook.settling == 0).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_told_after_failures_and_a_restart() {
    let mut cdn = FakeCdn::start().await;
    let mut world = start(fastly(&cdn)).await;
    let id = world.project("shop").await.project.id;
    cdn.answers(&[Answer::Status(503), Answer::Status(429), Answer::Status(401)]);
    cdn.answers(&[Answer::Status(503); 100]);
    deploy(&world, "1", None).await;
    let expected = format!("a-{id}-production");
    for _ in 0..2 {
        assert!(cdn.call().await.contains(&expected));
    }
    let failing = hook_when(&world, "it is seen to fail", |hook| hook.failing_since.is_some()).await;
    assert!(failing.waiting >= 1, "{failing:?}");
    assert!(failing.last_error.unwrap().contains("it answered "), "the reason is told");
    world.restart().await;
    cdn.forget_script();
    hook_when(&world, "it was told", |hook| hook.waiting == 0 && hook.failing_since.is_none()).await;
    let calls = cdn.others();
    assert!(calls.last().unwrap().contains(&expected), "{calls:?}");
    purge(&world, &keys(&["news"], false)).await;
    assert!(cdn.call().await.ends_with("surrogate-key: news"), "only what is new");
}

#[tokio::test]
async fn a_cdn_that_hangs_delays_neither_people_nor_other_cdns() {
    let hanging = FakeCdn::start().await;
    let mut well = FakeCdn::start().await;
    hanging.answers(&[Answer::Hang; 100]);
    let world = start(varnish(&[&hanging, &well])).await;
    world.project("shop").await;
    let begin = Instant::now();
    let id = deploy(&world, "1", None).await;
    for _ in 0..20 {
        world.api.promote(&slug("shop"), &Promote { deployment_id: id, alias: None }).await.unwrap();
    }
    well.call().await;
    // One call to the hanging one alone takes 10 s.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn of_several_apis_one_tells() {
    let mut cdn = FakeCdn::start().await;
    let world = start(fastly(&cdn)).await;
    world.start_another().await;
    world.start_another().await;
    world.project("shop").await;
    for number in 0..10 {
        deploy(&world, &number.to_string(), None).await;
        cdn.call().await;
        hook_when(&world, "it is noted", |hook| hook.waiting == 0).await;
    }
    assert_eq!(cdn.others(), Vec::<String>::new(), "each change was told once");
}

/// A hook that was taken out of the configuration for more than a day, for example.
#[tokio::test]
async fn a_cdn_that_missed_events_which_are_gone_forgets_every_project() {
    let mut cdn = FakeCdn::start().await;
    let mut world = start(fastly(&cdn)).await;
    let shop = world.project("shop").await.project.id;
    let blog = world.project("blog").await.project.id;
    deploy(&world, "1", None).await;
    cdn.call().await;
    hook_when(&world, "it is told", |hook| hook.waiting == 0).await;
    let client = world.database.connect().await;
    let lose = "
        delete from events where position < (select max(position) from events);
        update cdn_hooks set position = 0";
    client.batch_execute(lose).await.unwrap();
    world.restart().await;
    let call = cdn.call().await;
    assert!(call.ends_with(&format!("surrogate-key: p-{shop} p-{blog}")), "{call}");
    assert!(cdn.call().await.ends_with(&format!("a-{shop}-production")), "then the event that is left");
}
