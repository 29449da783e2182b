//! A name server with one zone: dnsmasq, with the TXT records that a journey wants.

use std::path::Path;

use crate::process::{Process, free_port};

pub struct NameServer {
    port: u16,
    process: Option<Process>,
}

impl NameServer {
    pub fn start(dir: &Path) -> Self {
        let mut server = Self { port: free_port(), process: None };
        server.set_txt(dir, &[]);
        server
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Replaces all records.
    pub fn set_txt(&mut self, dir: &Path, records: &[(&str, &str)]) {
        // dnsmasq reads its records at start only.
        drop(self.process.take());
        let port = format!("--port={}", self.port);
        let records: Vec<String> =
            records.iter().map(|(name, value)| format!("--txt-record={name},{value}")).collect();
        let mut args = vec![
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--user=root",
            "--pid-file=",
            "--local=/example.com/",
            &port,
        ];
        args.extend(records.iter().map(String::as_str));
        self.process = Some(Process::start("dnsmasq", dir, Path::new("/usr/sbin/dnsmasq"), &args, &[]));
    }
}
