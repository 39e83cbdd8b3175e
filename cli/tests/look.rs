//! Tests the commands with a file registry and with a strict API server, in this process and over a
//! socket.

#[cfg(test)]
mod look {
    mod bundle;
    mod cleanup;
    mod doctor;
    mod doctor_node;
    mod explain;
    mod follow;
    mod import;
    mod import_plan;
    mod import_support;
    mod kubectl;
    mod node;
    mod status;
    mod support;
    mod uninstall;
    mod wait;
    mod waiting;
}
