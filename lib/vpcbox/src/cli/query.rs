//! Commands that query a box or change it.

use std::time::Duration;

use serde_json::Value;

use super::arguments::{
    ActArguments, CallsArguments, ExpectedHolder, FaultCommand, FaultSetArguments, QueryArguments,
    SinceArguments, WaitArguments,
};
use super::enter::connect;
use super::{fields, print};
use crate::failure::Failure;
use crate::protocol::{Condition, KernelAct};

/// `vpcbox truth`.
pub(super) fn truth(arguments: &QueryArguments) -> Result<u8, Failure> {
    let mut client = connect(&arguments.place)?;
    if arguments.json {
        print::json(&client.truth_json()?)?;
    } else {
        print::truth(&client.truth()?)?;
    }
    Ok(0)
}

/// `vpcbox calls`.
pub(super) fn calls(arguments: &CallsArguments) -> Result<u8, Failure> {
    let CallsArguments { since: SinceArguments { query, since }, service } = arguments;
    let mut calls = connect(&query.place)?.calls(*since)?;
    calls.retain(|call| service.is_none_or(|service| call.service == service.name()));
    if query.json {
        print::lines(&calls)?;
    } else {
        print::calls(&calls)?;
    }
    Ok(0)
}

/// `vpcbox router`.
pub(super) fn router(arguments: &SinceArguments) -> Result<u8, Failure> {
    let events = connect(&arguments.query.place)?.router(arguments.since)?;
    if arguments.query.json {
        print::lines(&events)?;
    } else {
        print::events(&events)?;
    }
    Ok(0)
}

/// `vpcbox fault`.
pub(super) fn fault(command: FaultCommand) -> Result<u8, Failure> {
    match command {
        FaultCommand::Set(arguments) => set_fault(&arguments)?,
        FaultCommand::List(arguments) => {
            print::faults(&connect(&arguments.place)?.fault_list()?, arguments.json)?;
        }
        FaultCommand::Clear(arguments) => {
            let cleared = connect(&arguments.query.place)?.fault_clear(arguments.id)?;
            print::faults(&cleared, arguments.query.json)?;
        }
    }
    Ok(0)
}

fn set_fault(arguments: &FaultSetArguments) -> Result<(), Failure> {
    let spec = if arguments.kind.trim_start().starts_with('{') {
        let whole = serde_json::from_str(&arguments.kind);
        whole.map_err(|error| fields::usage(format!("the fault is not JSON: {error}")))?
    } else {
        serde_json::json!({
            "fault": fields::of_kind(&arguments.kind, &arguments.fields)?,
            "when": fields::object(&arguments.when)?,
        })
    };
    let spec = fields::read(&format!("fault {}", arguments.kind), spec)?;
    let id = connect(&arguments.query.place)?.fault_set(spec)?;
    if arguments.query.json {
        print::json(&serde_json::json!({ "id": id }))
    } else {
        print::out(&format!("fault {id} is set\n"))
    }
}

/// `vpcbox act`.
pub(super) fn act(arguments: &ActArguments) -> Result<u8, Failure> {
    let kind = arguments.kind.as_str();
    let what = format!("act {kind}");
    let value = Value::Object(fields::of_kind(kind, &arguments.fields)?);
    if matches!(kind, "kernel_strip" | "kernel_add" | "link_flap" | "link_down" | "link_up") {
        let act: KernelAct = fields::read(&what, value)?;
        connect(&arguments.query.place)?.kernel(act)?;
    } else {
        let act = fields::read(&what, value)?;
        connect(&arguments.query.place)?.act(act)?;
    }
    if arguments.query.json {
        print::json(&serde_json::json!({ "done": kind }))?;
    }
    Ok(0)
}

/// `vpcbox wait`.
pub(super) fn wait(arguments: &WaitArguments) -> Result<u8, Failure> {
    let condition = condition(arguments)?;
    let timeout = Duration::try_from_secs_f64(arguments.timeout)
        .map_err(|error| fields::usage(format!("--timeout {}: {error}", arguments.timeout)))?;
    connect(&arguments.query.place)?.wait(&condition, timeout)?;
    if arguments.query.json {
        print::json(&condition)?;
    }
    Ok(0)
}

fn condition(arguments: &WaitArguments) -> Result<Condition, Failure> {
    if let Some(ExpectedHolder { address, node }) = arguments.owner.clone() {
        return Ok(Condition::Owner { address, node });
    }
    if let Some(ExpectedHolder { address, node }) = arguments.routed.clone() {
        return Ok(Condition::Routed { address, node });
    }
    if let Some(ExpectedHolder { address, node }) = arguments.listed.clone() {
        let node = node.ok_or_else(|| fields::usage("--listed needs a node".to_owned()))?;
        return Ok(Condition::Listed { address, node });
    }
    let action = arguments.called.clone().ok_or_else(|| {
        fields::usage("wait needs one of --owner, --routed, --listed and --called".to_owned())
    })?;
    Ok(Condition::Called { action, caller: arguments.caller.clone(), count: arguments.count })
}
