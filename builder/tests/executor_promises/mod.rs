//! What every executor promises about a step. Each promise is a test per executor: see `promises!`.

#![allow(clippy::unwrap_used, unreachable_pub)]

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use loggia_builder::executor::{
    Executor, ExecutorChoice, ExecutorConfig, ExecutorFault, Exit, Limits, LogLine, Step, Stream,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One test per promise, for the executor that the given function names.
macro_rules! promises {
    ($choice:expr; $($name:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let world = executor_promises::World::new($choice, stringify!($name)).await;
            executor_promises::$name(&world).await;
        }
    )* };
}
pub(crate) use promises;

/// The list itself, so that neither executor can leave one out.
macro_rules! all_promises {
    ($choice:expr) => {
        executor_promises::promises! { $choice;
            output_arrives_line_by_line_in_order
            the_exit_code_is_the_commands_own
            a_step_sees_its_own_variables_and_none_of_the_builders
            values_arrive_unchanged_whatever_they_hold
            a_step_starts_in_its_workdir
            a_missing_workdir_is_the_builds_failure
            what_a_step_writes_is_there_for_the_next_one
            a_step_that_takes_too_long_is_ended_with_all_it_started
            a_step_that_takes_too_much_memory_is_ended_and_says_so
            losing_a_child_to_the_memory_limit_is_told_from_other_failures
            a_fork_bomb_meets_the_process_limit
            a_file_cannot_grow_beyond_its_limit
            a_step_has_no_root_and_no_way_to_it
            a_step_can_write_to_its_own_folders_only
            a_step_does_not_see_the_machine
            a_step_cannot_reach_the_machine_or_private_networks
            a_daemon_is_gone_when_its_step_returns
            a_cancelled_step_ends_at_once
            a_step_cancelled_before_its_start_does_not_run
            dropping_a_step_ends_it
            steps_of_two_builds_run_side_by_side
            node_and_npm_work
            packages_can_be_installed_and_stay_in_the_cache
        }
    };
}
pub(crate) use all_promises;

/// Long enough for a busy machine with two cores, for things that take a second.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// An executor, and a step's folders.
pub struct World {
    pub executor: Executor,
    folder: TempDir,
    name: &'static str,
}

/// How a step ended, and what it said.
#[derive(Debug)]
pub struct Outcome {
    pub exit: Exit,
    pub lines: Vec<LogLine>,
}

impl Outcome {
    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[track_caller]
    fn expect_success(self) -> String {
        assert_eq!(self.exit, Exit::Success, "{}", self.text());
        self.text()
    }
}

pub fn config(name: &str) -> ExecutorConfig {
    let ca_file = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"].iter().find_map(std::env::var_os);
    ExecutorConfig {
        builder: format!("test-{}-{name}", std::process::id()),
        docker_host: std::env::var("DOCKER_HOST").ok(),
        image: std::env::var("LOGGIA_TEST_BUILD_IMAGE").unwrap_or_default(),
        ca_file: ca_file.map(PathBuf::from),
        ..ExecutorConfig::default()
    }
}

impl World {
    pub async fn new(choice: ExecutorChoice, name: &'static str) -> Self {
        let executor = Executor::choose(choice, config(name)).await.unwrap_or_else(|error| panic!("{error}"));
        let folder = TempDir::new().unwrap();
        for name in ["workspace", "cache"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { executor, folder, name }
    }

    pub fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn step(&self, command: &str) -> Step {
        Step {
            build_id: self.name.to_owned(),
            attempt: 1,
            name: "build",
            command: command.to_owned(),
            workspace: self.workspace(),
            workdir: PathBuf::new(),
            cache: self.cache(),
            env: BTreeMap::new(),
            limits: Limits { memory_bytes: 512 << 20, timeout: DEADLINE, ..Limits::default() },
        }
    }

    async fn run(&self, command: &str) -> Outcome {
        self.run_step(&self.step(command)).await.unwrap()
    }

    pub async fn run_step(&self, step: &Step) -> Result<Outcome, ExecutorFault> {
        self.run_watching(step, &CancellationToken::new(), |_| {}).await
    }

    /// Calls `on_line` for each line as it arrives.
    async fn run_watching(
        &self,
        step: &Step,
        cancel: &CancellationToken,
        mut on_line: impl FnMut(&LogLine),
    ) -> Result<Outcome, ExecutorFault> {
        let (sender, mut receiver) = mpsc::channel(16);
        let mut lines = Vec::new();
        let read = async {
            while let Some(line) = receiver.recv().await {
                on_line(&line);
                lines.push(line);
            }
        };
        let run = async move { self.executor.run(step, &sender, cancel).await };
        let (exit, ()) = tokio::join!(run, read);
        Ok(Outcome { exit: exit?, lines })
    }
}

/// Looks again until it is so.
pub async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::task::yield_now().await;
    }
}

