//! A name server with a few zones: dnsmasq, with the records that a journey wants.

use std::path::{Path, PathBuf};

use crate::process::{Process, free_port};

pub struct NameServer {
    port: u16,
    dir: PathBuf,
    process: Option<Process>,
}

/// The zones that it answers for; nothing else is asked of anybody.
const ZONES: [&str; 3] = ["example.com", "example.net", "example.org"];

impl NameServer {
    pub fn start(dir: &Path) -> Self {
        let mut server = Self { port: free_port(), dir: dir.to_owned(), process: None };
        server.set(&[]);
        server
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Replaces all records: `TXT _loggia.example.com value`, `A example.com 192.0.2.1`, `CNAME www.example.com example.com`.
    /// A name is an alias only of one that has an address here.
    pub fn set(&mut self, records: &[String]) {
        // dnsmasq reads its records at start only.
        drop(self.process.take());
        let mut args: Vec<String> = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--user=root",
            "--pid-file=",
            "--local-ttl=60",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--port={}", self.port));
        args.extend(ZONES.map(|zone| format!("--local=/{zone}/")));
        args.extend(records.iter().map(|record| argument(record)));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let program = Path::new("/usr/sbin/dnsmasq");
        self.process = Some(Process::start("dnsmasq", &self.dir, program, &args, &[]));
    }

    /// Answers nobody any more, until records are set again.
    pub fn stop(&mut self) {
        drop(self.process.take());
    }
}

fn argument(record: &str) -> String {
    let [kind, name, value] = record.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("a record is a type, a name and a value: {record}");
    };
    match kind {
        "TXT" => format!("--txt-record={name},{value}"),
        "CNAME" => format!("--cname={name},{value}"),
        // For the name and all that are below it.
        "A" if name.starts_with("*.") => format!("--address=/{}/{value}", &name[2..]),
        "A" | "AAAA" => format!("--host-record={name},{value}"),
        other => panic!("dnsmasq is not told of {other} records"),
    }
}
