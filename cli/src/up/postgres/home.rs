//! The folder of a private Postgres, and the account that owns it.
//!
//! ```text
//! {data_dir}/postgres/           0700, or a link to where it really is
//!   data/                        the cluster
//!   data.new/                    one that `initdb` has not finished
//!   postgres.log, postgres.log.1
//!   socket/                      unless its path is too long for a socket
//! ```

use std::fmt::{Display, Formatter};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, fchown, symlink};
use std::path::{Path, PathBuf};
use std::{fs, io};

use data_encoding::HEXLOWER;
use nix::unistd::{Uid, User};
use sha2::{Digest, Sha256};

use super::PostgresError;
use super::postmaster::{PID_FILE, Postmaster};

/// For clusters of root whose data folder lies where another account cannot go, `/root` say.
pub(super) const SHARED_DIR: &str = "/var/lib/loggia";
pub(super) const LOG_FILE: &str = "postgres.log";

/// A socket's path holds 107 bytes on Linux (103 on macOS); `/.s.PGSQL.5432` takes 14 of them.
const SOCKET_DIR_LEN_MAX: usize = 103 - 14;
const LOG_TAIL_BYTES: u64 = 2_000;

/// Whom the server runs as when we are root, as which Postgres refuses to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    account: Option<Account>,
    /// Where the data folder will point to `dir` from, when `dir` has to be elsewhere and is new.
    link: Option<PathBuf>,
}

impl Home {
    /// Decides where the home is, creating nothing but the data folder itself.
    pub(super) fn locate(data_dir: &Path, shared_dir: &Path) -> Result<Self, PostgresError> {
        let data_dir = fs::create_dir_all(data_dir).and_then(|()| data_dir.canonicalize());
        let data_dir = data_dir.map_err(failed("creating", Path::new("the data folder")))?;
        let inside = data_dir.join("postgres");
        match inside.canonicalize() {
            Ok(dir) => {
                return Ok(Self { account: Account::of_existing(&dir)?, dir, link: None });
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("opening", &inside)(error));
            }
            Err(_) => {}
        }
        if let Ok(target) = inside.read_link() {
            return Err(PostgresError::Lost { link: inside, target });
        }
        let account = Account::for_new()?;
        if account.is_none_or(|account| account.can_enter(&data_dir)) {
            return Ok(Self { dir: inside, account, link: None });
        }
        Ok(Self { dir: free_folder(shared_dir, &data_dir), account, link: Some(inside) })
    }

    pub(super) fn create(&self) -> Result<(), PostgresError> {
        if let Some(link) = &self.link {
            self.create_shared(link)?;
        }
        self.create_private(&self.dir)
    }

    fn create_shared(&self, link: &Path) -> Result<(), PostgresError> {
        let parent = self.dir.parent().expect("free_folder puts it two folders deep");
        let shared = parent.parent().expect("free_folder puts it two folders deep");
        fs::create_dir_all(parent).map_err(failed("creating", parent))?;
        for folder in [shared, parent] {
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(folder, open).map_err(failed("opening", folder))?;
        }
        self.create_private(&self.dir)?;
        symlink(&self.dir, link).map_err(failed("linking", link))?;
        tracing::info!(
            "The database lives in {self}, because the account that runs Postgres cannot enter {}",
            link.parent().unwrap_or(link).display()
        );
        Ok(())
    }

    /// Creates a folder for the account alone, or makes sure that an existing one is that.
    fn create_private(&self, dir: &Path) -> Result<(), PostgresError> {
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return self.check_private(dir),
            Err(error) => return Err(failed("creating", dir)(error)),
        }
        let Some(account) = self.account else {
            return Ok(());
        };
        chown(dir, Some(account.uid), Some(account.gid)).map_err(failed("giving away", dir))
    }

    /// In `/tmp` anybody could have made a folder or a link of that name before us.
    fn check_private(&self, dir: &Path) -> Result<(), PostgresError> {
        let found = fs::symlink_metadata(dir).map_err(failed("opening", dir))?;
        let owner = self.account.map_or(Uid::effective().as_raw(), |account| account.uid);
        if found.is_dir() && found.uid() == owner && found.mode() & 0o077 == 0 {
            return Ok(());
        }
        // Our own, from a run that ended before it gave the folder away.
        if found.is_dir() && found.uid() == 0 && Uid::effective().is_root() {
            let account = self.account.unwrap_or(Account { uid: 0, gid: 0 });
            return chown(dir, Some(account.uid), Some(account.gid)).map_err(failed("giving away", dir));
        }
        Err(PostgresError::ForeignFolder(dir.to_owned()))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join(LOG_FILE)
    }

    /// The version whose data is here; `None` before the first start.
    pub(super) fn cluster_major(&self) -> Result<Option<u32>, PostgresError> {
        let path = self.cluster().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let major =
                    text.trim().parse().map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
                major.map(Some).map_err(failed("reading", &path))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("reading", &path)(error)),
        }
    }

    /// A free path for `initdb`.
    pub(super) fn clear_unfinished(&self) -> Result<PathBuf, PostgresError> {
        let unfinished = self.dir.join("data.new");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("clearing", &unfinished)(error)),
            _ => Ok(unfinished),
        }
    }

    pub(super) fn finish(&self, unfinished: &Path) -> Result<(), PostgresError> {
        let renamed =
            fs::rename(unfinished, self.cluster()).and_then(|()| fs::File::open(&self.dir)?.sync_all());
        renamed.map_err(failed("finishing", unfinished))
    }

    /// Makes lock files that name a process which is not ours name none.
    ///
    /// After a crash the number may belong to any process (or to a dead one that nobody has collected), and
    /// Postgres would refuse to start beside it. Only the number goes: the rest of the pid file is how Postgres
    /// notices servers of the old postmaster that are still writing.
    pub(super) fn disown(&self, gone: &Postmaster) -> Result<(), PostgresError> {
        let path = self.cluster().join(PID_FILE);
        self.replace(&path, &gone.disowned()).map_err(failed("replacing", &path))?;
        let lock = gone.socket_dir.join(".s.PGSQL.5432.lock");
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("removing", &lock)(error)),
            _ => Ok(()),
        }
    }

    /// Never writes through what stands at `path`: the account could have put a link there, and we may be root.
    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        file.write_all(text.as_bytes())?;
        if let Some(account) = self.account {
            fchown(file.as_file(), Some(account.uid), Some(account.gid))?;
        }
        file.persist(path)?;
        Ok(())
    }

    /// A folder for the socket: in here, or under a short name when the path is too long, or has characters
    /// that would need quoting on the server's command line.
    pub(super) fn ensure_socket_dir(&self) -> Result<PathBuf, PostgresError> {
        let inside = self.dir.join("socket");
        let dir = if is_plain(&inside) {
            inside
        } else {
            let parent = if Uid::effective().is_root() { "/run" } else { "/tmp" };
            Path::new(parent).join(format!("loggia-{}", short_hash(&self.dir)))
        };
        self.create_private(&dir)?;
        Ok(dir)
    }

    pub(super) fn rotate_log(&self, bytes_max: u64) -> Result<(), PostgresError> {
        let log = self.log();
        if fs::metadata(&log).is_ok_and(|found| found.len() > bytes_max) {
            fs::rename(&log, log.with_extension("log.1")).map_err(failed("rotating", &log))?;
        }
        Ok(())
    }

    /// The log's last lines, to be shown when the server does not start.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(self.log())?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            file.take(LOG_TAIL_BYTES).read_to_end(&mut tail)?;
            Ok(tail)
        };
        read().map(|tail| String::from_utf8_lossy(&tail).into_owned()).unwrap_or_default()
    }
}

