//! Labels and annotations of what `firecamp service` and `firecamp task` manage.

/// Label with the name of the service, as in the original FireCamp.
pub const NAME_LABEL: &str = "firecamp-servicename";
/// Label with the UUID of the service, as in the original FireCamp: 32 hex digits.
pub const UUID_LABEL: &str = "firecamp-serviceuuid";
/// Label of a task's Job and pods with the name of the service.
pub const TASK_LABEL: &str = "firecamp.io/task-of";
/// Where a member has its journal, as in the original FireCamp.
pub const JOURNAL_DIR: &str = "/journal";

/// Annotation of a StatefulSet with the definition that it was made from, as JSON.
pub const DEFINITION: &str = "firecamp.io/service";
/// Annotation of a StatefulSet with the definition of before the last update, as JSON.
pub const BEFORE: &str = "firecamp.io/service-before";
/// Annotation of a stopped StatefulSet with the number of members that it had.
pub const REPLICAS: &str = "firecamp.io/replicas";
/// Annotation of a StatefulSet with the progress of its restart, as JSON.
pub const RESTART: &str = "firecamp.io/restart";
/// Annotation of a StatefulSet with the default order of its restarts.
pub const RESTART_ORDER: &str = "firecamp.io/restart-order";
/// Annotation of a StatefulSet with the label of its primary, as NAME=VALUE.
pub const PRIMARY_LABEL: &str = "firecamp.io/primary-label";
/// Annotation of a StatefulSet with the shell command that succeeds in its primary.
pub const PRIMARY_COMMAND: &str = "firecamp.io/primary-command";

/// The log group of a service in CloudWatch Logs. Kubernetes' names have no character that a group
/// cannot have.
pub fn log_group(cluster: &str, namespace: &str, service: &str, uuid: &str) -> String {
    format!("{cluster}-{namespace}-{service}-{uuid}")
}
