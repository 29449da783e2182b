//! The private Postgres of `loggia up`: found on this machine, initialised, started or adopted, stopped.
//!
//! It listens on a Unix socket in a folder that only its own account may enter, and nowhere else. This module
//! knows nothing about what Loggia keeps in it.

mod home;
mod installation;
mod postmaster;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use home::Home;
use installation::Installation;
use postmaster::{Postmaster, State};
use tokio::process::Command;
use tokio::time::Instant;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

const USER: &str = "loggia";
const DATABASE: &str = "loggia";
/// No port is bound: the number is part of the socket's file name.
const PORT: u16 = 5432;
/// Debian, Ubuntu and glibc since 2.35 always have it: UTF-8 letters, byte order, the same on every machine.
const LOCALE: &str = if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" };

/// Replaying the log after a power cut takes seconds on a small database; a minute is plenty on a slow disk.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// The servers of a killed postmaster notice within a second, and hold its shared memory until they do.
const LAUNCH_TRIES_MAX: u32 = 5;
const LAUNCH_PAUSE: Duration = Duration::from_secs(1);
/// Some 100,000 lines; the one before is kept beside it.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// What the server runs with. The values hold no character that the shell of `pg_ctl` would read.
///
/// Memory for a small machine; durability stays as Postgres ships it. `log_min_messages=log` leaves failed
/// statements out of the server's log: the api reports them, and they may quote a person's data.
const SETTINGS: [&str; 8] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "shared_buffers=32MB",
    "max_connections=100",
    "log_min_messages=log",
    "log_checkpoints=off",
    "lc_messages=C",
    "timezone=UTC",
];

#[derive(Debug, thiserror::Error)]
pub(crate) enum PostgresError {
    #[error(
        "Postgres' server programs are not on this machine: install them with `sudo apt-get install postgresql`, \
         or name the folder that holds `pg_ctl` in LOGGIA_POSTGRES_BIN_DIR"
    )]
    NotInstalled,
    #[error("LOGGIA_POSTGRES_BIN_DIR={0} does not hold `pg_ctl`, `initdb` and `postgres`")]
    NotThere(PathBuf),
    #[error("Postgres {oldest} or newer is needed, and only Postgres {found} is on this machine")]
    TooOld { found: u32, oldest: u32 },
    #[error(
        "the database in {home} was made by Postgres {cluster}, and this machine has only {}: \
         install version {cluster} again (`sudo apt-get install postgresql-{cluster}`), or move the data with pg_upgrade",
        .found.iter().map(u32::to_string).collect::<Vec<_>>().join(" and ")
    )]
    OtherVersion { home: PathBuf, cluster: u32, found: Vec<u32> },
    #[error(
        "Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoAccount,
    #[error(
        "{link} points to {target}, which is gone: bring it back, or remove {link} to begin with an empty database"
    )]
    Lost { link: PathBuf, target: PathBuf },
    #[error("the folder {0} is in the way: it belongs to another user")]
    ForeignFolder(PathBuf),
    #[error("{action} {path}: {cause}")]
    Folder { action: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("{program} failed: {output}")]
    Program { program: &'static str, output: String },
    #[error("the private Postgres in {home} does not answer: {cause}")]
    Silent { home: PathBuf, cause: tokio_postgres::Error },
}

/// A running server. Dropping it leaves the server alone, and the next [`PrivatePostgres::start`] adopts it.
#[derive(Debug)]
pub(crate) struct PrivatePostgres {
    server: Server,
    socket_dir: PathBuf,
}

impl PrivatePostgres {
    /// Starts the Postgres of a data folder, creating it on the first call.
    ///
    /// One that still runs there (its `loggia` was killed) is adopted. Two callers at once on one folder are
    /// the caller's to prevent.
    pub(crate) async fn start(data_dir: &Path) -> Result<Self, PostgresError> {
        Self::start_with(data_dir, Path::new(home::SHARED_DIR)).await
    }

    async fn start_with(data_dir: &Path, shared_dir: &Path) -> Result<Self, PostgresError> {
        let home = Home::locate(data_dir, shared_dir)?;
        let installation = Installation::find(home.cluster_major()?, home.dir())?;
        home.create()?;
        let server = Server { installation, home };
        let socket_dir = server.run().await?;
        let postgres = Self { server, socket_dir };
        postgres.ensure_database().await?;
        Ok(postgres)
    }

    /// How to connect: role and database `loggia`, through the socket.
    pub(crate) fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_dir).port(PORT).user(USER).dbname(DATABASE);
        config
    }

    /// The same as text, for `DATABASE_URL`. The folder's name holds nothing else that needs escaping.
    pub(crate) fn url(&self) -> String {
        let host = self.socket_dir.display().to_string().replace('/', "%2F");
        format!("postgresql://{USER}@{host}:{PORT}/{DATABASE}")
    }

    /// Ends the server. Whatever is connected loses its connection; whatever was committed stays.
    pub(crate) async fn stop(self) -> Result<(), PostgresError> {
        self.server.stop().await
    }

    async fn ensure_database(&self) -> Result<(), PostgresError> {
        let silent = |cause| PostgresError::Silent { home: self.server.home.dir().to_owned(), cause };
        let mut maintenance = self.config();
        maintenance.dbname("postgres");
        let client = connect(&maintenance).await.map_err(silent)?;
        let found = client.query_opt("select 1 from pg_database where datname = $1", &[&DATABASE]).await;
        if found.map_err(silent)?.is_none() {
            client.batch_execute(&format!("create database {DATABASE}")).await.map_err(silent)?;
        }
        Ok(())
    }
}

