//! Makes sure that the build image is there.

use std::time::Duration;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::TryStreamExt;
use tokio::sync::mpsc;

use super::{Docker, engine_fault, is_not_found};
use crate::executor::ExecutorFault;
use crate::executor::lines;
use crate::executor::step::{LogLine, Stream};

/// The default image is 400 MB compressed: 15 minutes are enough at 4 Mbit/s.
const PULL_MAX: Duration = Duration::from_secs(15 * 60);

impl Docker {
    pub(super) async fn ensure_image(&self, log: &mpsc::Sender<LogLine>) -> Result<(), ExecutorFault> {
        match self.engine.inspect_image(&self.config.image).await {
            Ok(_) => Ok(()),
            Err(cause) if is_not_found(&cause) => self.pull(log).await,
            Err(cause) => Err(engine_fault("looking for the build image")(cause)),
        }
    }

    async fn pull(&self, log: &mpsc::Sender<LogLine>) -> Result<(), ExecutorFault> {
        let image = with_tag(&self.config.image);
        say(log, format!("Pulling the build image {image}")).await;
        let fault = |cause: String| ExecutorFault::Image { image: self.config.image.clone(), cause };
        match tokio::time::timeout(PULL_MAX, self.pull_reporting(&image, log)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(fault(cause.to_string())),
            Err(_) => Err(fault(format!("not done after {PULL_MAX:?}"))),
        }
    }

    async fn pull_reporting(
        &self,
        image: &str,
        log: &mpsc::Sender<LogLine>,
    ) -> Result<(), bollard::errors::Error> {
        let options = CreateImageOptionsBuilder::new().from_image(image).build();
        let mut progress = self.engine.create_image(Some(options), None, None);
        while let Some(event) = progress.try_next().await? {
            if let Some(text) = milestone(&event) {
                say(log, text).await;
            }
        }
        Ok(())
    }
}

/// A name without tag would pull every tag there is.
fn with_tag(image: &str) -> String {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    if name.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// The engine reports every layer several times a second while bytes arrive; only changes of state are of interest.
fn milestone(event: &CreateImageInfo) -> Option<String> {
    let has_bytes = event.progress_detail.as_ref().is_some_and(|detail| detail.current.is_some());
    let status = event.status.as_deref().filter(|_| !has_bytes)?;
    Some(event.id.as_ref().map_or_else(|| status.to_owned(), |id| format!("{id}: {status}")))
}

async fn say(log: &mpsc::Sender<LogLine>, text: String) {
    lines::send(log, [LogLine { stream: Stream::Stdout, text, goes_on: false }]).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_get_a_tag() {
        let cases = [
            ("node", "node:latest"),
            ("node:22", "node:22"),
            ("registry.example:5000/node", "registry.example:5000/node:latest"),
            ("registry.example:5000/node:22", "registry.example:5000/node:22"),
            ("node@sha256:0123", "node@sha256:0123"),
        ];
        for (image, expected) in cases {
            assert_eq!(with_tag(image), expected, "{image}");
        }
    }
}