/// A number of seconds that nothing else sleeps for, by which a process is found among all of the machine's.
pub fn unique_sleep() -> String {
    format!(
        "{}.{:09}",
        90_000 + std::process::id(),
        std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()
    )
}

pub fn is_running(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let command_lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    command_lines.into_iter().any(|line| {
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.first().is_some_and(|name| name.ends_with(b"sleep")) && words.contains(&argument.as_bytes())
    })
}

pub async fn output_arrives_line_by_line_in_order(world: &World) {
    let outcome =
        world.run("for i in 1 2 3; do echo line $i; done; echo; printf 'no end'; echo oops >&2").await;
    assert_eq!(outcome.exit, Exit::Success);
    let of =
        |stream| outcome.lines.iter().filter(move |line| line.stream == stream).map(|line| line.text.clone());
    assert_eq!(of(Stream::Stdout).collect::<Vec<_>>(), ["line 1", "line 2", "line 3", "", "no end"]);
    assert_eq!(of(Stream::Stderr).collect::<Vec<_>>(), ["oops"]);
}

pub async fn the_exit_code_is_the_commands_own(world: &World) {
    let cases = [
        ("true", Exit::Success),
        ("false", Exit::Failure { exit_code: 1 }),
        ("exit 42", Exit::Failure { exit_code: 42 }),
        ("no-such-command", Exit::Failure { exit_code: 127 }),
        ("-x", Exit::Failure { exit_code: 127 }), // not an option of the shell
        ("kill -9 $$", Exit::Failure { exit_code: 137 }),
        ("cat; echo no input", Exit::Success),
    ];
    for (command, expected) in cases {
        assert_eq!(world.run(command).await.exit, expected, "{command}");
    }
}

pub async fn a_step_sees_its_own_variables_and_none_of_the_builders(world: &World) {
    let mut step = world.step("env");
    step.env.insert("CI".to_owned(), "true".to_owned());
    let text = world.run_step(&step).await.unwrap().expect_success();
    let names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(text.contains("CI=true\n"), "{text}");
    assert!(text.contains("HOME=/home/build\n"), "{text}");
    assert!(text.contains("npm_config_cache=/cache/npm\n"), "{text}");

    let ours = [
        "CI",
        "PATH",
        "HOME",
        "USER",
        "TMPDIR",
        "LANG",
        "TERM",
        "COREPACK_ENABLE_DOWNLOAD_PROMPT",
        "COREPACK_HOME",
        "YARN_CACHE_FOLDER",
        "YARN_GLOBAL_FOLDER",
        "BUN_INSTALL_CACHE_DIR",
        "PIP_CACHE_DIR",
        "BUNDLE_USER_CACHE",
        "HUGO_CACHEDIR",
        "XDG_CACHE_HOME",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "GIT_SSL_CAINFO",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        // Set by the shell and by the engine.
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "HOSTNAME",
    ];
    for name in names {
        assert!(
            ours.contains(&name) || name.starts_with("npm_config_"),
            "{name} came from somewhere else:\n{text}"
        );
    }
}

pub async fn values_arrive_unchanged_whatever_they_hold(world: &World) {
    let value = "it's $(id) `id` \\ \"x\" ${HOME}\n; exit 3 # é";
    let mut step = world.step("printf '%s' \"$VALUE\" > value; test -z \"$LD_PRELOAD\" || echo preload");
    step.env.insert("VALUE".to_owned(), value.to_owned());
    step.env.insert("environment".to_owned(), "mine".to_owned());
    world.run_step(&step).await.unwrap().expect_success();
    assert_eq!(fs::read_to_string(world.workspace().join("value")).unwrap(), value);
}

