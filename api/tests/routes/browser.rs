//! A person's browser: it keeps its cookie, and says where its requests come from.

use std::sync::Mutex;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::world::World;

pub(crate) struct Browser<'w> {
    world: &'w World,
    cookie: Mutex<Option<String>>,
}

/// An answer's status, and its JSON or null.
pub(crate) type Answer = (u16, Value);

impl<'w> Browser<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self { world, cookie: Mutex::new(None) }
    }

    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    pub(crate) fn with_cookie(world: &'w World, cookie: Option<String>) -> Self {
        Self { world, cookie: Mutex::new(cookie) }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.world.http.request(method, format!("{}{path}", self.world.url));
        let request = request.header("origin", &self.world.url).header("user-agent", "Tests/1.0");
        match self.cookie() {
            Some(cookie) => request.header("cookie", format!("theme=dark; __Host-loggia={cookie}")),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Response {
        let response = request.send().await.unwrap();
        for set in response.headers().get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let Some(rest) = set.strip_prefix("__Host-loggia=") else { continue };
            for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(set.contains(part), "{set}");
            }
            let value = rest.split(';').next().unwrap().to_owned();
            *self.cookie.lock().unwrap() = Some(value).filter(|value| !value.is_empty());
        }
        response
    }

    async fn answer(&self, request: RequestBuilder) -> Answer {
        let response = self.send(request).await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::PATCH, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.answer(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn delete_with(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::DELETE, path).json(body)).await
    }
}
