//! A real Varnish before an edge, with the configuration that operators are given.

use std::path::{Path, PathBuf};

use crate::process::{Process, free_port, repository_root};

pub struct Varnish {
    port: u16,
    _process: Process,
}

impl Varnish {
    /// Starts on `port`, which [`free_port`] gave.
    pub fn start(dir: &Path, port: u16, edge_port: u16) -> Self {
        let vcl = dir.join("loggia.vcl");
        std::fs::write(&vcl, configuration(edge_port)).unwrap();
        let (listen, work) = (format!("127.0.0.1:{port}"), dir.join("varnish"));
        let args = [
            "-F",
            // The package's jail is for root only; a test may be anybody's.
            "-j",
            "none",
            "-T",
            "none",
            "-s",
            "malloc,64m",
            "-p",
            "http_gzip_support=off",
            "-a",
            &listen,
            "-n",
            work.to_str().unwrap(),
            "-f",
            vcl.to_str().unwrap(),
        ];
        let process = Process::start("varnish", dir, &program(), &args, &[]);
        Self { port, _process: process }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// `examples/varnish/loggia.vcl` for the edge of this journey.
fn configuration(edge_port: u16) -> String {
    let example = std::fs::read_to_string(repository_root().join("examples/varnish/loggia.vcl")).unwrap();
    let adapted = example.replace(r#".port = "8080";"#, &format!(".port = \"{edge_port}\";"));
    assert_ne!(adapted, example, "the example names the edge's port");
    adapted
}

fn program() -> PathBuf {
    let found = ["/usr/sbin/varnishd", "/usr/bin/varnishd", "/usr/local/sbin/varnishd"];
    let found = found.iter().map(Path::new).find(|path| path.exists());
    found.expect("varnishd is installed: run `make test`, or scripts/setup.sh --test").to_owned()
}

/// An address for a Varnish that does not run yet.
pub fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Reserves a port.
pub fn port() -> u16 {
    free_port()
}