pub async fn a_step_starts_in_its_workdir(world: &World) {
    fs::create_dir_all(world.workspace().join("packages/my site")).unwrap();
    for (workdir, expected) in [("", "/workspace\n"), ("packages/my site", "/workspace/packages/my site\n")] {
        let step = Step { workdir: PathBuf::from(workdir), ..world.step("pwd") };
        assert_eq!(world.run_step(&step).await.unwrap().expect_success(), expected);
    }
}

pub async fn a_missing_workdir_is_the_builds_failure(world: &World) {
    let step = Step { workdir: PathBuf::from("nowhere"), ..world.step("echo never") };
    let outcome = world.run_step(&step).await.unwrap();
    assert_eq!(outcome.exit, Exit::Failure { exit_code: 1 });
    assert!(outcome.text().contains("/workspace/nowhere"), "{outcome:?}");
    assert!(!world.workspace().join("nowhere").exists(), "nobody makes the folder in passing");
}

pub async fn what_a_step_writes_is_there_for_the_next_one(world: &World) {
    world
        .run("mkdir -p out && echo one > out/file && echo two > /cache/file && chmod 700 out")
        .await
        .expect_success();
    assert_eq!(fs::read_to_string(world.workspace().join("out/file")).unwrap(), "one\n");
    assert_eq!(world.run("cat out/file /cache/file").await.expect_success(), "one\ntwo\n");
    // Neither the home nor the temporary folder is.
    world.run("touch /tmp/file ~/file").await.expect_success();
    assert_eq!(world.run("ls /tmp ~ | grep file").await.exit, Exit::Failure { exit_code: 1 });
}

pub async fn a_step_that_takes_too_long_is_ended_with_all_it_started(world: &World) {
    let sleep = unique_sleep();
    let mut step =
        world.step(&format!("trap '' TERM INT HUP; echo before; setsid sleep {sleep} & sleep {sleep}"));
    step.limits.timeout = Duration::from_secs(2);
    let outcome = world.run_step(&step).await.unwrap();
    assert_eq!(outcome.exit, Exit::TimedOut { after: Duration::from_secs(2) });
    assert_eq!(outcome.text(), "before\n");
    assert!(!is_running(&sleep));
}

const EAT_MEMORY: &str = "node -e 'const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1))'";

pub async fn a_step_that_takes_too_much_memory_is_ended_and_says_so(world: &World) {
    let mut step = world.step(EAT_MEMORY);
    step.limits.memory_bytes = 192 << 20;
    let outcome = world.run_step(&step).await.unwrap();
    assert_eq!(outcome.exit, Exit::OutOfMemory { limit_bytes: 192 << 20 }, "{outcome:?}");
}

pub async fn losing_a_child_to_the_memory_limit_is_told_from_other_failures(world: &World) {
    let mut step = world.step(&format!("{EAT_MEMORY} || exit 7"));
    step.limits.memory_bytes = 192 << 20;
    let outcome = world.run_step(&step).await.unwrap();
    assert_eq!(outcome.exit, Exit::OutOfMemory { limit_bytes: 192 << 20 }, "{outcome:?}");
}

pub async fn a_fork_bomb_meets_the_process_limit(world: &World) {
    let sleep = unique_sleep();
    let mut step =
        world.step(&format!("i=0; while [ $i -lt 300 ]; do sleep {sleep} & i=$((i + 1)); done; echo all"));
    step.limits.processes = 64;
    let outcome = world.run_step(&step).await.unwrap();
    assert!(matches!(outcome.exit, Exit::Failure { .. }), "{outcome:?}");
    assert!(!outcome.text().contains("all"), "{outcome:?}");
    assert!(!is_running(&sleep));
}

pub async fn a_file_cannot_grow_beyond_its_limit(world: &World) {
    let mut step = world.step("head -c 3000000 /dev/zero > large");
    step.limits.file_size_bytes = 1 << 20;
    let outcome = world.run_step(&step).await.unwrap();
    assert!(matches!(outcome.exit, Exit::Failure { .. }), "{outcome:?}");
    assert_eq!(fs::metadata(world.workspace().join("large")).unwrap().len(), 1 << 20);
}

