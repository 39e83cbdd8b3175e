//! AttachNetworkInterface and DetachNetworkInterface: ec2-semantics.md section 2.7.
//!
//! The order of the checks is ours: syntax, ID formats, ENI, instance, and then both together: in
//! use, zone, state, limits, device index.

use std::sync::Arc;
use std::time::Duration;

use super::actions::{ActionContext, Effect};
use super::xml::Xml;
use super::{ApiError, Form, assign, instances, is_id};
use crate::model::{Attachment, Eni, Id, Instance, Stage};
use crate::profile::Distribution;
use crate::rng::key_of;
use crate::view::NodeState;

/// A request to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attach {
    eni: String,
    instance: String,
    index: u32,
    card: u32,
    dry: bool,
}

/// Parses a request to attach.
pub(crate) fn parse(form: &Form) -> Result<Attach, ApiError> {
    let eni = form.required("NetworkInterfaceId")?.to_owned();
    let instance = form.required("InstanceId")?.to_owned();
    form.required("DeviceIndex")?;
    let index = form.number("DeviceIndex")?.unwrap_or_default();
    let card = form.number("NetworkCardIndex")?.unwrap_or(0);
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    Ok(Attach { eni, instance, index, card, dry })
}

/// Starts to attach.
pub(crate) fn execute(request: &Attach, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let eni = assign::interface(&request.eni, on)?;
    if !is_id("i", &request.instance) {
        return Err(ApiError::malformed_instance(&request.instance));
    }
    let instance = on.vpc.instances.get(request.instance.as_str());
    let instance = instance.filter(|instance| instances::is_listed(instance, on.now));
    let instance = instance.ok_or_else(|| ApiError::no_instance(&request.instance))?;
    if request.dry {
        return Err(ApiError::dry_run());
    }
    check_state(eni, instance, on)?;
    within_limits(eni, instance, on)?;
    check_index(request, instance, on)?;
    let id: Id = Id::from(format!("eni-attach-{}", on.rng.hex17("attach-made", on.call)));
    let lag = |from: &Distribution, stream: &str| {
        on.now + on.rng.draw(from, stream, key_of(&eni.id), on.call)
    };
    let attachment = Attachment {
        id: Arc::clone(&id),
        instance: Arc::clone(&instance.id),
        device_index: request.index,
        stage: Stage::Attaching,
        done_at: lag(&on.profile.eni_attach, "eni-attach"),
        since: Some(on.now),
        plugged_at: lag(&on.profile.eni_hot_plug, "eni-hot-plug"),
        unplugged_at: None,
        forced: false,
        delete_when_detached: false,
        // M11: an ENI that is attached later survives the instance.
        delete_on_termination: false,
    };
    let mut next = (*on.vpc).clone();
    if let Some(eni) = next.eni_mut(&eni.id) {
        eni.attachment = Some(attachment);
    }
    let name = super::Action::Attach.name();
    let mut xml = Xml::answer(name, on.request_id);
    xml.leaf("attachmentId", &id).leaf("networkCardIndex", request.card);
    Ok(Effect { body: xml.finish(name), next: Some(next) })
}

/// Checks use, zone and state.
fn check_state(eni: &Eni, instance: &Instance, on: &ActionContext<'_>) -> Result<(), ApiError> {
    if eni.attachment.is_some() {
        return Err(ApiError::eni_in_use("InvalidNetworkInterface.InUse", &eni.id));
    }
    if on.topology.subnet(&eni.subnet).is_none_or(|subnet| subnet.zone != instance.zone) {
        return Err(ApiError::other_zone());
    }
    if instance.state == NodeState::Terminated {
        return Err(ApiError::instance_state(&instance.id));
    }
    Ok(())
}

