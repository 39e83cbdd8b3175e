//! Handles requests, one at a time, like a real server.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::sleep;

use crate::answer::{About, Answer};
use crate::faults::Fault;
use crate::lock;
use crate::objects::{Key, ServerState};
use crate::route::Route;
use crate::watch::Stream;
use crate::{diagnosis, list, patch, remove, validate};

/// The content type of a merge patch.
const MERGE: &str = "application/merge-patch+json";

/// The connection broke.
#[derive(Debug, Clone, Error)]
#[error("connection reset by peer")]
pub struct Reset;

/// Why a request gets no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// The connection broke.
    #[error("connection reset by peer")]
    Reset,
    /// The server never responds.
    #[error("silence")]
    Silence,
}

/// A complete request.
struct ParsedRequest {
    method: Method,
    route: Option<Route>,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl ParsedRequest {
    fn of(request: Request<Vec<u8>>) -> Self {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        Self {
            route: Route::of(path).or_else(|| Route::diagnosis(path)),
            query: form_urlencoded::parse(query).into_owned().collect(),
            method: parts.method,
            headers: parts.headers,
            body,
        }
    }

    fn is_watch(&self) -> bool {
        self.query.get("watch").is_some_and(|text| text == "true")
    }

    fn verb(&self) -> &str {
        if self.is_watch() { "WATCH" } else { self.method.as_str() }
    }

    fn plural(&self) -> &'static str {
        self.route.as_ref().map_or("nothing", |route| route.plural)
    }
}

/// The body of a response: complete or a stream.
pub type Sent = UnsyncBoxBody<Bytes, Reset>;

enum Responded {
    Complete(Response<Vec<u8>>),
    /// Complete, and sent after this time.
    Late(Response<Vec<u8>>, Duration),
    Watch(Stream),
}

pub(crate) async fn serve(
    state: Arc<Mutex<ServerState>>,
    request: Request<Body>,
) -> Result<Response<Sent>, Reset> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(|_broken| Reset)?;
    let request = ParsedRequest::of(Request::from_parts(parts, body.to_vec()));
    let responded = respond(&mut lock(&state), &request, None);
    match responded {
        Ok(Responded::Complete(response)) => Ok(response.map(whole)),
        Ok(Responded::Late(response, delay)) => {
            sleep(delay).await;
            Ok(response.map(whole))
        }
        Ok(Responded::Watch(stream)) => Ok(Response::new(stream.boxed_unsync())),
        Err(Unanswered::Reset) => Err(Reset),
        Err(Unanswered::Silence) => pending().await,
    }
}

fn whole(text: Vec<u8>) -> Sent {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}

/// Responds immediately. The given fault takes precedence over the injected ones.
pub(crate) fn answer_now(
    state: &mut ServerState,
    request: Request<Vec<u8>>,
    fault: Option<Fault>,
) -> Result<Response<Vec<u8>>, Unanswered> {
    match respond(state, &ParsedRequest::of(request), fault)? {
        Responded::Complete(response) | Responded::Late(response, _) => Ok(response),
        Responded::Watch(_stream) => Err(Unanswered::Silence),
    }
}

fn respond(
    state: &mut ServerState,
    request: &ParsedRequest,
    fault: Option<Fault>,
) -> Result<Responded, Unanswered> {
    if state.away {
        state.unanswered += 1;
        return Err(Unanswered::Reset);
    }
    let fault = fault.or_else(|| state.faults.take(request.verb(), request.plural()));
    record(state, request);
    let answer = match answer(state, request, fault) {
        Outcome::Complete(answer) => answer,
        Outcome::Watch(stream) => return Ok(Responded::Watch(stream)),
    };
    let code = answer.code;
    let text = match fault {
        Some(Fault::LostRequest | Fault::LostAnswer) => return Err(Unanswered::Reset),
        Some(Fault::Silence | Fault::SilenceAfter) => return Err(Unanswered::Silence),
        Some(Fault::Cut) => answer.body.chars().take(answer.body.len() / 2).collect(),
        Some(Fault::Flood) => answer.body + &" ".repeat(16 * 1024 * 1024),
        Some(Fault::LateAnswer(_) | Fault::Code(..) | Fault::Proxy(_) | Fault::Unserved) | None => {
            answer.body
        }
    };
    let mut response = Response::builder().status(code);
    if let Some(date) = &state.date {
        response = response.header(DATE, date);
    }
    let response = response.body(text.into_bytes()).map_err(|_malformed| Unanswered::Reset)?;
    Ok(match fault {
        Some(Fault::LateAnswer(delay)) => Responded::Late(response, delay),
        Some(_) | None => Responded::Complete(response),
    })
}

