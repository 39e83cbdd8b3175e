//! Responses in the format of a real API server.

use serde_json::{Value, json};

/// A status code and a body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: String,
}

/// The object that a response is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) plural: &'a str,
    pub(crate) name: &'a str,
}

impl Answer {
    pub(crate) fn object(code: u16, object: &Value) -> Self {
        Self { code, body: object.to_string() }
    }

    pub(crate) fn text(code: u16, text: &str) -> Self {
        Self { code, body: text.to_owned() }
    }

    pub(crate) fn status(code: u16, reason: &str, message: &str, about: About<'_>) -> Self {
        Self::failure(code, reason, message, &details(about))
    }

    pub(crate) fn failure(code: u16, reason: &str, message: &str, details: &Value) -> Self {
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        });
        Self { code, body: status.to_string() }
    }

    pub(crate) fn not_found(about: About<'_>) -> Self {
        let message = format!("{} {:?} not found", about.plural, about.name);
        Self::status(404, "NotFound", &message, about)
    }

    pub(crate) fn already_exists(about: About<'_>) -> Self {
        let message = format!("{} {:?} already exists", about.plural, about.name);
        Self::status(409, "AlreadyExists", &message, about)
    }

    pub(crate) fn conflict(about: About<'_>) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply \
             your changes to the latest version and try again",
            about.plural, about.name
        );
        Self::status(409, "Conflict", &message, about)
    }

    pub(crate) fn invalid(about: About<'_>, (field, problem): (String, String)) -> Self {
        let message = format!(
            "{} {:?} is invalid: {field}: Invalid value: \"object\": {problem}",
            about.plural, about.name
        );
        let mut details = details(about);
        if let Value::Object(map) = &mut details {
            let message = format!("Invalid value: \"object\": {problem}");
            let cause =
                json!({ "reason": "FieldValueInvalid", "message": message, "field": field });
            map.insert("causes".to_owned(), json!([cause]));
        }
        Self::failure(422, "Invalid", &message, &details)
    }

    pub(crate) fn bad_request(message: &str, about: About<'_>) -> Self {
        Self::status(400, "BadRequest", message, about)
    }
}

fn details(about: About<'_>) -> Value {
    json!({ "name": about.name, "kind": about.plural })
}