/// Checks network card and device index. For the next index of a full instance EC2 reports the
/// number of ENIs and not the index (cilium#15877), so the limit comes first.
fn check_index(
    request: &Attach,
    instance: &Instance,
    on: &ActionContext<'_>,
) -> Result<(), ApiError> {
    // Every type here has one card; index 0 always belongs to the primary ENI. An index must be
    // below the number of ENIs of the type; Karpenter checks the same
    // (karpenter-provider-aws#9027).
    if request.card != 0 {
        return Err(ApiError::no_card(request.card, instance.size.name));
    }
    if request.index == 0 || request.index >= eni_limit(instance, on) {
        return Err(ApiError::bad_index(request.index, instance.size.name));
    }
    let index = |eni: &&Arc<Eni>| eni.attachment.as_ref().map(|a| a.device_index);
    let enis = on.vpc.enis_of(&instance.id);
    let taken = enis.iter().any(|eni| index(eni) == Some(request.index));
    // After a forced detachment the index may be unusable until a stop and start (API reference,
    // DetachNetworkInterface); here it always is.
    if taken || instance.unusable_indexes.contains(&request.index) {
        return Err(ApiError::index_taken(&instance.id, request.index));
    }
    Ok(())
}

fn eni_limit(instance: &Instance, on: &ActionContext<'_>) -> u32 {
    let other = on.knobs.eni_limits.get(instance.size.name);
    other.map_or(instance.size.enis, |(enis, _)| *enis)
}

/// Checks the ENI limit of the type, slots that ENIs share with volumes (unverified that EC2
/// refuses ENIs too), and the address limit of the ENI (unverified).
fn within_limits(eni: &Eni, instance: &Instance, on: &ActionContext<'_>) -> Result<(), ApiError> {
    let kind = instance.size;
    let count = on.vpc.eni_count(&instance.id).saturating_add(1);
    if count > eni_limit(instance, on) {
        if let Some((_, fault)) = on.knobs.eni_limits.get(kind.name) {
            on.knobs.fire(*fault);
        }
        return Err(ApiError::eni_count(count, kind.name));
    }
    let volumes = on.vpc.volume_count(&instance.id);
    if kind.shared_slots().is_some_and(|slots| volumes.saturating_add(count) > slots) {
        return Err(ApiError::eni_count(count, kind.name));
    }
    if eni.slots() > kind.slots(&on.knobs.limits().ips) {
        if let Some((_, fault)) = on.knobs.limits.get(kind.name) {
            on.knobs.fire(*fault);
        }
        return Err(ApiError::limit());
    }
    Ok(())
}

/// A request to detach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detach {
    attachment: String,
    force: bool,
    dry: bool,
}

/// Parses a request to detach.
pub(crate) fn parse_detach(form: &Form) -> Result<Detach, ApiError> {
    let attachment = form.required("AttachmentId")?.to_owned();
    let force = form.flag("Force")?;
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    Ok(Detach { attachment, force, dry })
}

/// Starts to detach.
pub(crate) fn detach(request: &Detach, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    if !is_id("eni-attach", &request.attachment) {
        let code = "InvalidNetworkInterfaceAttachmentId.Malformed";
        return Err(ApiError::malformed_id(code, &request.attachment, "eni-attach"));
    }
    let holds =
        |eni: &&Arc<Eni>| eni.attachment.as_ref().is_some_and(|a| *a.id == *request.attachment);
    let eni = on.vpc.enis.values().find(holds);
    let eni = eni.ok_or_else(|| ApiError::no_attachment(&request.attachment))?;
    if eni.operator().is_some() {
        return Err(ApiError::managed(&eni.id));
    }
    if request.dry {
        return Err(ApiError::dry_run());
    }
    let mut next = (*on.vpc).clone();
    let attachment = next.eni_mut(&eni.id).and_then(|eni| eni.attachment.as_mut());
    let attachment = attachment.ok_or_else(|| ApiError::no_attachment(&request.attachment))?;
    if attachment.device_index == 0 {
        return Err(ApiError::primary_stays());
    }
    // A second one without force changes nothing and is refused (unverified).
    if attachment.stage == Stage::Detaching && !request.force {
        return Err(ApiError::detaching(&request.attachment));
    }
    let usual = on.rng.draw(&on.profile.eni_detach, "detach", key_of(&eni.id), on.call);
    // A forced detachment involves only EC2, not the guest.
    let takes: Duration = if request.force { usual / 4 } else { usual };
    attachment.detach(on.now, takes, request.force);
    let body = Xml::done(super::Action::Detach.name(), on.request_id);
    Ok(Effect { body, next: Some(next) })
}
