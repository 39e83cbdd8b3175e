//! Requests, one at a time, as a real server answers them.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::{Value, json};
use thiserror::Error;

use crate::answer::{About, Answer};
use crate::faults::Fault;
use crate::lock;
use crate::objects::{Key, World};
use crate::route::Route;
use crate::watch::Stream;
use crate::{list, looks, patch, remove, validate};

/// The type of a merge patch.
const MERGE: &str = "application/merge-patch+json";

/// The connection broke.
#[derive(Debug, Clone, Error)]
#[error("connection reset by peer")]
pub struct Reset;

/// How a request stays without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// The connection broke.
    #[error("connection reset by peer")]
    Reset,
    /// Nothing comes, ever.
    #[error("silence")]
    Silence,
}

/// A request, read to its end.
struct Asked {
    method: Method,
    route: Option<Route>,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Asked {
    fn of(request: Request<Vec<u8>>) -> Self {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        Self {
            route: Route::of(path).or_else(|| Route::look(path)),
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

/// The whole of an answer, or one that goes on.
pub type Sent = UnsyncBoxBody<Bytes, Reset>;

enum Responded {
    Whole(Response<Vec<u8>>),
    Watch(Stream),
}

pub(crate) async fn serve(
    world: Arc<Mutex<World>>,
    request: Request<Body>,
) -> Result<Response<Sent>, Reset> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(|_broken| Reset)?;
    let asked = Asked::of(Request::from_parts(parts, body.to_vec()));
    let responded = respond(&mut lock(&world), &asked, None);
    match responded {
        Ok(Responded::Whole(response)) => Ok(response.map(|text| {
            let whole = Full::from(text).map_err(|never| match never {});
            whole.boxed_unsync()
        })),
        Ok(Responded::Watch(stream)) => Ok(Response::new(stream.boxed_unsync())),
        Err(Unanswered::Reset) => Err(Reset),
        Err(Unanswered::Silence) => pending().await,
    }
}

/// Answers at once. A fault that is named here is met before those that were set.
pub(crate) fn answer_whole(
    world: &mut World,
    request: Request<Vec<u8>>,
    fault: Option<Fault>,
) -> Result<Response<Vec<u8>>, Unanswered> {
    match respond(world, &Asked::of(request), fault)? {
        Responded::Whole(response) => Ok(response),
        Responded::Watch(_stream) => Err(Unanswered::Silence),
    }
}

fn respond(
    world: &mut World,
    asked: &Asked,
    fault: Option<Fault>,
) -> Result<Responded, Unanswered> {
    if world.away {
        world.unanswered += 1;
        return Err(Unanswered::Reset);
    }
    let fault = fault.or_else(|| world.faults.take(asked.verb(), asked.plural()));
    note(world, asked);
    let answer = match answer(world, asked, fault) {
        Answered::Whole(answer) => answer,
        Answered::Watch(stream) => return Ok(Responded::Watch(stream)),
    };
    let code = answer.code;
    let text = match fault {
        Some(Fault::LostRequest | Fault::LostAnswer) => return Err(Unanswered::Reset),
        Some(Fault::Silence | Fault::SilenceAfter) => return Err(Unanswered::Silence),
        Some(Fault::Cut) => answer.body.chars().take(answer.body.len() / 2).collect(),
        Some(Fault::Flood) => answer.body + &" ".repeat(16 * 1024 * 1024),
        Some(Fault::Code(..) | Fault::Proxy(_) | Fault::Unserved) | None => answer.body,
    };
    let mut response = Response::builder().status(code);
    if let Some(date) = &world.date {
        response = response.header(DATE, date);
    }
    let response = response.body(text.into_bytes()).map_err(|_malformed| Unanswered::Reset)?;
    Ok(Responded::Whole(response))
}

/// Writes the request down.
fn note(world: &mut World, asked: &Asked) {
    let name = asked.route.as_ref().and_then(|route| route.name.as_deref());
    let (verb, plural, name) = (asked.verb(), asked.plural(), name.unwrap_or("*"));
    world.asked.push(format!("{verb} {plural}/{name}"));
}

enum Answered {
    Whole(Answer),
    Watch(Stream),
}

fn answer(world: &mut World, asked: &Asked, fault: Option<Fault>) -> Answered {
    match &asked.route {
        Some(route) if asked.is_watch() && route.name.is_none() && fault.is_none() => {
            match world.watch(route, &asked.query) {
                Ok(stream) => Answered::Watch(stream),
                Err(refused) => Answered::Whole(refused),
            }
        }
        _ => Answered::Whole(whole(world, asked, fault)),
    }
}

fn whole(world: &mut World, asked: &Asked, fault: Option<Fault>) -> Answer {
    let page_not_found = || Answer::text(404, "404 page not found\n");
    let Some(route) = &asked.route else { return page_not_found() };
    if world.uninstalled && route.custom {
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
        Some(Fault::LostAnswer | Fault::SilenceAfter | Fault::Cut | Fault::Flood) | None => {}
    }
    if !asked.query.contains_key("timeout") {
        return Answer::bad_request("a request without a deadline", about);
    }
    if let Some(answer) = looks::answer(world, route, &asked.body) {
        return answer;
    }
    match (asked.method.as_str(), &route.name) {
        ("GET", Some(_)) => get(world, route, about),
        ("GET", None) => list::page(world, route, &asked.query, names_only(&asked.headers)),
        ("POST", None) => write(asked, "application/json", about)
            .and_then(|()| create(world, asked, route))
            .unwrap_or_else(|refused| refused),
        ("PATCH", Some(_)) => update(world, asked, route, about).unwrap_or_else(|refused| refused),
        ("DELETE", Some(_)) => remove::one(world, &asked.body, &key(route, about.name), about)
            .unwrap_or_else(|refused| refused),
        _ => Answer::status(405, "MethodNotAllowed", "the server does not allow this", about),
    }
}

fn key(route: &Route, name: &str) -> Key {
    Key { plural: route.plural, namespace: route.namespace.clone(), name: name.to_owned() }
}

/// Whether only names, versions and labels are asked for.
fn names_only(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("as=PartialObjectMetadataList"))
}

fn get(world: &World, route: &Route, about: About<'_>) -> Answer {
    match world.get(&key(route, about.name)) {
        Some(object) => Answer::object(200, object),
        None => Answer::not_found(about),
    }
}

/// What every write must have: its type, a manager, and strict validation.
fn write(asked: &Asked, kind: &str, about: About<'_>) -> Result<(), Answer> {
    let is = |name: &str, wanted: &str| asked.query.get(name).is_some_and(|v| v == wanted);
    if asked.headers.get(CONTENT_TYPE).is_none_or(|sent| sent != kind) {
        let problem = format!("the body is not {kind}");
        return Err(Answer::status(415, "UnsupportedMediaType", &problem, about));
    }
    if !is("fieldManager", "firecamp") || !is("fieldValidation", "Strict") {
        return Err(Answer::bad_request("a write without manager or strict validation", about));
    }
    Ok(())
}

fn create(world: &mut World, asked: &Asked, route: &Route) -> Result<Answer, Answer> {
    let nobody = About { plural: route.plural, name: "" };
    let mut object: Value = serde_json::from_slice(&asked.body)
        .map_err(|wrong| Answer::bad_request(&wrong.to_string(), nobody))?;
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let name = name.to_owned();
    let about = About { plural: route.plural, name: &name };
    if let Some(namespace) = &route.namespace
        && world.missing_namespaces.contains(namespace)
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
    if world.get(&key).is_some() {
        return Err(Answer::already_exists(about));
    }
    if let Value::Object(map) = &mut object {
        map.remove("status");
    }
    Ok(Answer::object(201, &world.insert(key, object)))
}

fn update(
    world: &mut World,
    asked: &Asked,
    route: &Route,
    about: About<'_>,
) -> Result<Answer, Answer> {
    let key = key(route, about.name);
    let old = world.get(&key).cloned().ok_or_else(|| Answer::not_found(about))?;
    let merges = asked.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == MERGE);
    write(asked, if merges { MERGE } else { "application/json-patch+json" }, about)?;
    let new = if merges { merged(&old, asked) } else { patch::apply(&old, &asked.body) };
    let new = new.map(|new| kept(&old, new, route));
    let new = new.map_err(|wrong| Answer::status(422, "Invalid", &wrong, about))?;
    let version = |object: &Value| {
        let text = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        text.and_then(|text| text.parse::<u64>().ok())
    };
    let named = String::from_utf8_lossy(&asked.body).contains("resourceVersion");
    // The kubelet writes its node's status all the time, so others name no version of it.
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
        world.remove(&key);
        return Ok(Answer::object(200, &new));
    }
    Ok(Answer::object(200, &world.insert(key, new)))
}

fn merged(old: &Value, asked: &Asked) -> Result<Value, String> {
    let patch: Value = serde_json::from_slice(&asked.body).map_err(|wrong| wrong.to_string())?;
    let mut new = old.clone();
    patch::merge(&mut new, patch);
    Ok(new)
}

/// A write of the status changes nothing else, and one of the object changes no status.
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
