//! What a slot remembers, and that every route is found by its hostname and by its project until it goes.

use super::*;
use loggia_types::DeploymentId;
use loggia_types::build::Environment;
use loggia_types::route::{ServeSettings, SurrogateKeys};

fn known(project: u64, deployment: u64, version: u64) -> Known {
    known_at("shop.localhost", project, deployment, version)
}

fn known_at(hostname: &str, project: u64, deployment: u64, version: u64) -> Known {
    let route = Route {
        hostname: hostname.parse().expect("valid"),
        project_id: ProjectId::from_parts(project, 1),
        slug: "shop".parse().expect("valid"),
        deployment_id: Some(DeploymentId::from_parts(deployment, 0)),
        environment: Environment::Production,
        indexable: true,
        serve: ServeSettings::default(),
        surrogate_keys: SurrogateKeys::OfDeployment,
        redirect: None,
        version: EventPosition(version),
    };
    let seen = Seen { version: route.version, checked: None };
    Known { route: Arc::new(route), seen }
}

#[test]
fn what_was_shown_before_is_known_until_the_next_is_shown() {
    let slot = Slot::new("shop.localhost".parse().expect("valid"));
    let before = |known: &Known| slot.shown_before(&known.route).map(|route| route.version.0);
    let [first, second, third] = [known(1, 1, 1), known(1, 2, 2), known(1, 3, 3)];
    slot.put(first.clone());
    assert_eq!(before(&first), None, "nothing else was there");
    slot.put(second.clone());
    assert_eq!(before(&second), Some(1), "it may have been shown before a restart");
    slot.put(third.clone());
    assert_eq!(before(&third), Some(1), "the second was never shown");
    // One who asked before the third came.
    slot.show(&second.route);
    assert_eq!(before(&third), Some(2));
    slot.show(&first.route);
    assert_eq!(before(&third), Some(2), "never backwards");
    slot.show(&third.route);
    assert_eq!(before(&third), None);
    assert_eq!(before(&second), None, "it is older than what was shown");
}

#[test]
fn a_hostname_with_another_owner_shows_nothing_of_the_one_before() {
    let slot = Slot::new("shop.localhost".parse().expect("valid"));
    let [theirs, ours] = [known(1, 1, 1), known(2, 2, 2)];
    slot.put(theirs.clone());
    slot.show(&theirs.route);
    slot.put(ours.clone());
    assert!(slot.shown_before(&ours.route).is_none());
}

#[test]
fn routes_are_found_by_hostname_and_by_project() {
    let held = Held::new(1000);
    let name = |n: u64| format!("site-{n}.localhost");
    // Three hostnames of each project.
    for n in 0..300 {
        held.put(known_at(&name(n), n / 3, 1, 5));
    }
    let found = |n: u64| held.get(&name(n).parse().expect("valid")).map(|(_, known)| known.route.project_id);
    let names = |project: u64| {
        let routes = held.of_project(ProjectId::from_parts(project, 1));
        let mut names: Vec<String> = routes.iter().map(|route| route.hostname.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!((held.count(), found(7), found(300)), (300, Some(ProjectId::from_parts(2, 1)), None));
    assert_eq!(names(0), [name(0), name(1), name(2)]);
    // One goes, and one goes to another project.
    assert!(held.remove(&name(0).parse().expect("valid")).is_some());
    held.put(known_at(&name(1), 1, 1, 6));
    assert_eq!((names(0), names(1)), (vec![name(2)], vec![name(1), name(3), name(4), name(5)]));
    held.remove(&name(2).parse().expect("valid"));
    assert!(names(0).is_empty() && held.count() == 298);
    // An event of before the last look is no news.
    let at = |position| held.invalidate(ProjectId::from_parts(1, 1), EventPosition(position)).len();
    assert_eq!((at(5), at(6), at(7)), (0, 3, 4));
}

#[test]
fn whoever_holds_a_slot_sees_that_its_route_is_gone() {
    let held = Held::new(1000);
    let known = known(1, 1, 1);
    let slot = held.put(known.clone());
    assert!(slot.seen_of(&known.route).is_some());
    held.remove(&known.route.hostname);
    assert!(slot.seen_of(&known.route).is_none() && slot.known().is_none());
}

#[test]
fn without_room_what_was_checked_longest_ago_goes() {
    let held = Held::new(64 * 100);
    let started = std::time::Instant::now();
    let put = |n: u64| {
        let at = started + std::time::Duration::from_millis(n);
        let seen = Seen { version: EventPosition(1), checked: Some(Checked::new(0, started, at)) };
        held.put(Known { seen, ..known_at(&format!("site-{n}.localhost"), n, 1, 1) });
    };
    (0..20_000).for_each(put);
    let is_held = |n: u64| held.get(&format!("site-{n}.localhost").parse().expect("valid")).is_some();
    assert!((64 * 90..=64 * 100).contains(&held.count()), "{}", held.count());
    assert!((19_000..20_000).all(is_held) && !(0..10_000).any(is_held));
    let listed = (0..20_000).filter(|n| !held.of_project(ProjectId::from_parts(*n, 1)).is_empty()).count();
    assert_eq!(listed as u64, held.count(), "what goes is listed nowhere");
}

/// What a million routes take, with all that the allocator adds, and what a look-up among them costs. For
/// docs/BENCHMARKS.md; it prints and asserts the former.
#[test]
#[ignore = "a measurement: make bench"]
#[allow(clippy::print_stdout, reason = "it is for a person")]
fn a_million_routes() {
    const ROUTES: u64 = 1_000_000;
    let name = |n: u64| format!("site-{n}.pages.example.org");
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
        pages * 4096
    };
    let started = std::time::Instant::now();
    let before = resident();
    // A little room in each of the sets, which chance does not fill alike.
    let held = Held::new(1_100_000);
    for n in 0..ROUTES {
        let known = known_at(&name(n), n, n, 1);
        let seen = Seen { version: EventPosition(1), checked: Some(Checked::new(0, started, started)) };
        let route = Route {
            slug: format!("site-{n}").parse().expect("valid"),
            surrogate_keys: SurrogateKeys::OfProduction,
            ..(*known.route).clone()
        };
        let slot = held.put(Known { route: Arc::new(route), seen });
        slot.show(&slot.known().expect("just put there").route);
    }
    let bytes = (resident() - before) / held.count();
    let names: Vec<Hostname> =
        (0..ROUTES).step_by(7).map(|n| name(n * 7919 % ROUTES).parse().expect("valid")).collect();
    let asked = std::time::Instant::now();
    let found = names.iter().filter(|name| held.get(name).is_some()).count();
    let nanos = asked.elapsed().as_nanos() / names.len() as u128;
    assert_eq!(found, names.len());
    println!("{} routes: {bytes} bytes each, a look-up {nanos} ns", held.count());
    assert!(bytes <= 400, "{bytes} bytes");
}
