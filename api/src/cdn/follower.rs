//! One hook in one pass: takes the turn, tells what is new, notes how far it came.

use std::time::Duration;

use loggia_types::{EventPosition, SurrogateKey};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::{CALL_TIMEOUT, Hook, Request};
use crate::app::App;
use crate::db::cdn_hooks::{self, Claim, Pass};
use crate::db::{self, DbError};

/// Longer than one call; the turn of an api that died is over after this.
const LEASE: Duration = Duration::from_secs(CALL_TIMEOUT.as_secs() + 5);
/// What woke nobody, a retry among it, is found after this at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// More events than a batch ever takes, unless they name nothing.
const EVENTS_AT_ONCE: i64 = 64;
/// 1 s, 2 s, … 1 min: a CDN that is back is told within a minute, and one that limits us is left alone.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Well within the day after which a hook counts as given up.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Follower {
    app: App,
    client: reqwest::Client,
    hook: Hook,
    name: String,
    pass: Pass,
    /// A turn that was taken and not given back.
    has_turn: bool,
    is_registered: bool,
    looked_at: Option<Instant>,
    /// When the outage that lasts was reported last.
    reported: Option<Instant>,
    database_failing: bool,
}

impl Follower {
    pub(super) fn new(app: App, client: reqwest::Client, hook: Hook, pass: Pass) -> Self {
        let name = hook.name();
        Self {
            app,
            client,
            hook,
            name,
            pass,
            has_turn: false,
            is_registered: false,
            looked_at: None,
            reported: None,
            database_failing: false,
        }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut committed = self.app.events.subscribe();
        loop {
            committed.mark_unchanged();
            let Some(outcome) = shutdown.run_until_cancelled(self.step()).await else {
                return self.give_turn_back().await;
            };
            if self.is_more_to_tell(outcome) {
                continue;
            }
            tokio::select! {
                _ = committed.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn is_more_to_tell(&mut self, outcome: Result<bool, DbError>) -> bool {
        match outcome {
            Ok(told) => {
                self.database_failing = false;
                told
            }
            Err(error) => {
                if !std::mem::replace(&mut self.database_failing, true) {
                    tracing::warn!(
                        hook = self.name,
                        "What {} has to forget cannot be read: {error}",
                        self.name
                    );
                }
                false
            }
        }
    }

    /// Tells one batch. True if it was told, and there may be more.
    async fn step(&mut self) -> Result<bool, DbError> {
        let Some(claim) = self.claim().await? else {
            return Ok(false);
        };
        self.has_turn = true;
        let Some((batch, position)) = self.batch(claim.position).await? else {
            return Ok(false);
        };
        match self.tell(&batch).await? {
            Ok(()) => self.note_told(position).await.map(|()| true),
            Err(cause) => self.note_failed(claim, &cause).await.map(|()| false),
        }
    }

    async fn claim(&mut self) -> Result<Option<Claim>, DbError> {
        let client = self.app.db().await?;
        if !self.is_registered {
            cdn_hooks::ensure(&client, &self.name, self.pass).await?;
            self.is_registered = true;
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOKED_AT_EVERY) {
            cdn_hooks::mark_looked_at(&client, &self.name, self.pass).await?;
            self.looked_at = Some(Instant::now());
        }
        cdn_hooks::claim(&client, &self.name, self.pass, self.delay(), LEASE).await
    }

    fn delay(&self) -> Duration {
        match self.pass {
            Pass::AtOnce => Duration::ZERO,
            Pass::Settled => self.app.config.cdn.settled_after,
        }
    }

    async fn batch(&self, position: EventPosition) -> Result<Option<(Batch, EventPosition)>, DbError> {
        let client = self.app.db().await?;
        let (first, _) = db::events::bounds(&client).await?;
        if position.0 + 1 < first.0 {
            // It was not configured for longer than events are kept. Nobody knows what it missed.
            let projects = db::projects::list_ids(&client).await?;
            let batch = Batch::of_keys(projects.into_iter().map(SurrogateKey::project));
            return Ok(Some((batch, EventPosition(first.0 - 1))));
        }
        let events = db::events::list_stale(&client, position, self.delay(), EVENTS_AT_ONCE).await?;
        Ok(Batch::collect(events))
    }

    /// The inner error is the CDN's, and says why.
    async fn tell(&self, batch: &Batch) -> Result<Result<(), String>, DbError> {
        for request in self.hook.requests(batch) {
            cdn_hooks::extend(&self.app.db().await?, &self.name, self.pass, LEASE).await?;
            if let Err(cause) = self.call(request).await {
                return Ok(Err(cause));
            }
        }
        Ok(Ok(()))
    }

    async fn call(&self, request: Request) -> Result<(), String> {
        let request = reqwest::Request::try_from(request).map_err(without_url)?;
        let response = self.client.execute(request).await.map_err(without_url)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status @ (http::StatusCode::UNAUTHORIZED | http::StatusCode::FORBIDDEN) => {
                Err(format!("it answered {status}: look at the token's rights, or who may purge"))
            }
            status => Err(format!("it answered {status}")),
        }
    }

    async fn note_told(&mut self, position: EventPosition) -> Result<(), DbError> {
        cdn_hooks::mark_told(&self.app.db().await?, &self.name, self.pass, position).await?;
        self.has_turn = false;
        if self.reported.take().is_some() {
            tracing::info!(hook = self.name, "{} takes purges again", self.name);
        }
        Ok(())
    }

    async fn note_failed(&mut self, claim: Claim, cause: &str) -> Result<(), DbError> {
        let pause = pause(claim.failures, rand::random());
        cdn_hooks::mark_failed(&self.app.db().await?, &self.name, self.pass, pause, cause).await?;
        self.has_turn = false;
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.reported = Some(Instant::now());
            tracing::warn!(
                hook = self.name,
                "{} cannot be told what to forget, trying again: {cause}",
                self.name
            );
        }
        Ok(())
    }

    /// Another api, or this one after its restart, need not wait for the lease.
    async fn give_turn_back(&self) {
        if !self.has_turn {
            return;
        }
        let Ok(client) = self.app.db().await else { return };
        // When it fails, the lease ends by itself.
        let _ = cdn_hooks::extend(&client, &self.name, self.pass, Duration::ZERO).await;
    }
}

/// `random` is between 0 and 1: several hooks that failed together do not come back together.
fn pause(failures: i32, random: f64) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(0).min(6);
    (PAUSE_MIN * 2_u32.pow(doublings)).min(PAUSE_MAX).mul_f64(0.5 + random / 2.0)
}

/// What went wrong down to its cause. The address is known, and a part of it may be nobody's business.
fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_are_spread() {
        let seconds = |failures, random| pause(failures, random).as_secs_f64();
        let cases = [(0, 1.0), (1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (1_000_000, 60.0), (-1, 1.0)];
        for (failures, longest) in cases {
            assert_eq!(
                (seconds(failures, 0.0), seconds(failures, 1.0)),
                (longest / 2.0, longest),
                "{failures}"
            );
        }
    }
}
