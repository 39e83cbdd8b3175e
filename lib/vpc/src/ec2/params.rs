//! Query parameters: a request with a parameter that the action does not read is refused.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::errors::ApiError;
use super::filters::Filter;

/// The largest request body.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// The most parameters per request.
const MAX_PARAMETERS: usize = 5_000;
/// The most values of all filters together (unverified on AWS).
const MAX_FILTER_VALUES: usize = 200;

/// The parameters of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    values: BTreeMap<String, String>,
    read_names: RefCell<BTreeSet<String>>,
}

/// Parses a form body.
pub(crate) fn read_form(body: &[u8]) -> Result<Form, ApiError> {
    if body.len() > MAX_BODY {
        return Err(ApiError::new(413, "RequestEntityTooLarge", "The request is too large"));
    }
    if std::str::from_utf8(body).is_err() {
        return Err(ApiError::malformed("The body is not UTF-8"));
    }
    let mut form = Form::default();
    for (name, value) in form_urlencoded::parse(body) {
        if form.values.len() >= MAX_PARAMETERS {
            return Err(ApiError::malformed("There are too many parameters"));
        }
        if form.values.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(ApiError::malformed(format!("The parameter {name} is there twice")));
        }
    }
    Ok(form)
}

impl Form {
    /// All parameters except action and version, for the log.
    pub(crate) fn shown(&self) -> BTreeMap<String, String> {
        let shown = |name: &&String| !matches!(name.as_str(), "Action" | "Version");
        let keys = self.values.keys().filter(shown);
        keys.filter_map(|key| Some((key.clone(), self.values.get(key)?.clone()))).collect()
    }

    /// Whether some parameter has this value.
    pub(crate) fn names(&self, resource: &str) -> bool {
        self.values.values().any(|value| value == resource)
    }

    /// An optional parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.read_names.borrow_mut().insert(name.to_owned());
        self.values.get(name).map(String::as_str)
    }

    /// A required, non-empty parameter.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).filter(|value| !value.is_empty()).ok_or_else(|| ApiError::missing(name))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let text = format!("Invalid value '{other}' for {name}: it is true or false");
                Err(ApiError::value(text))
            }
        }
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let number = plain.then(|| text.parse().ok()).flatten();
        let problem = || ApiError::value(format!("invalid value for parameter {name}: {text}"));
        number.map(Some).ok_or_else(problem)
    }

    /// The list `name.1`, `name.2`, ...
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        (1..=MAX_PARAMETERS).map_while(|n| self.text(&format!("{name}.{n}"))).collect()
    }

    /// The keys and values of the list `name.1.Key`, `name.1.Value`, ... A missing value is empty.
    pub(crate) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, ApiError> {
        let all = self.keys_with_values(name)?.into_iter();
        Ok(all.map(|(key, value)| (key, value.unwrap_or_default())).collect())
    }

    /// The keys of the same list, with the values that it has.
    pub(crate) fn keys_with_values(
        &self,
        name: &str,
    ) -> Result<Vec<(String, Option<String>)>, ApiError> {
        let mut pairs = Vec::new();
        for n in 1..=MAX_PARAMETERS {
            let value = self.text(&format!("{name}.{n}.Value"));
            match (self.text(&format!("{name}.{n}.Key")), value) {
                (Some(key), value) => pairs.push((key.to_owned(), value.map(str::to_owned))),
                (None, Some(_)) => return Err(ApiError::missing(&format!("{name}.{n}.Key"))),
                (None, None) => break,
            }
        }
        Ok(pairs)
    }

    /// Whether a parameter has this prefix.
    pub(crate) fn has_any(&self, prefix: &str) -> bool {
        self.values.keys().any(|name| name.starts_with(prefix))
    }

    /// Whether it is a dry run.
    pub(crate) fn is_dry(&self) -> bool {
        self.values.get("DryRun").is_some_and(|value| value == "true")
    }

    /// The filters.
    pub(crate) fn filters(&self) -> Result<Vec<Filter>, ApiError> {
        let mut filters = Vec::new();
        for n in 1..=MAX_FILTER_VALUES {
            let Some(name) = self.text(&format!("Filter.{n}.Name")) else { break };
            let values: Vec<String> =
                self.list(&format!("Filter.{n}.Value")).into_iter().map(str::to_owned).collect();
            if values.is_empty() {
                let text = format!("The filter '{name}' has no values");
                return Err(ApiError::value(text));
            }
            filters.push(Filter { name: name.to_owned(), values });
        }
        let count: usize = filters.iter().map(|filter| filter.values.len()).sum();
        if count > MAX_FILTER_VALUES {
            return Err(ApiError::too_many_filters(MAX_FILTER_VALUES));
        }
        Ok(filters)
    }

    /// Whether a read has neither a filter nor pagination. IDs alone count as neither (unverified).
    pub(crate) fn is_unfiltered(&self) -> bool {
        let narrows = |name: &String| {
            name.starts_with("Filter.") || name == "MaxResults" || name == "NextToken"
        };
        !self.values.keys().any(narrows)
    }

    /// Refuses parameters that the action did not read.
    pub(crate) fn nothing_left(&self) -> Result<(), ApiError> {
        let read_names = self.read_names.borrow();
        let left = |name: &&String| {
            !read_names.contains(*name) && !matches!(name.as_str(), "Action" | "Version")
        };
        match self.values.keys().find(left) {
            Some(name) => Err(ApiError::unknown_parameter(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_refused() {
        let form = read_form(b"Action=A&Version=V&X.1=a&X.2=b&X.4=c").unwrap();
        assert_eq!(form.list("X"), ["a", "b"]);
        assert_eq!(form.nothing_left().unwrap_err().code, "UnknownParameter");
    }

    #[test]
    fn a_duplicate_parameter_is_refused() {
        assert_eq!(read_form(b"A=1&A=2").unwrap_err().code, "MalformedQueryString");
        assert_eq!(read_form(&[0xff, 0xfe]).unwrap_err().code, "MalformedQueryString");
        assert_eq!(read_form(&vec![b'a'; MAX_BODY + 1]).unwrap_err().status, 413);
    }

    #[test]
    fn numbers_and_flags_are_read_strictly() {
        let form = read_form(b"A=+1&B=1&C=yes&D=true").unwrap();
        assert!(form.number("A").is_err() && form.flag("C").is_err());
        assert_eq!((form.number("B").unwrap(), form.flag("D").unwrap()), (Some(1), true));
    }

    #[test]
    fn filters_need_values_and_have_a_limit() {
        let form = read_form(b"Filter.1.Name=a").unwrap();
        assert_eq!(form.filters().unwrap_err().code, "InvalidParameterValue");
        let many = (1..=201).map(|n| format!("&Filter.1.Value.{n}=x")).collect::<Vec<_>>().concat();
        let form = read_form(format!("Filter.1.Name=a{many}").as_bytes()).unwrap();
        assert_eq!(form.filters().unwrap_err().code, "FilterLimitExceeded");
    }
}
