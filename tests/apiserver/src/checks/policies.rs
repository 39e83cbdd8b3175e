//! The admission policies as deployed: a token writes what is its own. Nothing is changed by a cell
//! of the table: the server is asked what it would say.

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
use crate::life::{Pod, Site, attached, released};
use crate::samples::GROUP;
use scene::{Scene, Who};

const PATIENCE: Duration = Duration::from_mins(1);
const CLAIMS: &str = "namespaces/prod/staticipclaims";

/// One request: who asks, for what, and what the refusal says; none if it is taken.
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

    /// Refused for this reason, as soon as the policies have come into force.
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

    /// Taken, as soon as no policy is in force any more.
    async fn is_taken_again(&self, own: &Api) -> Outcome {
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

/// What is to be seen under the policies; they are gone afterwards, however it ends.
async fn under(cluster: &Cluster, seen: impl Future<Output = Outcome>) -> Outcome {
    for object in policies()? {
        apply(cluster, &object).await?;
    }
    let outcome = seen.await;
    for object in policies()?.iter().rev() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let gone = cluster.api.delete(&format!("{}/{name}", collection(object)?)).await?;
        ensure(gone.code == 200, || gone.text)?;
    }
    outcome
}

/// Whatever the policies refuse, RBAC allows: so without them all of it is taken.
async fn without(scene: &Scene<'_>, cells: &[Cell]) -> Outcome {
    for cell in cells.iter().filter(|cell| cell.refused.is_some()) {
        cell.is_taken_again(scene.of(cell.who)?).await?;
    }
    Ok(())
}

pub(super) async fn f103_f105_a_token_writes_what_is_its_own_and_nothing_else(
    cluster: &Cluster,
) -> Outcome {
    let scene = Box::pin(Scene::set(cluster)).await?;
    let cells = [members::cells(&scene), agents::cells()].concat();
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
        Ok(())
    };
    under(cluster, table).await?;
    without(&scene, &cells).await?;
    let refused = cells.iter().filter(|cell| cell.refused.is_some()).count();
    ensure(refused >= 24 && cells.len() - refused >= 15, || format!("only {}", cells.len()))?;
    scene.strike().await
}

/// The first pod of a member, the next one, its release, and a claim that a person has made.
async fn a_member_lives(cluster: &Cluster) -> Outcome {
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

pub(super) async fn members_and_agents_do_their_work_under_the_policies(
    cluster: &Cluster,
) -> Outcome {
    members_may(cluster).await?;
    of_agents(cluster).await?;
    let scene = Box::pin(Scene::set(cluster)).await?;
    let cells = [members::cells(&scene), agents::cells()].concat();
    let work = async {
        for cell in cells.iter().filter(|cell| cell.refused.is_some()) {
            cell.is_refused(scene.of(cell.who)?, cell.refused.unwrap_or_default()).await?;
        }
        scene.strike().await?;
        Box::pin(a_member_lives(cluster)).await.map_err(|wrong| format!("a member: {wrong}"))?;
        let agent = scene::agent(cluster, NODE).await?;
        Box::pin(agents_work(cluster, &agent)).await.map_err(|wrong| format!("an agent: {wrong}"))
    };
    under(cluster, Box::pin(work)).await?;
    cluster.empty().await
}
