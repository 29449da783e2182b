use loggia_types::api::ErrorBody;

use super::*;

#[tokio::test]
async fn names_that_nobody_can_own_are_refused_with_what_would_be_right() {
    let (world, _names) = world().await;
    world.project("shop").await;
    let cases = [
        (r#"{"hostname":"shop.localhost"}"#, "hostname", "domain_of_the_platform"),
        (r#"{"hostname":"localhost"}"#, "hostname", "domain_of_the_platform"),
        (r#"{"hostname":"edge.example.net"}"#, "hostname", "domain_of_the_platform"),
        (r#"{"hostname":"intranet"}"#, "hostname", "invalid_domain"),
        (r#"{"hostname":"192.0.2.1"}"#, "hostname", "invalid_domain"),
        (r#"{"hostname":"co.uk"}"#, "hostname", "public_suffix"),
        (r#"{"hostname":"*.co.uk"}"#, "hostname", "public_suffix"),
        (r#"{"hostname":"pаypal.com"}"#, "hostname", "confusable_domain"),
        (r#"{"hostname":"a b"}"#, "hostname", "invalid_field"),
        (r#"{"hostname":"www.*.example.com"}"#, "hostname", "invalid_field"),
        (r#"{"hostname":"shop.example.com","with_www":true}"#, "with_www", "no_counterpart"),
        (r#"{"hostname":"www.co.uk","with_www":true}"#, "with_www", "no_counterpart"),
        (
            r#"{"hostname":"a.example.com","role":{"type":"redirect","to":"intranet"}}"#,
            "role.to",
            "invalid_redirect",
        ),
        (
            r#"{"hostname":"a.example.com","role":{"type":"redirect","to":"a.example.com"}}"#,
            "role",
            "redirect_circle",
        ),
        (
            r#"{"hostname":"*.example.com","role":{"type":"redirect","to":"a.example.com"}}"#,
            "role",
            "redirect_circle",
        ),
        (r#"{"hostname":"a.example.com","colour":1}"#, "colour", "unknown_field"),
    ];
    for (body, field, code) in cases {
        let url = format!("{}/api/v1/projects/shop/domains", world.url);
        let request = world.http.post(url).bearer_auth(crate::world::ADMIN);
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 422, "{body}");
        let error: ErrorBody = response.json().await.unwrap();
        assert_eq!(
            (error.code.as_str(), error.field.as_deref()),
            (code, Some(field)),
            "{body}: {}",
            error.detail
        );
    }
    assert_eq!(world.count("select count(*) from domains").await, 0);
}

#[tokio::test]
async fn a_project_has_so_many_domains_and_no_more() {
    let (world, _names) = world().await;
    world.project("shop").await;
    let fill = "insert into domains (domain_id, project_id, hostname, verification_token, next_check_at)
                select lpad(n::text, 16, '0'), project_id, n || '.example.org', '', null
                from projects, generate_series(1, 100) n";
    world.database.connect().await.execute(fill, &[]).await.unwrap();
    let owner = Owner { api: &world.api, project: "shop" };
    assert_eq!(owner.refused("more.example.com").await, "too_many_domains");
}