impl Display for Home {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.dir.display().fmt(f)
    }
}

impl Account {
    fn for_new() -> Result<Option<Self>, PostgresError> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        let named = |name| User::from_name(name).ok().flatten();
        let user = named("postgres").or_else(|| named("nobody")).ok_or(PostgresError::NoAccount)?;
        Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// Who made the cluster keeps it: a person who starts with `sudo` later gets the same database.
    fn of_existing(dir: &Path) -> Result<Option<Self>, PostgresError> {
        let found = fs::metadata(dir).map_err(failed("opening", dir))?;
        if Uid::effective().is_root() && found.uid() != 0 {
            return Ok(Some(Self { uid: found.uid(), gid: found.gid() }));
        }
        Self::for_new()
    }

    /// Whether the account may go to this folder, through every one above it.
    fn can_enter(self, dir: &Path) -> bool {
        dir.ancestors().all(|folder| {
            fs::metadata(folder).is_ok_and(|found| {
                let bit = match (found.uid() == self.uid, found.gid() == self.gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                found.mode() & bit != 0
            })
        })
    }
}

/// `{shared}/{hash of the data folder}/postgres`, numbered when there is one already: that one belongs to a
/// data folder of the same name that has been removed or moved, and may be wanted again.
fn free_folder(shared_dir: &Path, data_dir: &Path) -> PathBuf {
    let name = short_hash(data_dir);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .map(|name| shared_dir.join(name))
        .find(|folder| fs::symlink_metadata(folder).is_err())
        .expect("the numbers do not end")
        .join("postgres")
}

fn short_hash(path: &Path) -> String {
    HEXLOWER.encode(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..6])
}

fn is_plain(dir: &Path) -> bool {
    let bytes = dir.as_os_str().as_encoded_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    bytes.len() <= SOCKET_DIR_LEN_MAX && bytes.iter().all(plain)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let path = path.to_owned();
    move |cause| PostgresError::Folder { action, path, cause }
}