pub async fn a_step_has_no_root_and_no_way_to_it(world: &World) {
    let text =
        world.run("id -u; id -G; grep -E '^(Cap|NoNewPrivs)' /proc/self/status").await.expect_success();
    let mut lines = text.lines();
    let (uid, groups) = (lines.next().unwrap(), lines.next().unwrap());
    assert_ne!(uid, "0");
    assert_eq!(groups, uid, "one group, and not root's");
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let expected = if name == "NoNewPrivs" { "1" } else { "0000000000000000" };
        assert_eq!(value.trim(), expected, "{name}");
    }
    for command in ["mount -t tmpfs none /tmp", "chroot / true", "mknod /tmp/disk b 254 0", "kill -9 1"] {
        let outcome = world.run(&format!("{command} && echo done && sleep 0.1")).await;
        assert!(
            matches!(outcome.exit, Exit::Failure { .. }) || command == "kill -9 1",
            "{command}: {outcome:?}"
        );
    }
}

pub async fn a_step_can_write_to_its_own_folders_only(world: &World) {
    let text = world
        .run(
            "for dir in / /etc /usr /usr/bin /usr/local/bin /usr/lib /var /var/tmp /opt /root /home /home/build /mnt \
             /run /sys /proc /proc/sys/kernel /dev /tmp /workspace /cache; do \
             (: > $dir/file) 2>/dev/null && echo $dir; done; true",
        )
        .await
        .expect_success();
    let expected = ["/home/build", "/tmp", "/workspace", "/cache"];
    // A file in /dev is one in a private memory file system.
    let written: Vec<_> = text.lines().filter(|dir| *dir != "/dev").collect();
    assert_eq!(written, expected);
}

pub async fn a_step_does_not_see_the_machine(world: &World) {
    let secret = TempDir::new().unwrap();
    fs::write(secret.path().join("secret"), "hunter2").unwrap();
    let us = std::process::id();
    let command = format!(
        "cat {}/secret; cat /proc/{us}/cmdline | tr '\\0' ' '; ls -A /root; ls /var/run/docker.sock /run/docker.sock; \
         ls -A /var/lib/docker; ls -A {}; hostname; ls /proc | grep -c '^[0-9]'; true",
        secret.path().display(),
        world.workspace().parent().unwrap().display(),
    );
    let outcome = world.run(&command).await;
    assert_eq!(outcome.exit, Exit::Success);
    let of_stdout = outcome.lines.iter().filter(|line| line.stream == Stream::Stdout);
    let lines: Vec<_> = of_stdout
        .map(|line| line.text.as_str())
        .filter(|line| !line.starts_with('.') && !line.is_empty())
        .collect();
    let [hostname, processes] = lines[..] else { panic!("the step saw more than its own: {outcome:?}") };
    assert_eq!(hostname, "build");
    assert!(processes.parse::<u32>().unwrap() < 12, "{processes} processes are visible");
}

/// Prints `ADDRESS CODE` for each, where the code is `open` or Node's name of the error.
const CONNECT: &str = "
const net = require('net');
for (const target of process.argv.slice(2)) {
  const [host, port] = target.split(' ');
  const socket = net.connect({ host, port, timeout: 3000 });
  const say = (code) => { console.log(target, code); socket.destroy(); };
  socket.on('connect', () => say('open')).on('timeout', () => say('ETIMEDOUT')).on('error', (e) => say(e.code));
}
";

