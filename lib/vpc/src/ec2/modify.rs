//! ModifyNetworkInterfaceAttribute: ec2-semantics.md section 2.8.

use super::actions::{ActionContext, Effect};
use super::create::{few_groups, known_groups, valid_description};
use super::xml::Xml;
use super::{ApiError, Form, assign};
use crate::model::Eni;

/// The attribute that a request changes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attribute {
    Description(String),
    SourceDestCheck(bool),
    /// The ENI's new groups, which replace all of its groups.
    Groups(Vec<String>),
    DeleteOnTermination {
        attachment: String,
        delete: bool,
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modify {
    eni: String,
    attribute: Attribute,
    dry: bool,
}

/// Parses a request: it names exactly one attribute.
pub(crate) fn parse(form: &Form) -> Result<Modify, ApiError> {
    let eni = form.required("NetworkInterfaceId")?.to_owned();
    let description = form.text("Description.Value");
    let check = form.text("SourceDestCheck.Value").map(|_| form.flag("SourceDestCheck.Value"));
    let groups: Vec<String> = form.list("SecurityGroupId").into_iter().map(str::to_owned).collect();
    let attachment = attachment(form)?;
    let dry = form.flag("DryRun")?;
    form.nothing_left()?;
    let mut given = Vec::new();
    if let Some(description) = description {
        valid_description(description)?;
        given.push(("description", Attribute::Description(description.to_owned())));
    }
    if let Some(check) = check {
        given.push(("sourceDestCheck", Attribute::SourceDestCheck(check?)));
    }
    if !groups.is_empty() {
        few_groups(&groups)?;
        given.push(("groupSet", Attribute::Groups(groups)));
    }
    given.extend(attachment.map(|attribute| ("attachment", attribute)));
    let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
    if names.len() > 1 {
        return Err(ApiError::several_attributes(&names));
    }
    let (_, attribute) = given.pop().ok_or_else(ApiError::no_attribute)?;
    Ok(Modify { eni, attribute, dry })
}

/// "If modifying the delete on termination attribute, you must specify the ID of the interface
/// attachment." An ID alone is refused too (unverified).
fn attachment(form: &Form) -> Result<Option<Attribute>, ApiError> {
    if !form.has_any("Attachment.") {
        return Ok(None);
    }
    let attachment = form.required("Attachment.AttachmentId")?.to_owned();
    form.required("Attachment.DeleteOnTermination")?;
    let delete = form.flag("Attachment.DeleteOnTermination")?;
    Ok(Some(Attribute::DeleteOnTermination { attachment, delete }))
}

/// Executes a request on the current state. A value that the ENI already has is no error.
pub(crate) fn execute(request: &Modify, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    let mut eni: Eni = assign::interface(&request.eni, on)?.clone();
    match &request.attribute {
        Attribute::Description(description) => eni.description.clone_from(description),
        Attribute::SourceDestCheck(check) => eni.source_dest_check = *check,
        // Every ENI has the VPC's only group.
        Attribute::Groups(groups) => known_groups(groups)?,
        Attribute::DeleteOnTermination { attachment, delete } => {
            let own = eni.attachment.as_mut().filter(|own| *own.id == **attachment);
            let own = own.ok_or_else(|| ApiError::no_attachment(attachment))?;
            own.delete_on_termination = *delete;
        }
    }
    if request.dry {
        return Err(ApiError::dry_run());
    }
    let mut next = (*on.vpc).clone();
    if let Some(old) = next.eni_mut(&request.eni) {
        *old = eni;
    }
    let changed = next.enis != on.vpc.enis;
    let body = Xml::done(super::Action::Modify.name(), on.request_id);
    Ok(Effect { body, next: changed.then_some(next) })
}
