//! The thread that writes the access log, many lines at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::AccessLogTarget;
use super::queue::{Batch, Queue};
use crate::metrics::{LogLine, Metrics};

/// How late a line may be. One `write` takes what came meanwhile.
const WRITE_EVERY: Duration = Duration::from_millis(50);

/// How long a file that was moved away is still written to.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A full disk is news once, not a hundred thousand times.
const WARN_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    target: AccessLogTarget,
    /// `None` before the first line, while it cannot be opened, and after it was moved away.
    file: Option<File>,
    checked: Instant,
    /// The last write failed half-way, perhaps within a line.
    is_torn: bool,
    warned: Option<Instant>,
    metrics: Arc<Metrics>,
}

impl Writer {
    pub(super) fn new(target: AccessLogTarget, metrics: Arc<Metrics>) -> Self {
        Self { target, file: None, checked: Instant::now(), is_torn: false, warned: None, metrics }
    }

    pub(super) fn run(mut self, queue: &Queue) {
        queue.begin_to_write();
        loop {
            let is_last = queue.is_closed();
            self.write(queue.take());
            if is_last {
                return;
            }
            // Also without a request a file that was moved away is let go, so that its space can be.
            self.let_go_if_moved();
            std::thread::park_timeout(WRITE_EVERY);
        }
    }

    fn write(&mut self, mut batch: Batch) {
        if self.is_torn && batch.lines > 0 {
            batch.bytes.insert(0, b'\n');
        }
        match self.write_bytes(&batch.bytes) {
            Ok(()) => self.metrics.log_lines.add(LogLine::Written, batch.lines as u64),
            Err(cause) => {
                self.metrics.log_lines.add(LogLine::Failed, batch.lines as u64);
                self.report(&cause);
            }
        }
        for done in batch.flushed {
            let _ = done.send(());
        }
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let path = match &self.target {
            AccessLogTarget::Off => return Ok(()),
            AccessLogTarget::Stdout => {
                let mut stdout = io::stdout().lock();
                return stdout.write_all(bytes).and_then(|()| stdout.flush());
            }
            AccessLogTarget::File(path) => path,
        };
        let file = match self.file.take() {
            Some(file) => file,
            None => open(path)?,
        };
        let written = self.file.insert(file).write_all(bytes);
        self.is_torn = written.is_err();
        written
    }

    fn report(&mut self, cause: &io::Error) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            warn!(error = %cause, "The access log cannot be written; serving goes on, and what is lost is counted");
        }
    }

    /// Whoever rotates logs renames the file: the next line makes a new one.
    fn let_go_if_moved(&mut self) {
        if self.checked.elapsed() < CHECK_EVERY {
            return;
        }
        self.checked = Instant::now();
        let (AccessLogTarget::File(path), Some(file)) = (&self.target, &self.file) else { return };
        let is_same = || {
            let (ours, there) = (file.metadata().ok()?, fs::metadata(path).ok()?);
            Some((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        if !is_same().unwrap_or(false) {
            self.file = None;
            self.is_torn = false;
        }
    }
}

/// Addresses of visitors are for the owner and the group only.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(path: &Path) -> Writer {
        Writer::new(AccessLogTarget::File(path.to_owned()), Metrics::new(1))
    }

    fn write(writer: &mut Writer, line: &str) {
        writer.write(Batch { bytes: format!("{line}\n").into_bytes(), lines: 1, flushed: Vec::new() });
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, moved) = (dir.path().join("edge.log"), dir.path().join("edge.log.1"));
        let mut writer = writer(&path);
        write(&mut writer, "one");
        fs::rename(&path, &moved).expect("moved");
        write(&mut writer, "two");
        writer.checked = Instant::now().checked_sub(CHECK_EVERY).expect("a while ago");
        writer.let_go_if_moved();
        write(&mut writer, "three");
        assert_eq!(fs::read_to_string(&moved).expect("the old file"), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).expect("the new file"), "three\n");
    }

    #[test]
    fn a_disk_that_fails_costs_lines_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("missing").join("edge.log");
        let mut writer = writer(&path);
        write(&mut writer, "lost");
        write(&mut writer, "lost");
        assert_eq!(writer.metrics.log_lines.get(LogLine::Failed), 2);
        fs::create_dir(dir.path().join("missing")).expect("a folder");
        write(&mut writer, "kept");
        write(&mut writer, "kept too");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "kept\nkept too\n");
        assert_eq!(writer.metrics.log_lines.get(LogLine::Written), 2);
    }

    #[test]
    fn a_full_disk_is_counted() {
        let mut writer = writer(Path::new("/dev/full"));
        write(&mut writer, "lost");
        assert_eq!(writer.metrics.log_lines.get(LogLine::Failed), 1);
    }
}