pub async fn a_step_cannot_reach_the_machine_or_private_networks(world: &World) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let own = own_address();
    let targets = [
        // This machine: loopback, its address, and the ways to it of slirp4netns and of Docker.
        format!("127.0.0.1 {port}"),
        format!("{} {port}", own.ip()),
        format!("10.0.2.2 {port}"),
        format!("10.0.2.3 {port}"),
        format!("172.17.0.1 {port}"),
        // Private networks, and the metadata service of clouds.
        "10.1.2.3 80".to_owned(),
        "172.16.0.1 80".to_owned(),
        "192.168.1.1 80".to_owned(),
        "100.64.0.1 80".to_owned(),
        "169.254.169.254 80".to_owned(),
    ];
    fs::write(world.workspace().join("connect.js"), CONNECT).unwrap();
    let arguments: Vec<_> = targets.iter().map(|target| format!("'{target}'")).collect();
    let text = world.run(&format!("node connect.js {}", arguments.join(" "))).await.expect_success();
    for target in &targets {
        let line =
            text.lines().find(|line| line.starts_with(target.as_str())).expect("every address was tried");
        let code = &line[target.len() + 1..];
        // The step's own loopback is empty; everything else is prohibited by a rule.
        let expected = if target.starts_with("127.") { "ECONNREFUSED" } else { "EACCES" };
        assert_eq!(code, expected, "{target}\n{text}");
    }
    assert!(listener.accept().is_err(), "somebody connected");
}

/// The address by which this machine reaches others. No packet is sent.
fn own_address() -> SocketAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap()
}

pub async fn a_daemon_is_gone_when_its_step_returns(world: &World) {
    let sleep = unique_sleep();
    let command = format!("(setsid nohup sleep {sleep} </dev/null >/dev/null 2>&1 &) ; echo left");
    assert_eq!(world.run(&command).await.expect_success(), "left\n");
    assert!(!is_running(&sleep));
}

pub async fn a_cancelled_step_ends_at_once(world: &World) {
    let sleep = unique_sleep();
    let cancel = CancellationToken::new();
    let step = world.step(&format!("echo ready; setsid sleep {sleep} & sleep {sleep}"));
    let outcome = world.run_watching(&step, &cancel, |_| cancel.cancel()).await.unwrap();
    assert_eq!(outcome.exit, Exit::Cancelled);
    assert_eq!(outcome.text(), "ready\n");
    assert!(!is_running(&sleep));
}

pub async fn a_step_cancelled_before_its_start_does_not_run(world: &World) {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let outcome = world.run_watching(&world.step("touch ran"), &cancel, |_| {}).await.unwrap();
    assert_eq!(outcome.exit, Exit::Cancelled);
    assert!(!world.workspace().join("ran").exists());
}

pub async fn dropping_a_step_ends_it(world: &World) {
    let sleep = unique_sleep();
    let step = world.step(&format!("setsid sleep {sleep} & sleep {sleep}"));
    let (sender, _receiver) = mpsc::channel(16);
    let cancel = CancellationToken::new();
    tokio::select! {
        exit = world.executor.run(&step, &sender, &cancel) => panic!("ended with {exit:?}"),
        () = wait_until("the step's start", || is_running(&sleep)) => {}
    }
    wait_until("the step's end", || !is_running(&sleep)).await;
    // The rest of it goes in the background, which ends with this test.
    world.executor.remove_leftovers().await.unwrap();
}

pub async fn steps_of_two_builds_run_side_by_side(world: &World) {
    let other = TempDir::new().unwrap();
    // Each waits for the other's word, by way of a folder that this test alone gives to both.
    let step = |id: &str, mine: &str, theirs: &str| {
        Step {
        build_id: id.to_owned(),
        cache: other.path().to_owned(),
        ..world.step(&format!("touch /cache/{mine}; until [ -e /cache/{theirs} ]; do sleep 0.05; done; ls /proc | grep -c '^[0-9]'"))
    }
    };
    let (one, two) = (step("one", "a", "b"), step("two", "b", "a"));
    let (one, two) = tokio::join!(world.run_step(&one), world.run_step(&two));
    for outcome in [one, two] {
        outcome.unwrap().expect_success();
    }
}

pub async fn node_and_npm_work(world: &World) {
    let text =
        world.run("node --version && npm --version && npx --version && git --version").await.expect_success();
    assert!(text.starts_with('v') && text.contains("git version"), "{text}");
}

pub async fn packages_can_be_installed_and_stay_in_the_cache(world: &World) {
    fs::write(world.workspace().join("package.json"), r#"{"dependencies":{"is-number":"7.0.0"}}"#).unwrap();
    world.run("npm install --no-audit").await.expect_success();
    assert_eq!(world.run("node -p 'require(\"is-number\")(7)'").await.expect_success(), "true\n");
    world.run("rm -r node_modules && npm ci --offline --no-audit").await.expect_success();
}