/// Connects, giving a server that is still replaying its log until [`READY_DEADLINE`].
async fn connect(config: &tokio_postgres::Config) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let deadline = Instant::now() + READY_DEADLINE;
    loop {
        match config.connect(NoTls).await {
            Ok((client, connection)) => {
                // It ends with its client; an error reaches the client's own call.
                tokio::spawn(async { drop(connection.await) });
                return Ok(client);
            }
            Err(error) if is_starting(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_starting(error: &tokio_postgres::Error) -> bool {
    // No code: nobody listens on the socket yet.
    error.code().is_none_or(|code| *code == SqlState::CANNOT_CONNECT_NOW)
}

#[derive(Debug)]
struct Server {
    installation: Installation,
    home: Home,
}

impl Server {
    /// Makes sure that the server runs; the answer is the folder of its socket.
    async fn run(&self) -> Result<PathBuf, PostgresError> {
        self.ensure_cluster().await?;
        if let Some(running) = Postmaster::read(&self.home.cluster())? {
            match running.state() {
                State::Ready => {
                    tracing::info!(
                        pid = running.pid,
                        "Adopting the Postgres that still runs in {}",
                        self.home
                    );
                    return Ok(running.socket_dir);
                }
                State::Stopping => self.stop().await?,
                State::Gone => self.home.disown(&running)?,
            }
        }
        let socket_dir = self.home.ensure_socket_dir()?;
        self.launch(&socket_dir).await?;
        Ok(socket_dir)
    }

    /// A cluster appears whole: killed in the middle, the next try begins anew.
    async fn ensure_cluster(&self) -> Result<(), PostgresError> {
        if self.home.cluster_major()?.is_some() {
            return Ok(());
        }
        tracing::info!("Making a private Postgres {} in {}", self.installation.major, self.home);
        let unfinished = self.home.clear_unfinished()?;
        let mut initdb = self.command("initdb");
        initdb.env("PGDATA", &unfinished).args([
            "--username",
            USER,
            "--encoding",
            "UTF8",
            "--locale",
            LOCALE,
        ]);
        initdb.args(["--auth-local", "trust", "--auth-host", "reject"]);
        succeed("initdb", initdb).await?;
        self.home.finish(&unfinished)
    }

    async fn launch(&self, socket_dir: &Path) -> Result<(), PostgresError> {
        self.home.rotate_log(LOG_BYTES_MAX)?;
        let mut options = format!("-c unix_socket_directories={}", socket_dir.display());
        for setting in SETTINGS {
            options.push_str(" -c ");
            options.push_str(setting);
        }
        for attempt in 1.. {
            let mut pg_ctl = self.command("pg_ctl");
            pg_ctl.args(["start", "--wait", "--timeout", "300", "--silent"]);
            pg_ctl.args(["--log", home::LOG_FILE, "--options", &options]);
            let Err(error) = succeed("pg_ctl start", pg_ctl).await else {
                break;
            };
            let log = self.home.log_tail();
            if !log.contains("still in use") || attempt == LAUNCH_TRIES_MAX {
                let output = format!("{error}\nThe end of {}:\n{log}", self.home.log().display());
                return Err(PostgresError::Program { program: "starting Postgres", output });
            }
            tokio::time::sleep(LAUNCH_PAUSE).await;
        }
        Ok(())
    }

    async fn stop(&self) -> Result<(), PostgresError> {
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl.args(["stop", "--wait", "--timeout", "60", "--silent", "--mode", "fast"]);
        match succeed("pg_ctl stop", pg_ctl).await {
            // It may have ended by itself meanwhile.
            Err(_) if self.is_gone()? => Ok(()),
            other => other,
        }
    }

    fn is_gone(&self) -> Result<bool, PostgresError> {
        let postmaster = Postmaster::read(&self.home.cluster())?;
        Ok(postmaster.is_none_or(|postmaster| matches!(postmaster.state(), State::Gone)))
    }

    /// One of Postgres' programs, as the account that owns the cluster.
    ///
    /// The cluster goes in by `PGDATA` and the log by a relative name, because `pg_ctl` puts `-D` and `-l` into
    /// a shell line, where a folder called `$(…)` would be run.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.installation.bin_dir.join(program));
        command.current_dir(self.home.dir()).env("PGDATA", self.home.cluster()).env("LC_ALL", LOCALE);
        // A setting of the person's own shell must not point our tools at another server.
        for name in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGSERVICE"] {
            command.env_remove(name);
        }
        if let Some(account) = self.home.account() {
            // This drops the supplementary groups as well.
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

async fn succeed(program: &'static str, mut command: Command) -> Result<(), PostgresError> {
    let failed = |output: String| PostgresError::Program { program, output };
    let output = command.stdin(std::process::Stdio::null()).output().await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&text).trim())))
}
