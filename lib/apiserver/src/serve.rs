//! Requests, one at a time, as a real server answers them.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use http::header::{ACCEPT, CONTENT_TYPE, DATE};
use http::{HeaderMap, Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use thiserror::Error;

use crate::answer::{About, Answer};
use crate::faults::Fault;
use crate::lock;
use crate::objects::{Key, World};
use crate::route::Route;
use crate::{patch, validate};

/// The connection broke.
#[derive(Debug, Error)]
#[error("connection reset by peer")]
pub(crate) struct Reset;

/// A request, read to its end.
struct Asked {
    method: Method,
    route: Option<Route>,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

pub(crate) async fn serve(
    world: Arc<Mutex<World>>,
    request: Request<Body>,
) -> Result<Response<Body>, Reset> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(|_broken| Reset)?.to_vec();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let asked = Asked {
        route: Route::of(path).or_else(|| Route::pod(path)),
        query: form_urlencoded::parse(query).into_owned().collect(),
        method: parts.method,
        headers: parts.headers,
        body,
    };
    let (fault, answer, date) = {
        let mut world = lock(&world);
        let fault = note(&mut world, &asked);
        let answer = answer(&mut world, &asked, fault);
        (fault, answer, world.date.clone())
    };
    let code = answer.code;
    let text = match fault {
        Some(Fault::LostRequest | Fault::LostAnswer) => return Err(Reset),
        Some(Fault::Silence | Fault::SilenceAfter) => pending().await,
        Some(Fault::Cut) => answer.body.chars().take(answer.body.len() / 2).collect(),
        Some(Fault::Flood) => answer.body + &" ".repeat(16 * 1024 * 1024),
        Some(Fault::Code(..) | Fault::Proxy(_)) | None => answer.body,
    };
    let mut response = Response::builder().status(code);
    if let Some(date) = date {
        response = response.header(DATE, date);
    }
    response.body(Body::from(text.into_bytes())).map_err(|_malformed| Reset)
}

/// Writes the request down, and says what it meets.
fn note(world: &mut World, asked: &Asked) -> Option<Fault> {
    let verb = asked.method.as_str();
    let (plural, name) = match &asked.route {
        Some(route) => (route.plural, route.name.as_deref().unwrap_or("*")),
        None => ("nothing", "*"),
    };
    world.asked.push(format!("{verb} {plural}/{name}"));
    world.faults.take(verb, plural)
}

fn answer(world: &mut World, asked: &Asked, fault: Option<Fault>) -> Answer {
    let page_not_found = || Answer::text(404, "404 page not found\n");
    let Some(route) = &asked.route else { return page_not_found() };
    if world.uninstalled && route.plural != "pods" {
        return page_not_found();
    }
    let about = About { plural: route.plural, name: route.name.as_deref().unwrap_or_default() };
    match fault {
        Some(Fault::LostRequest | Fault::Silence) => return Answer::text(500, ""),
        Some(Fault::Code(code, reason)) => {
            return Answer::status(code, reason, "on purpose", about);
        }
        Some(Fault::Proxy(code)) => return Answer::text(code, "<html>no upstream</html>"),
        Some(Fault::LostAnswer | Fault::SilenceAfter | Fault::Cut | Fault::Flood) | None => {}
    }
    if !asked.query.contains_key("timeout") {
        return Answer::bad_request("a request without a deadline", about);
    }
    match (asked.method.as_str(), &route.name) {
        ("GET", Some(_)) => get(world, route, about),
        ("GET", None) => list(world, asked, route),
        ("POST", None) => write(asked, "application/json", about)
            .and_then(|()| create(world, asked, route))
            .unwrap_or_else(|refused| refused),
        ("PATCH", Some(_)) => write(asked, "application/json-patch+json", about)
            .and_then(|()| update(world, asked, route, about))
            .unwrap_or_else(|refused| refused),
        _ => Answer::status(405, "MethodNotAllowed", "the server does not allow this", about),
    }
}

fn key(route: &Route, name: &str) -> Key {
    Key { plural: route.plural, namespace: route.namespace.clone(), name: name.to_owned() }
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
    let new = patch::apply(&old, &asked.body)
        .map_err(|wrong| Answer::status(422, "Invalid", &wrong, about))?;
    let version = |object: &Value| {
        let text = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        text.and_then(|text| text.parse::<u64>().ok())
    };
    let named = String::from_utf8_lossy(&asked.body).contains("/metadata/resourceVersion");
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
    Ok(Answer::object(200, &world.insert(key, new)))
}

/// A page of the snapshot that the list began with.
fn list(world: &mut World, asked: &Asked, route: &Route) -> Answer {
    let about = About { plural: route.plural, name: "" };
    let number = |text: Option<&String>| text.and_then(|text| text.parse::<usize>().ok());
    let Some(limit) = number(asked.query.get("limit")).filter(|limit| *limit > 0) else {
        return Answer::bad_request("a list without a limit", about);
    };
    let token = asked.query.get("continue").cloned().unwrap_or_default();
    let (version, from) = if let Some((version, from)) = token.split_once("/+=") {
        (version.parse().unwrap_or_default(), number(Some(&from.into())))
    } else {
        let all = world.all(route.plural);
        world.snapshots.insert(world.version, all);
        (world.version, Some(0))
    };
    if from != Some(0) && !world.keeps_snapshots {
        world.snapshots.clear();
    }
    let (Some(all), Some(from)) = (world.snapshots.get(&version), from) else {
        return Answer::status(410, "Expired", "the continue parameter is too old", about);
    };
    let names_only = asked
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("as=PartialObjectMetadataList"));
    let shown = |object: &Value| {
        if names_only { json!({ "metadata": object.get("metadata") }) } else { object.clone() }
    };
    let items: Vec<Value> = all.iter().skip(from).take(limit).map(shown).collect();
    let next = from + items.len();
    let more = if next < all.len() { format!("{version}/+={next}") } else { String::new() };
    let kind = if names_only { "PartialObjectMetadataList" } else { "List" };
    // As real ones do.
    let items = if names_only && items.is_empty() { Value::Null } else { json!(items) };
    let page = json!({
        "kind": kind,
        "metadata": { "resourceVersion": version.to_string(), "continue": more },
        "items": items,
    });
    Answer::object(200, &page)
}
