//! A visitor of the edge: a browser's requests, and the ones no browser would send.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug, Clone)]
pub struct Visitor {
    port: u16,
    client: reqwest::Client,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Visitor {
    pub fn new(port: u16) -> Self {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { port, client }
    }

    pub async fn get(&self, host: &str, path: &str) -> Answer {
        self.get_with(host, path, &[]).await
    }

    /// What a browser sends when a person follows a link.
    pub async fn navigate(&self, host: &str, path: &str) -> Answer {
        let headers =
            [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html,*/*")];
        self.get_with(host, path, &headers).await
    }

    pub async fn get_with(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(host, path, headers).await.unwrap_or_else(|error| panic!("GET {path} of {host}: {error:?}"))
    }

    /// `None` when there is no answer, or none with success.
    pub async fn try_get(&self, host: &str, path: &str) -> Option<Answer> {
        self.send(host, path, &[]).await.ok().filter(|answer| answer.status < 300)
    }

    async fn send(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> reqwest::Result<Answer> {
        let mut request =
            self.client.get(format!("http://127.0.0.1:{}{path}", self.port)).header("host", host);
        for (name, value) in headers {
            request =
                request.header(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.text().await? })
    }

    /// Sends bytes as they are and gives the status of the first answer, 0 for none.
    pub async fn raw(&self, bytes: &[u8]) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut head = vec![0; 64];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut head)).await.unwrap();
        let text = String::from_utf8_lossy(&head[..read.unwrap_or(0)]).into_owned();
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}
