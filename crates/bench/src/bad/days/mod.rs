//! The bad days, each of which can be played alone.

mod cold_hosts;
mod control_plane;
mod events;
mod flips;
mod floods;
mod reloads;
mod scan;
mod slow_clients;
mod stampede;
mod store;

use std::fmt;

use anyhow::Context as _;

use super::findings::Findings;
use super::stage::Stage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    ControlPlane,
    Store,
    Stampede,
    ColdHosts,
    Flips,
    Events,
    SlowClients,
    Floods,
    Reloads,
    Scan,
}

impl Day {
    const ALL: [Self; 10] = [
        Self::ControlPlane,
        Self::Store,
        Self::Stampede,
        Self::ColdHosts,
        Self::Flips,
        Self::Events,
        Self::SlowClients,
        Self::Floods,
        Self::Reloads,
        Self::Scan,
    ];

    /// What `--only` takes.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Store => "store",
            Self::Stampede => "stampede",
            Self::ColdHosts => "cold-hosts",
            Self::Flips => "flips",
            Self::Events => "events",
            Self::SlowClients => "slow-clients",
            Self::Floods => "floods",
            Self::Reloads => "reloads",
            Self::Scan => "scan",
        }
    }

    /// What the table calls it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::ControlPlane => "api and Postgres are away",
            Self::Store => "S3 is broken",
            Self::Stampede => "all ask for one cold object",
            Self::ColdHosts => "the api was restarted",
            Self::Flips => "promotes under load",
            Self::Events => "the event stream is broken",
            Self::SlowClients => "slow clients",
            Self::Floods => "HTTP/2 floods",
            Self::Reloads => "the binary is reloaded",
            Self::Scan => "a crawler reads everything",
        }
    }

    /// All of them when none is named.
    pub(super) fn chosen(names: &[String]) -> anyhow::Result<Vec<Self>> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let known = || Self::ALL.map(Self::text).join(", ");
        let find = |name: &String| {
            let found = Self::ALL.into_iter().find(|day| day.text() == name);
            found.with_context(|| format!("no day {name:?}; there are {}", known()))
        };
        names.iter().map(find).collect()
    }

    pub(super) async fn play(self, stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
        match self {
            Self::ControlPlane => Box::pin(control_plane::play(stage, findings)).await,
            Self::Store => Box::pin(store::play(stage, findings)).await,
            Self::Stampede => Box::pin(stampede::play(stage, findings)).await,
            Self::ColdHosts => Box::pin(cold_hosts::play(stage, findings)).await,
            Self::Flips => Box::pin(flips::play(stage, findings)).await,
            Self::Events => Box::pin(events::play(stage, findings)).await,
            Self::SlowClients => Box::pin(slow_clients::play(stage, findings)).await,
            Self::Floods => Box::pin(floods::play(stage, findings)).await,
            Self::Reloads => Box::pin(reloads::play(stage, findings)).await,
            Self::Scan => Box::pin(scan::play(stage, findings)).await,
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_chosen_by_name() {
        assert_eq!(Day::chosen(&[]).unwrap(), Day::ALL);
        let names = Day::ALL.map(|day| day.text().to_owned());
        assert_eq!(Day::chosen(&names).unwrap(), Day::ALL);
        let error = Day::chosen(&["list".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("control-plane, store"), "{error}");
    }
}
