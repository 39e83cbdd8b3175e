//! Tries the facts whose calls decide: performs their steps and judges each answer.

use std::net::Ipv4Addr;

use firecamp_core::ids::EniId;
use tokio::time::Instant;

use super::fact::{By, Call, Expect, Place, Side, Step};
use super::facts::FACTS;
use super::judge::{self, Answer, Outcome, Verdict, seconds};
use super::ports::{Ec2, Reassign};
use super::session::{Halt, POLL, Session, VISIBLE_WITHIN};
use super::set_up::Scene;

impl<E: Ec2> Session<'_, E> {
    /// Tries all facts whose calls decide.
    pub(super) async fn try_steps(&mut self, scene: &Scene) -> Result<(), Halt> {
        for fact in FACTS {
            let By::Steps(steps) = fact.by else { continue };
            match self.verdict_of(scene, steps).await {
                Ok(verdict) => self.record(fact.id, verdict),
                Err(Halt::Interrupted) => return Err(Halt::Interrupted),
                Err(Halt::Failed(why)) => self.record(fact.id, Verdict::failed(&why)),
            }
        }
        Ok(())
    }

    /// All steps have to hold; the first that does not decides.
    async fn verdict_of(&mut self, scene: &Scene, steps: &[Step]) -> Result<Verdict, Halt> {
        let (mut outcome, mut observed) = (Outcome::Holds, Vec::new());
        for step in steps {
            let verdict = match step {
                Step::Have(place, side) => {
                    prepared(self.have(scene.address(*place), scene.eni(*side)).await?)
                }
                Step::Free(place) => prepared(self.free(scene.address(*place)).await?),
                Step::Try(call, expect) => Some(self.try_call(scene, call, expect).await?),
                Step::Shown(place, side) => Some(self.shown(scene, *place, *side).await?),
            };
            let Some(verdict) = verdict else { continue };
            observed.push(verdict.observed);
            if verdict.outcome != Outcome::Holds {
                outcome = verdict.outcome;
                break;
            }
        }
        Ok(Verdict::new(outcome, observed.join("; ")))
    }

    async fn try_call(
        &mut self,
        scene: &Scene,
        call: &Call,
        expect: &Expect,
    ) -> Result<Verdict, Halt> {
        let (side, places) = match call {
            Call::Assign(side, places) | Call::Force(side, places) => (side, *places),
            Call::Unassign(side, place) => (side, std::slice::from_ref(place)),
        };
        let eni = scene.eni(*side);
        let addresses: Vec<Ipv4Addr> = places.iter().map(|place| scene.address(*place)).collect();
        let answer = match call {
            Call::Assign(..) => self.assign(eni, &addresses, Reassign::Refuse).await?,
            Call::Force(..) => self.assign(eni, &addresses, Reassign::Allow).await?,
            Call::Unassign(_, place) => self.unassign(eni, scene.address(*place)).await?,
        };
        let verdict = self.unless_taken(judge::call(expect, &answer), &addresses).await?;
        Ok(Verdict::new(verdict.outcome, format!("{call:?}: {}", verdict.observed)))
    }

    /// Reads until only this interface shows the address.
    pub(super) async fn shown(
        &mut self,
        scene: &Scene,
        place: Place,
        side: Side,
    ) -> Result<Verdict, Halt> {
        let (address, wanted) = (scene.address(place), scene.eni(side));
        let begun = Instant::now();
        loop {
            let listed = self.list(&scene.both()).await?;
            let holders: Vec<&EniId> =
                listed.iter().filter(|one| one.has(address)).map(|one| &one.id).collect();
            let at = seconds(begun.elapsed());
            if holders == [wanted] {
                let observed = format!("{place:?} shown on {side:?} after {at}");
                return Ok(Verdict::holds_if(true, observed));
            }
            if begun.elapsed() > VISIBLE_WITHIN {
                let observed = format!("{place:?} shown on {} of both after {at}", holders.len());
                return Ok(Verdict::holds_if(false, observed));
            }
            self.pause(POLL).await?;
        }
    }
}

/// A step that only prepares: nothing if it succeeded.
fn prepared(answer: Answer) -> Option<Verdict> {
    answer.err().map(|why| Verdict::failed(&why))
}
