//! With the real Postgres of this machine. As root they also show how it runs under another account.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

use super::*;

/// A data folder that the server's account can enter (`mode` 0711), or not.
struct World {
    root: TempDir,
    mode: u32,
}

impl World {
    fn new(mode: u32) -> Self {
        let root =
            tempfile::Builder::new().prefix("loggia-pg-").tempdir_in("/tmp").expect("a temporary folder");
        std::fs::set_permissions(root.path(), Permissions::from_mode(0o711)).expect("own folder");
        let world = Self { root, mode };
        std::fs::create_dir(world.parent()).expect("an empty folder");
        std::fs::set_permissions(world.parent(), Permissions::from_mode(mode)).expect("own folder");
        world
    }

    fn parent(&self) -> PathBuf {
        self.root.path().join(format!("{:o}", self.mode))
    }

    fn data_dir(&self) -> PathBuf {
        self.parent().join("data")
    }

    async fn start(&self) -> Result<PrivatePostgres, PostgresError> {
        self.start_in(&self.data_dir()).await
    }

    async fn start_in(&self, data_dir: &Path) -> Result<PrivatePostgres, PostgresError> {
        PrivatePostgres::start_with(data_dir, &self.root.path().join("shared")).await
    }
}

async fn sql(postgres: &PrivatePostgres, text: &str) -> String {
    let client = connect(&postgres.config()).await.expect("a running server");
    let rows = client.simple_query(text).await.expect("good SQL");
    let values = rows.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    values.collect::<Vec<_>>().join(",")
}

fn pid(postgres: &PrivatePostgres) -> i32 {
    let postmaster = Postmaster::read(&postgres.server.home.cluster()).expect("readable");
    postmaster.expect("a running server").pid
}

