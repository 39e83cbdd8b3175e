//! The deployed admission policies: a token may write only its own objects. The cells of the table
//! are dry runs, which change nothing.

mod agents;
mod members;
mod scene;

use std::time::Duration;

use firecamp_checks::deploy::{collection, files, objects};
use firecamp_core::release::Releaser;
use firecamp_kube::Timeouts;
use firecamp_testkit::kubernetes::{Answer, Api};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::rights::{NODE, agents_work, members_may, of_agents};
use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::deploy::apply;
use crate::lifecycle::{Pod, Site, attached, released};
use crate::samples::GROUP;
pub(super) use scene::agent;
use scene::{Scene, Who};

const PATIENCE: Duration = Duration::from_mins(1);
const CLAIMS: &str = "namespaces/prod/staticipclaims";

/// One request: its user, its purpose, and a text of the expected rejection; none if it is
/// accepted.
#[derive(Debug, Clone)]
struct Cell {
    who: Who,
    what: &'static str,
    method: Method,
    path: String,
    body: Option<Value>,
    refused: Option<&'static str>,
}

impl Cell {
    fn new(who: Who, what: &'static str, (method, path): (Method, &str), body: Value) -> Self {
        let body = if body.is_null() { None } else { Some(body) };
        Self { who, what, method, path: path.to_owned(), body, refused: None }
    }

    fn refused(mut self, words: &'static str) -> Self {
        self.refused = Some(words);
        self
    }

    async fn ask(&self, own: &Api) -> Result<Answer, String> {
        let path = format!("{}?dryRun=All&fieldValidation=Strict", self.path);
        own.ask(self.method.clone(), &path, self.body.as_ref()).await
    }

    fn wrong(&self, answer: &Answer) -> String {
        format!("{:?}, to {}: {} {}", self.who, self.what, answer.code, answer.text)
    }

    /// Waits until the policies are in force and reject the request for this reason.
    async fn is_refused(&self, own: &Api, words: &str) -> Outcome {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(own).await?;
            if answer.code == 403 && answer.text.contains(words) {
                return Ok(());
            }
            ensure(Instant::now() < end, || self.wrong(&answer))?;
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until no policy is in force and the request is accepted.
    async fn is_accepted_again(&self, own: &Api) -> Outcome {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(own).await?;
            if answer.code < 400 {
                return Ok(());
            }
            ensure(Instant::now() < end, || self.wrong(&answer))?;
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn policies() -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for file in files("deploy/policies")? {
        all.extend(objects(&file)?);
    }
    Ok(all)
}

/// Runs a check under the policies, and removes them afterwards in every case.
async fn under(cluster: &Cluster, check: impl Future<Output = Outcome>) -> Outcome {
    for object in policies()? {
        apply(cluster, &object).await?;
    }
    let outcome = check.await;
    for object in policies()?.iter().rev() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let gone = cluster.api.delete(&format!("{}/{name}", collection(object)?)).await?;
        ensure(gone.code == 200, || gone.text)?;
    }
    outcome
}

/// The requests of members, and of agents.
async fn cells(scene: &Scene<'_>) -> Result<Vec<Cell>, String> {
    let agents = agents::cells(&scene.elsewhere, &scene.other_taints().await?);
    Ok([members::cells(scene), agents].concat())
}

/// RBAC allows everything that the policies reject: without them all requests are accepted.
async fn without(scene: &Scene<'_>, cells: &[Cell]) -> Outcome {
    for cell in cells.iter().filter(|cell| cell.refused.is_some()) {
        cell.is_accepted_again(scene.of(cell.who)?).await?;
    }
    Ok(())
}

pub(super) async fn f103_f105_the_policies_allow_a_token_only_writes_of_its_own_objects(
    cluster: &Cluster,
) -> Outcome {
    let scene = Box::pin(Scene::set(cluster)).await?;
    let cells = cells(&scene).await?;
    let table = async {
        for cell in &cells {
            if let Some(words) = cell.refused {
                cell.is_refused(scene.of(cell.who)?, words).await?;
            }
        }
        for cell in cells.iter().filter(|cell| cell.refused.is_none()) {
            let answer = cell.ask(scene.of(cell.who)?).await?;
            ensure(answer.code < 400, || cell.wrong(&answer))?;
        }
        // The leader has not renewed the Lease since the scene was set.
        agents::takeover().is_accepted_again(scene.of(Who::Agent)?).await
    };
    under(cluster, table).await?;
    without(&scene, &cells).await?;
    let refused = cells.iter().filter(|cell| cell.refused.is_some()).count();
    ensure(refused >= 90 && cells.len() - refused >= 55, || format!("only {} cells", cells.len()))?;
    scene.remove_all().await
}

/// Runs the first pod of a member, the next one, its release, and a claim of a user.
async fn run_member(cluster: &Cluster) -> Outcome {
    let site = Site::new(cluster).await?;
    let of = async |pod: &Pod| {
        let source = pod.source(cluster).await?;
        source.connect(Timeouts::default()).await.map_err(|wrong| format!("{wrong:?}"))
    };
    let first = site.pod("redis-0", "node-a").await?;
    let address = attached(site.init(&first, of(&first).await?).await)?.address;
    let second = site.pod("redis-0", "node-b").await?;
    let again = attached(site.init(&second, of(&second).await?).await)?.address;
    ensure(address == again, || format!("{address}, then {again}"))?;
    let registry = of(&second).await?;
    site.delete(&second).await?;
    released(&site.stop(&second, &registry, Releaser::Stop).await)?;
    let claim = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPClaim",
        "metadata": { "name": "redis-1" },
        "spec": { "pool": "pool" },
    });
    let made = cluster.api.post(&format!("{GROUP}/{CLAIMS}"), &claim).await?;
    ensure(made.code == 201, || made.text)?;
    let third = site.pod("redis-1", "node-a").await?;
    attached(site.init(&third, of(&third).await?).await).map(drop)
}

pub(super) async fn members_and_agents_work_under_the_policies(cluster: &Cluster) -> Outcome {
    members_may(cluster).await?;
    of_agents(cluster).await?;
    let scene = Box::pin(Scene::set(cluster)).await?;
    let cells = cells(&scene).await?;
    let work = async {
        for cell in cells.iter().filter(|cell| cell.refused.is_some()) {
            cell.is_refused(scene.of(cell.who)?, cell.refused.unwrap_or_default()).await?;
        }
        scene.remove_all().await?;
        Box::pin(run_member(cluster)).await.map_err(|wrong| format!("a member: {wrong}"))?;
        let agent = scene::agent(cluster, NODE).await?;
        Box::pin(agents_work(cluster, &agent)).await.map_err(|wrong| format!("an agent: {wrong}"))
    };
    under(cluster, Box::pin(work)).await?;
    cluster.empty().await
}