/// Records the request.
fn record(state: &mut ServerState, request: &ParsedRequest) {
    let name = request.route.as_ref().and_then(|route| route.name.as_deref());
    let (verb, plural, name) = (request.verb(), request.plural(), name.unwrap_or("*"));
    state.requests.push(format!("{verb} {plural}/{name}"));
}

enum Outcome {
    Complete(Answer),
    Watch(Stream),
}

fn answer(state: &mut ServerState, request: &ParsedRequest, fault: Option<Fault>) -> Outcome {
    match &request.route {
        Some(route) if request.is_watch() && route.name.is_none() && fault.is_none() => {
            match state.watch(route, &request.query) {
                Ok(stream) => Outcome::Watch(stream),
                Err(refused) => Outcome::Complete(refused),
            }
        }
        _ => Outcome::Complete(complete(state, request, fault)),
    }
}

fn complete(state: &mut ServerState, request: &ParsedRequest, fault: Option<Fault>) -> Answer {
    let page_not_found = || Answer::text(404, "404 page not found\n");
    let Some(route) = &request.route else { return page_not_found() };
    if state.uninstalled && route.custom {
        return page_not_found();
    }
    // Others' definitions are installed once a test sets an object.
    if route.plural == "ciliumnodes" && state.everything_of(route.plural).is_empty() {
        return page_not_found();
    }
    let about = About { plural: route.plural, name: route.name.as_deref().unwrap_or_default() };
    match fault {
        Some(Fault::LostRequest | Fault::Silence) => return Answer::text(500, ""),
        Some(Fault::Code(code, reason)) => {
            return Answer::status(code, reason, "on purpose", about);
        }
        Some(Fault::Proxy(code)) => return Answer::text(code, "<html>no upstream</html>"),
        Some(Fault::Unserved) => return page_not_found(),
        Some(
            Fault::LostAnswer
            | Fault::SilenceAfter
            | Fault::LateAnswer(_)
            | Fault::Cut
            | Fault::Flood,
        )
        | None => {}
    }
    // `kube::runtime` lists without one.
    let is_list = request.method == "GET" && route.name.is_none();
    if !is_list && !request.query.contains_key("timeout") {
        return Answer::bad_request("a request without a deadline", about);
    }
    if let Some(answer) = diagnosis::answer(state, route, &request.body) {
        return answer;
    }
    match (request.method.as_str(), &route.name) {
        ("GET", Some(_)) => get(state, route, about),
        ("GET", None) => list::page(state, route, &request.query, names_only(&request.headers)),
        ("POST", None) => write(request, "application/json", about)
            .and_then(|()| create(state, request, route))
            .unwrap_or_else(|refused| refused),
        ("PATCH", Some(_)) => {
            update(state, request, route, about).unwrap_or_else(|refused| refused)
        }
        ("DELETE", Some(_)) => remove::one(state, &request.body, &key(route, about.name), about)
            .unwrap_or_else(|refused| refused),
        _ => Answer::status(405, "MethodNotAllowed", "the server does not allow this", about),
    }
}

fn key(route: &Route, name: &str) -> Key {
    Key { plural: route.plural, namespace: route.namespace.clone(), name: name.to_owned() }
}

/// Whether the request asks only for metadata.
fn names_only(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("as=PartialObjectMetadataList"))
}

fn get(state: &ServerState, route: &Route, about: About<'_>) -> Answer {
    match state.get(&key(route, about.name)) {
        Some(object) => Answer::object(200, object),
        None => Answer::not_found(about),
    }
}

