//! Raw API requests, for everything outside the registry.

mod watch;

use http::header::{ACCEPT, CONTENT_TYPE, WARNING};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

pub use watch::{Event, Watch};

const ANY: &str = "application/json";

/// A connection to the server.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub code: u16,
    /// The body.
    pub text: String,
    /// Warnings of the server.
    pub warnings: Vec<String>,
}

impl Answer {
    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The fields and messages of a refusal.
    pub fn causes(&self) -> Vec<String> {
        let status = self.json();
        let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
        let text = |cause: &Value| {
            let part = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
            format!("{}: {}", part("field"), part("message"))
        };
        causes.iter().map(text).collect()
    }
}

impl Api {
    /// Sends requests with this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sends requests to this URL, without authentication.
    pub fn plain(url: &str) -> Result<Self, String> {
        let place = url.parse().map_err(|wrong| format!("{url}: {wrong}"))?;
        let client = Client::try_from(kube::Config::new(place));
        client.map(Self::new).map_err(|wrong| format!("a client of {url}: {wrong}"))
    }

    /// Reads an object or a list.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, None, ANY).await
    }

    /// Requests a table, as `kubectl get` does.
    pub async fn table(&self, path: &str) -> Result<Answer, String> {
        let accept = "application/json;as=Table;g=meta.k8s.io;v=v1";
        self.send(Method::GET, path, None, accept).await
    }

    /// Creates an object.
    pub async fn post(&self, path: &str, object: &Value) -> Result<Answer, String> {
        self.send(Method::POST, path, Some(("application/json", object)), ANY).await
    }

    /// Replaces an object.
    pub async fn put(&self, path: &str, object: &Value) -> Result<Answer, String> {
        self.send(Method::PUT, path, Some(("application/json", object)), ANY).await
    }

    /// Applies a JSON patch.
    pub async fn patch(&self, path: &str, changes: &Value) -> Result<Answer, String> {
        self.send(Method::PATCH, path, Some(("application/json-patch+json", changes)), ANY).await
    }

    /// Deletes an object, without a body: a body would override the options in the query.
    pub async fn delete(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::DELETE, path, None, ANY).await
    }

    /// Applies a patch with this content type.
    pub async fn patch_as(
        &self,
        kind: &str,
        path: &str,
        changes: &Value,
    ) -> Result<Answer, String> {
        self.send(Method::PATCH, path, Some((kind, changes)), ANY).await
    }

    /// Sends any request; a patch is an empty merge patch.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let merges = method == Method::PATCH;
        let kind = if merges { "application/merge-patch+json" } else { "application/json" };
        self.send(method, path, body.map(|body| (kind, body)), ANY).await
    }

    /// Sends a request as it is, and returns the response while it arrives.
    pub async fn forward(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, String> {
        self.client.send(request.map(Body::from)).await.map_err(|wrong| wrong.to_string())
    }

    /// Starts a watch; `path` contains the resource version and the selection.
    pub async fn watch(&self, path: &str) -> Result<Watch, String> {
        let response = self.response(Method::GET, path, None, ANY).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Watch::new(response.into_body()));
        }
        Err(format!("watch {path}: {status}"))
    }

    async fn response(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
        accept: &str,
    ) -> Result<Response<Body>, String> {
        let wrong = |wrong: &dyn std::fmt::Display| format!("{method} {path}: {wrong}");
        let request = Request::builder().method(method.clone()).uri(path).header(ACCEPT, accept);
        let request = match body {
            Some((kind, value)) => {
                request.header(CONTENT_TYPE, kind).body(Body::from(value.to_string().into_bytes()))
            }
            None => request.body(Body::empty()),
        };
        let request = request.map_err(|error| wrong(&error))?;
        self.client.send(request).await.map_err(|error| wrong(&error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
        accept: &str,
    ) -> Result<Answer, String> {
        let wrong = |wrong: &dyn std::fmt::Display| format!("{method} {path}: {wrong}");
        let response = self.response(method.clone(), path, body, accept).await?;
        let code = response.status().as_u16();
        let warnings = response.headers().get_all(WARNING).iter();
        let warnings = warnings.map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
        let warnings = warnings.collect();
        let body = response.into_body().collect().await.map_err(|error| wrong(&error))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { code, text, warnings })
    }
}
