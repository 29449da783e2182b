//! The environment variables of a build, from its assignment. Pure.
//!
//! The names of Netlify and Cloudflare Pages are there as aliases, so that a site moves here unchanged. A project's
//! own variables win over the aliases, never over `LOGGIA_*`: a build can trust those.

use std::collections::BTreeMap;

use loggia_types::build::{BuildAssignment, Environment};
use loggia_types::{Problem, VariableName, VariableValue};

type Variables = BTreeMap<String, String>;

/// Everything that a build sees, and the variables of the project that it cannot have.
#[derive(Debug)]
pub struct BuildVariables {
    pub build: Variables,
    /// As `build`, but in development mode: package managers leave out build tools in production mode.
    pub install: Variables,
    pub problems: Vec<Problem>,
}

pub fn of(build: &BuildAssignment) -> BuildVariables {
    let mut all = aliases(build);
    let mut problems = Vec::new();
    for (name, value) in build.env.iter() {
        match refusal(name, value) {
            None => drop(all.insert(name.clone(), value.clone())),
            Some(reason) => {
                problems.push(Problem::in_file("", format!("The variable {name:?} is left out: {reason}.")));
            }
        }
    }
    all.extend(own(build));
    let mut install = all.clone();
    install.remove("NODE_ENV");
    BuildVariables { build: all, install, problems }
}

fn own(build: &BuildAssignment) -> Variables {
    let mut variables = named([
        ("CI", "true".to_owned()),
        ("LOGGIA", "1".to_owned()),
        ("LOGGIA_COMMIT_SHA", build.commit.to_string()),
        ("LOGGIA_BRANCH", build.branch.to_string()),
        ("LOGGIA_URL", build.url.clone()),
        ("LOGGIA_DEPLOYMENT_URL", build.deployment_url.clone()),
        ("LOGGIA_CONTEXT", build.environment.as_str().to_owned()),
    ]);
    if let Some(number) = pull_request(build) {
        variables.insert("LOGGIA_PULL_REQUEST".to_owned(), number.to_owned());
    }
    variables
}

fn aliases(build: &BuildAssignment) -> Variables {
    let pull_request = pull_request(build);
    let context = match (build.environment, pull_request) {
        (Environment::Production, _) => "production",
        (Environment::Preview, Some(_)) => "deploy-preview",
        (Environment::Preview, None) => "branch-deploy",
    };
    let mut variables = named([
        ("COMMIT_REF", build.commit.to_string()),
        ("BRANCH", build.branch.to_string()),
        ("HEAD", build.branch.to_string()),
        ("URL", build.url.clone()),
        ("DEPLOY_URL", build.deployment_url.clone()),
        ("DEPLOY_PRIME_URL", build.url.clone()),
        ("CONTEXT", context.to_owned()),
        ("PULL_REQUEST", pull_request.is_some().to_string()),
        ("CF_PAGES", "1".to_owned()),
        ("CF_PAGES_COMMIT_SHA", build.commit.to_string()),
        ("CF_PAGES_BRANCH", build.branch.to_string()),
        ("CF_PAGES_URL", build.deployment_url.clone()),
    ]);
    if let Some(number) = pull_request {
        variables.insert("REVIEW_ID".to_owned(), number.to_owned());
    }
    variables
}