/// Checks what every write must have: a content type, a field manager, and strict validation.
fn write(request: &ParsedRequest, kind: &str, about: About<'_>) -> Result<(), Answer> {
    let is = |name: &str, wanted: &str| request.query.get(name).is_some_and(|v| v == wanted);
    if request.headers.get(CONTENT_TYPE).is_none_or(|sent| sent != kind) {
        let problem = format!("the body is not {kind}");
        return Err(Answer::status(415, "UnsupportedMediaType", &problem, about));
    }
    if !is("fieldManager", "firecamp") || !is("fieldValidation", "Strict") {
        return Err(Answer::bad_request("a write without manager or strict validation", about));
    }
    Ok(())
}

fn create(
    state: &mut ServerState,
    request: &ParsedRequest,
    route: &Route,
) -> Result<Answer, Answer> {
    let unnamed = About { plural: route.plural, name: "" };
    let mut object: Value = serde_json::from_slice(&request.body)
        .map_err(|wrong| Answer::bad_request(&wrong.to_string(), unnamed))?;
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let name = name.to_owned();
    let about = About { plural: route.plural, name: &name };
    if let Some(namespace) = &route.namespace
        && state.missing_namespaces.contains(namespace)
    {
        return Err(Answer::not_found(About { plural: "namespaces", name: namespace }));
    }
    if object.pointer("/metadata/resourceVersion").is_some() {
        let problem = "resourceVersion should not be set on objects to be created";
        return Err(Answer::bad_request(problem, about));
    }
    if object.get("kind") != Some(&json!(route.kind)) {
        return Err(Answer::bad_request("the kind is not that of the path", about));
    }
    validate::check(route, about, None, &object)?;
    let key = key(route, &name);
    if state.get(&key).is_some() {
        return Err(Answer::already_exists(about));
    }
    if let Value::Object(map) = &mut object {
        map.remove("status");
    }
    Ok(Answer::object(201, &state.insert(key, object)))
}

fn update(
    state: &mut ServerState,
    request: &ParsedRequest,
    route: &Route,
    about: About<'_>,
) -> Result<Answer, Answer> {
    let key = key(route, about.name);
    let old = state.get(&key).cloned().ok_or_else(|| Answer::not_found(about))?;
    let merges = request.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == MERGE);
    write(request, if merges { MERGE } else { "application/json-patch+json" }, about)?;
    let new = if merges { merged(&old, request) } else { patch::apply(&old, &request.body) };
    let new = new.map(|new| kept(&old, new, route));
    let new = new.map_err(|wrong| Answer::status(422, "Invalid", &wrong, about))?;
    let version = |object: &Value| {
        let text = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        text.and_then(|text| text.parse::<u64>().ok())
    };
    let named = String::from_utf8_lossy(&request.body).contains("resourceVersion");
    // The kubelet updates its node's status all the time, so others write it without a version.
    let named = named || (route.plural == "nodes" && route.status);
    let Some(wanted) = version(&new).filter(|_| named) else {
        return Err(Answer::status(500, "InternalError", "a blind or malformed write", about));
    };
    if Some(wanted) != version(&old) {
        return Err(Answer::conflict(about));
    }
    validate::check(route, about, Some(&old), &new)?;
    if new == old {
        return Ok(Answer::object(200, &old));
    }
    if remove::is_over(&new) {
        state.remove(&key);
        return Ok(Answer::object(200, &new));
    }
    Ok(Answer::object(200, &state.insert(key, new)))
}

fn merged(old: &Value, request: &ParsedRequest) -> Result<Value, String> {
    let patch: Value = serde_json::from_slice(&request.body).map_err(|wrong| wrong.to_string())?;
    let mut new = old.clone();
    patch::merge(&mut new, patch);
    Ok(new)
}

/// A status write changes only the status, and other writes do not change it.
fn kept(old: &Value, mut new: Value, route: &Route) -> Value {
    let kept: &[&str] = match (route.custom, route.status) {
        (false, false) => &[],
        (true, false) => &["status"],
        (_, true) => &["spec"],
    };
    if let (Value::Object(new), Value::Object(old)) = (&mut new, old) {
        for field in kept {
            match old.get(*field) {
                Some(value) => drop(new.insert((*field).to_owned(), value.clone())),
                None => drop(new.remove(*field)),
            }
        }
    }
    new
}
