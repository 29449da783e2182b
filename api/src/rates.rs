//! How often one may call: by account, and by address for those who do not say who they are.
//!
//! Counted in memory, by each api for itself: a limit is to keep one caller from taking the others' share, not an
//! account of use. What guards a password counts elsewhere, in the database.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use loggia_runtime::Network;

use crate::access::{Access, Caller, Who};
use crate::error::ApiError;

/// Calls a minute, and how many of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_minute: NonZeroU32,
    pub at_once: NonZeroU32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a rate is calls a minute and how many may come at once, like 600/200")]
pub struct InvalidRate;

impl std::str::FromStr for Rate {
    type Err = InvalidRate;
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (per_minute, at_once) = text.split_once('/').ok_or(InvalidRate)?;
        let number = |text: &str| text.trim().parse().map_err(|_| InvalidRate);
        Ok(Self { per_minute: number(per_minute)?, at_once: number(at_once)? })
    }
}

/// The rates of an api.
#[derive(Debug, Clone, Copy)]
pub struct RateConfig {
    /// Of a person, with all their tokens and sessions.
    pub account: Rate,
    /// Of an address (IPv6: a /64) that says not who it is.
    pub address: Rate,
    /// Of an address that delivers webhooks: a forge has a few for all of its repositories.
    pub webhooks: Rate,
}

/// Who shares a quota.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Person(loggia_types::UserId),
    Configuration,
    Address(Network),
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Rates {
    accounts: DefaultKeyedRateLimiter<Key>,
    addresses: DefaultKeyedRateLimiter<Key>,
    webhooks: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
}

impl Rates {
    pub(crate) fn new(config: &RateConfig) -> Self {
        Self {
            accounts: limiter(config.account),
            addresses: limiter(config.address),
            webhooks: limiter(config.webhooks),
            clock: DefaultClock::default(),
        }
    }

    /// One call of somebody who said who they are.
    pub(crate) fn count_caller(&self, caller: &Caller) -> Result<(), ApiError> {
        let key = match caller.who {
            Who::Person { user_id, .. } => Key::Person(user_id),
            Who::Configuration => Key::Configuration,
        };
        self.count(&self.accounts, &key)
    }

    /// One call of somebody who did not have to, or whose token is not known.
    pub(crate) fn count_address(&self, address: Option<IpAddr>, path: &str) -> Result<(), ApiError> {
        // A load balancer asks often, and for good.
        if matches!(path, "/healthz" | "/readyz") {
            return Ok(());
        }
        let key = address.map_or(Key::Unknown, |ip| Key::Address(Network::of(ip)));
        let is_webhook = path.starts_with("/api/v1/webhooks/");
        self.count(if is_webhook { &self.webhooks } else { &self.addresses }, &key)
    }

    fn count(&self, limiter: &DefaultKeyedRateLimiter<Key>, key: &Key) -> Result<(), ApiError> {
        limiter.check_key(key).map_err(|early| {
            let wait = early.wait_time_from(self.clock.now());
            ApiError::too_many("rate_limited", "too many calls", wait)
        })
    }

    /// Forgets who has not called for long: the quotas of these are full again.
    pub(crate) fn forget_idle(&self) {
        for limiter in [&self.accounts, &self.addresses, &self.webhooks] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// Whether calls of a route are counted: files of an upload come by the thousand, and builders and edges are ours.
pub(crate) fn is_counted(access: Access, path: &str) -> bool {
    !matches!(access, Access::Builder | Access::Edge) && !path.ends_with("/files/{hash}")
}

fn limiter(rate: Rate) -> DefaultKeyedRateLimiter<Key> {
    let quota = Quota::with_period(Duration::from_secs(60) / rate.per_minute.get())
        .expect("no rate is zero")
        .allow_burst(rate.at_once);
    RateLimiter::keyed(quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_two_numbers_above_zero() {
        let rate = "600/200".parse::<Rate>().expect("a rate");
        assert_eq!((rate.per_minute.get(), rate.at_once.get()), (600, 200));
        for bad in ["", "600", "0/1", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_of_one_site_share_and_others_do_not() {
        let rate: Rate = "1/2".parse().expect("a rate");
        let rates = Rates::new(&RateConfig { account: rate, address: rate, webhooks: rate });
        let call =
            |ip: &str, path: &str| rates.count_address(Some(ip.parse().expect("an address")), path).is_ok();
        assert!(call("2001:db8::1", "/api/v1/session"));
        assert!(call("2001:db8::2", "/api/v1/session"));
        assert!(!call("2001:db8::3", "/api/v1/session"));
        assert!(call("2001:db8:0:1::1", "/api/v1/session"));
        assert!(call("2001:db8::3", "/healthz"));
        assert!(call("2001:db8::3", "/api/v1/webhooks/github"), "counted apart");
    }
}