#[tokio::test]
async fn a_row_is_there_after_a_stop_and_a_start_and_durability_is_on() {
    let world = World::new(0o711);
    let postgres = world.start().await.expect("a first start");
    let settings = "select current_setting(name) from unnest(array['fsync', 'synchronous_commit', \
                    'full_page_writes', 'server_encoding', 'listen_addresses']) as name";
    assert_eq!(sql(&postgres, settings).await, "on,on,on,UTF8,");
    sql(&postgres, "create table kept (id int); insert into kept values (42)").await;
    postgres.stop().await.expect("a clean stop");

    let postgres = world.start().await.expect("a second start");
    assert_eq!(sql(&postgres, "select id from kept").await, "42");
    let by_url: tokio_postgres::Config = postgres.url().parse().expect("a good URL");
    assert_eq!(by_url, postgres.config());
    let modes = [postgres.server.home.dir(), &postgres.socket_dir]
        .map(|dir| std::fs::metadata(dir).expect("our folder").permissions().mode() & 0o777);
    assert_eq!(modes, [0o700, 0o700]);
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_server_whose_loggia_was_killed_is_adopted() {
    let world = World::new(0o711);
    let first = world.start().await.expect("a first start");
    let first_pid = pid(&first);
    drop(first);

    let second = world.start().await.expect("the same server");
    assert_eq!(pid(&second), first_pid);
    second.stop().await.expect("a clean stop");
    assert_eq!(Postmaster::read(&world.data_dir().join("postgres/data")).expect("readable"), None);
}

#[tokio::test]
async fn a_server_that_was_killed_itself_comes_back_with_what_was_committed() {
    let world = World::new(0o711);
    let postgres = world.start().await.expect("a first start");
    sql(&postgres, "create table kept (id int); insert into kept values (1)").await;
    kill(Pid::from_raw(pid(&postgres)), Signal::SIGKILL).expect("our own process");
    drop(postgres);

    let postgres = world.start().await.expect("a start after the crash");
    assert_eq!(sql(&postgres, "select id from kept").await, "1");
    postgres.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_pid_file_that_names_another_process_is_no_obstacle() {
    let world = World::new(0o711);
    let postgres = world.start().await.expect("a first start");
    let pid_file = postgres.server.home.cluster().join(postmaster::PID_FILE);
    let lock_file = postgres.socket_dir.join(".s.PGSQL.5432.lock");
    let account = postgres.server.home.account();
    let text = std::fs::read_to_string(&pid_file).expect("a running server");
    postgres.stop().await.expect("a clean stop");
    // As after a power cut, when the number of then is that of another process of the account now.
    let mut sleep = Command::new("sleep");
    sleep.arg("60").kill_on_drop(true);
    if let Some(account) = account {
        sleep.uid(account.uid).gid(account.gid);
    }
    let mut sleep = sleep.spawn().expect("sleep");
    let other = sleep.id().expect("it runs");
    let rest = text.split_once('\n').expect("several lines").1;
    for lock in [pid_file, lock_file] {
        std::fs::write(&lock, format!("{other}\n{rest}")).expect("a writable cluster");
        std::fs::set_permissions(&lock, Permissions::from_mode(0o666)).expect("our file");
    }

    let postgres = world.start().await.expect("a second start");
    assert_ne!(pid(&postgres), other.cast_signed());
    postgres.stop().await.expect("a clean stop");
    sleep.kill().await.expect("our own process");
}

#[tokio::test]
async fn a_folder_that_the_account_cannot_enter_gets_its_database_elsewhere() {
    let world = World::new(0o700);
    let postgres = world.start().await.expect("a first start");
    let home = postgres.server.home.dir().to_owned();
    assert_eq!(home.starts_with(world.root.path().join("shared")), Uid::effective().is_root());
    sql(&postgres, "create table kept (id int); insert into kept values (7)").await;
    postgres.stop().await.expect("a clean stop");

    // The data folder moves, and its database is still its own.
    let moved = world.parent().join("moved");
    std::fs::rename(world.data_dir(), &moved).expect("the same disk");
    let postgres = world.start_in(&moved).await.expect("a start at the new place");
    assert_eq!(sql(&postgres, "select id from kept").await, "7");
    postgres.stop().await.expect("a clean stop");

    // A data folder of the old name is a new one.
    let fresh = world.start().await.expect("a first start at the old place");
    assert_ne!(fresh.server.home.dir(), home);
    assert_eq!(sql(&fresh, "select count(*) from pg_tables where tablename = 'kept'").await, "0");
    fresh.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn long_and_odd_folder_names_work() {
    let world = World::new(0o711);
    let odd = world.parent().join(format!("it's $(touch pwned) \"a, b\" {}", "long".repeat(30)));
    let postgres = world.start_in(&odd).await.expect("a first start");
    let socket_dir = postgres.socket_dir.clone();
    assert!(socket_dir.starts_with("/run") || socket_dir.starts_with("/tmp"), "{}", socket_dir.display());
    assert_eq!(sql(&postgres, "select 1").await, "1");
    postgres.stop().await.expect("a clean stop");
    std::fs::remove_dir(socket_dir).expect("an empty folder once the server has ended");
}

#[tokio::test]
async fn data_of_another_version_is_refused_with_a_way_out() {
    let world = World::new(0o711);
    let postgres = world.start().await.expect("a first start");
    let version = postgres.server.home.cluster().join("PG_VERSION");
    postgres.stop().await.expect("a clean stop");
    std::fs::write(&version, "9\n").expect("a writable cluster");
    let error = world.start().await.expect_err("no machine has version 9");
    assert!(error.to_string().contains("apt-get install postgresql-9"), "{error}");
}

#[tokio::test]
async fn an_interrupted_first_start_begins_anew_and_a_lost_database_is_noticed() {
    let world = World::new(0o711);
    let home = world.data_dir().join("postgres");
    std::fs::create_dir_all(world.data_dir()).expect("an empty folder");
    std::os::unix::fs::symlink(world.root.path().join("gone"), &home).expect("no such file");
    let error = world.start().await.expect_err("the link leads nowhere");
    assert!(matches!(error, PostgresError::Lost { .. }), "{error}");
    std::fs::remove_file(&home).expect("our link");

    let postgres = world.start().await.expect("a first start");
    postgres.stop().await.expect("a clean stop");
    let (whole, unfinished) = (home.join("data"), home.join("data.new"));
    std::fs::rename(whole, &unfinished).expect("the same disk");
    std::fs::remove_file(unfinished.join("PG_VERSION")).expect("a cluster");
    let postgres = world.start().await.expect("a start that begins anew");
    assert_eq!(sql(&postgres, "select 1").await, "1");
    postgres.stop().await.expect("a clean stop");
}
