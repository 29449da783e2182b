//! Something that takes purges: notes every call, and answers what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A retry waits for a second, and machines are slow at times.
const SOON: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// Takes the request and says nothing.
    Hang,
}

pub(crate) struct FakeCdn {
    pub(crate) url: String,
    calls: UnboundedReceiver<String>,
    script: Script,
}

/// What comes next; success when it is used up.
type Script = Arc<Mutex<VecDeque<Answer>>>;

impl FakeCdn {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, calls) = unbounded_channel();
        let script = Script::default();
        let router = Router::new().fallback(answer).with_state((sender, Arc::clone(&script)));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, calls, script }
    }

    pub(crate) fn answers(&self, answers: &[Answer]) {
        self.script.lock().unwrap().extend(answers);
    }

    pub(crate) fn forget_script(&self) {
        self.script.lock().unwrap().clear();
    }

    /// The next call: its first line, the headers that matter in the order of their names, and its body.
    pub(crate) async fn call(&mut self) -> String {
        let call = tokio::time::timeout(SOON, self.calls.recv()).await;
        call.expect("a call, soon").expect("the server runs")
    }

    /// Calls that came and were not looked at.
    pub(crate) fn others(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }
}

async fn answer(
    State((calls, script)): State<(UnboundedSender<String>, Script)>,
    request: Request,
) -> StatusCode {
    let (head, body) = request.into_parts();
    let mut lines = vec![format!("{} {}", head.method, head.uri)];
    // Every client sends these, and the address of this server is another one in each test.
    let usual = ["accept", "accept-encoding", "content-length", "user-agent"];
    let mut headers: Vec<String> = head
        .headers
        .iter()
        .filter(|(name, value)| {
            !usual.contains(&name.as_str()) && !value.as_bytes().starts_with(b"127.0.0.1:")
        })
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    lines.extend(headers);
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    lines.extend(std::str::from_utf8(&body).ok().filter(|body| !body.is_empty()).map(str::to_owned));
    let _ = calls.send(lines.join("\n"));
    let next = script.lock().unwrap().pop_front();
    match next {
        None => StatusCode::OK,
        Some(Answer::Status(status)) => StatusCode::from_u16(status).unwrap(),
        Some(Answer::Hang) => std::future::pending().await,
    }
}