fn named<const N: usize>(pairs: [(&str, String); N]) -> Variables {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `42` for `https://pr-42--shop.example.com`. No branch has such a label: it would have been given a hash.
fn pull_request(build: &BuildAssignment) -> Option<&str> {
    let (_, host) = build.url.split_once("://")?;
    let (label, _) = host.split_once("--")?;
    label
        .strip_prefix("pr-")
        .filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Why a step could not have this variable. The api refuses these too, and may be of another version.
fn refusal(name: &str, value: &str) -> Option<String> {
    let is_fine = name.parse::<VariableName>().map(drop).map_err(|invalid| invalid.to_string());
    is_fine
        .and_then(|()| value.parse::<VariableValue>().map(drop).map_err(|invalid| invalid.to_string()))
        .err()
}

/// Values that the log must not show.
pub fn secrets(build: &BuildAssignment) -> Vec<String> {
    build.secret_names.iter().filter_map(|name| build.env.get(name)).cloned().collect()
}

/// What is said about secrets that the build lacks.
pub fn withheld(build: &BuildAssignment) -> Option<String> {
    let names: Vec<&str> = build.withheld_names.iter().map(String::as_str).collect();
    (!names.is_empty())
        .then(|| format!("Code from outside gets no secrets. Not set in this build: {}.", names.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use loggia_types::build::{BuildEnv, BuildLimits, BuildSettings};
    use loggia_types::{BuildId, DeploymentId, ProjectId, Timestamp};

    use super::*;

    fn assignment(url: &str, environment: Environment, env: &[(&str, &str)]) -> BuildAssignment {
        BuildAssignment {
            build_id: BuildId::from_parts(1, 1),
            deployment_id: DeploymentId::from_parts(1, 2),
            project_id: ProjectId::from_parts(1, 3),
            slug: "shop".parse().unwrap(),
            attempt: 1,
            lease_secs: 30,
            repository_url: "https://forge.example/acme/shop.git".parse().unwrap(),
            branch: "feature/login".parse().unwrap(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            environment,
            settings: BuildSettings::default(),
            env: BuildEnv(
                env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ),
            secret_names: BTreeSet::new(),
            withheld_names: BTreeSet::new(),
            base: None,
            url: format!("https://{url}"),
            deployment_url: "https://d-0000000000000001--shop.example.com".to_owned(),
            limits: BuildLimits { memory_bytes: 1, cpu_millis: 1, processes: 1, total_secs: 1 },
            queued_at: Timestamp::from_unix_secs(0).unwrap(),
        }
    }

    #[test]
    fn a_build_knows_where_it_will_be_seen() {
        let cases = [
            // url, environment, variable, value
            ("shop.example.com", Environment::Production, "CONTEXT", Some("production")),
            ("shop.example.com", Environment::Production, "LOGGIA_CONTEXT", Some("production")),
            ("shop.example.com", Environment::Production, "LOGGIA_URL", Some("https://shop.example.com")),
            ("shop.example.com", Environment::Production, "LOGGIA_PULL_REQUEST", None),
            ("pr-42--shop.example.com", Environment::Preview, "CONTEXT", Some("deploy-preview")),
            ("pr-42--shop.example.com", Environment::Preview, "LOGGIA_CONTEXT", Some("preview")),
            ("pr-42--shop.example.com", Environment::Preview, "LOGGIA_PULL_REQUEST", Some("42")),
            ("pr-42--shop.example.com", Environment::Preview, "REVIEW_ID", Some("42")),
            ("login--shop.example.com", Environment::Preview, "CONTEXT", Some("branch-deploy")),
            ("login--shop.example.com", Environment::Preview, "LOGGIA_PULL_REQUEST", None),
            ("login--shop.example.com", Environment::Preview, "HEAD", Some("feature/login")),
            ("login--shop.example.com", Environment::Preview, "CF_PAGES", Some("1")),
            (
                "login--shop.example.com",
                Environment::Preview,
                "CF_PAGES_URL",
                Some("https://d-0000000000000001--shop.example.com"),
            ),
            ("login--shop.example.com", Environment::Preview, "NODE_ENV", None),
        ];
        for (url, environment, name, expected) in cases {
            let variables = of(&assignment(url, environment, &[]));
            assert_eq!(variables.build.get(name).map(String::as_str), expected, "{name} of {url}");
            assert!(variables.problems.is_empty());
        }
    }

    #[test]
    fn a_project_s_variables_win_over_aliases_and_never_over_ours() {
        let own = [
            ("URL", "https://own.example"),
            ("CI", "false"),
            ("LOGGIA_BRANCH", "main"),
            ("LOGGIANO", "tomato"),
            ("A B", "1"),
            ("9", "1"),
            ("NUL", "a\0b"),
            ("NODE_ENV", "production"),
        ];
        let variables = of(&assignment("shop.example.com", Environment::Production, &own));
        let get = |name: &str| variables.build.get(name).map(String::as_str);
        assert_eq!(get("URL"), Some("https://own.example"));
        assert_eq!(get("CI"), Some("true"));
        assert_eq!(get("LOGGIA_BRANCH"), Some("feature/login"));
        assert_eq!(get("LOGGIANO"), Some("tomato"));
        assert_eq!((get("A B"), get("9"), get("NUL")), (None, None, None));
        assert_eq!(get("NODE_ENV"), Some("production"));
        assert!(
            !variables.install.contains_key("NODE_ENV"),
            "an install in production mode skips the build tools"
        );
        assert_eq!(variables.problems.len(), 5);
    }

    #[test]
    fn secrets_are_those_that_the_api_names_and_withheld_ones_are_told() {
        let env = [("API_TOKEN", "abcd"), ("STRIPE", "sk_live_12345")];
        let mut build = assignment("shop.example.com", Environment::Preview, &env);
        assert_eq!((secrets(&build), withheld(&build)), (Vec::new(), None));
        build.secret_names = ["API_TOKEN", "ELSEWHERE"].map(str::to_owned).into();
        build.withheld_names = ["B", "A"].map(str::to_owned).into();
        assert_eq!(secrets(&build), ["abcd"]);
        assert!(withheld(&build).is_some_and(|told| told.ends_with("in this build: A, B.")));
        assert!(!format!("{build:?}").contains("sk_live"), "an assignment that is logged shows names");
    }
}
