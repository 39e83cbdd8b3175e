//! Converts SDK errors to a [`CloudFailure`] that users can act on.

use std::error::Error;
use std::io;

use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};

use crate::classify::{NotSentReason, Operation, RequestFailure, classify, denies_role};
use crate::transport::NoRoots;

/// The longest foreign text that is included: an encoded authorization message has thousands of
/// characters, and a termination message at most 4096.
const TEXT_MAX: usize = 400;

/// The maximum depth of a cause chain: those of hyper and rustls have fewer than ten.
const CHAIN_MAX: usize = 16;

/// The failure of a request that was never sent.
pub(crate) fn before_sending(cause: NotSentReason, detail: &str) -> CloudFailure {
    let (kind, effect) = classify(Operation::Describe, &RequestFailure::NotSent(cause));
    CloudFailure { kind, effect, detail: detail.to_owned() }
}

/// The credentials could not be loaded, so the request was never sent.
pub(crate) fn no_credentials(what: &str, error: &CredentialsError) -> CloudFailure {
    before_sending(not_sent(error), &format!("{what}: {}", chain(error)))
}

/// A read that failed, or whose response is unusable.
pub(crate) fn read_failure(kind: CloudKind, detail: String) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail }
}

/// EC2 has no dry run for this right.
pub(crate) fn no_dry_run(what: &str) -> CloudFailure {
    read_failure(CloudKind::Unknown, format!("{what}: EC2 has no dry run for it"))
}

/// EC2's code, if a response had one.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(|error| error.meta().code())
}

/// A request that exceeded its deadline.
pub(crate) fn timed_out_call(
    operation: Operation,
    what: &str,
    within: std::time::Duration,
) -> CloudFailure {
    let (kind, effect) = classify(operation, &RequestFailure::Lost);
    CloudFailure { kind, effect, detail: format!("{what}: no response within {within:?}") }
}

/// Converts an SDK error. `what` names operation and object.
pub(crate) fn from_sdk<E>(
    operation: Operation,
    what: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudFailure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let failure = request_failure(error);
    let (kind, effect) = classify(operation, &failure);
    let id = error.raw_response().and_then(request_id);
    let reported = match failure {
        RequestFailure::Response { status, code, message } => reported(status, code, message),
        RequestFailure::NotSent(_) | RequestFailure::Refused | RequestFailure::Lost => chain(error),
    };
    let id = id.map_or_else(String::new, |id| format!(", request id {}", clean(id)));
    CloudFailure { kind, effect, detail: format!("{what}: {reported}{id}") }
}

fn reported(status: u16, code: Option<&str>, message: Option<&str>) -> String {
    match (code, message) {
        (None, None) => format!("not an EC2 error document (HTTP {status})"),
        (code, message) => {
            let code = clean(code.unwrap_or("no code"));
            format!("{code}: {} (HTTP {status})", clean(message.unwrap_or("no message")))
        }
    }
}

#[expect(clippy::match_same_arms, reason = "cases that the SDK may add later count as lost")]
fn request_failure<E: ProvideErrorMetadata + Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> RequestFailure<'_> {
    match error {
        SdkError::ConstructionFailure(_) => RequestFailure::NotSent(not_sent(error)),
        SdkError::DispatchFailure(failure) => dispatch(error, failure),
        SdkError::ServiceError(answer) => RequestFailure::Response {
            status: answer.raw().status().as_u16(),
            code: answer.err().meta().code(),
            message: answer.err().meta().message(),
        },
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => RequestFailure::Lost,
        _ => RequestFailure::Lost,
    }
}

fn dispatch<'a>(error: &(dyn Error + 'static), failure: &DispatchFailure) -> RequestFailure<'a> {
    let refused = |e: &io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    if find::<io::Error>(error).is_some_and(refused) {
        return RequestFailure::Refused;
    }
    let unsigned = find::<CredentialsError>(error).is_some() || find::<NoRoots>(error).is_some();
    if unsigned || failure.is_user() {
        RequestFailure::NotSent(not_sent(error))
    } else {
        RequestFailure::Lost
    }
}

fn not_sent(error: &(dyn Error + 'static)) -> NotSentReason {
    if find::<NoRoots>(error).is_some() {
        return NotSentReason::Misconfigured;
    }
    match find::<CredentialsError>(error) {
        Some(CredentialsError::CredentialsNotLoaded(_)) if timed_out(error) => NotSentReason::Late,
        Some(
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_),
        ) => NotSentReason::Misconfigured,
        Some(_) if role_denied(error) => NotSentReason::Misconfigured,
        Some(_) => NotSentReason::Late,
        None => NotSentReason::Malformed,
    }
}

/// For a metadata service that was too slow, the SDK reports the same as for an absent one: no
/// credentials. This happens on a node where many pods start at once.
fn timed_out(error: &(dyn Error + 'static)) -> bool {
    let late = |error: &(dyn Error + 'static)| {
        find::<ConnectorError>(error).is_some_and(ConnectorError::is_timeout)
    };
    let chain = find::<ProviderChainError<CredentialsError>>(error);
    let attempts = chain.map(ProviderChainError::attempts).unwrap_or_default();
    late(error) || attempts.iter().any(|attempt| late(attempt.error()))
}

/// IRSA: the role's trust policy or the token is not accepted by STS.
fn role_denied(error: &(dyn Error + 'static)) -> bool {
    type Refusal = SdkError<AssumeRoleWithWebIdentityError, HttpResponse>;
    let Some(SdkError::ServiceError(answer)) = find::<Refusal>(error) else {
        return false;
    };
    denies_role(answer.raw().status().as_u16(), answer.err().meta().code())
}

/// The SDK reads the ID only from these two headers.
fn request_id(answer: &HttpResponse) -> Option<&str> {
    let headers = answer.headers();
    headers.get("x-amzn-requestid").or_else(|| headers.get("x-amz-request-id"))
}

/// The first error of this type in a chain of causes.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref::<T>())
}

/// All causes of an error in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    clean(&texts.join(": "))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source()).take(CHAIN_MAX)
}

/// Foreign text, shortened and without control characters that could forge log lines.
pub(crate) fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(TEXT_MAX).map(visible).collect();
    if text.chars().nth(TEXT_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use aws_config::meta::credentials::CredentialsProviderChain;
    use aws_credential_types::provider::{ProvideCredentials, future};
    use aws_sdk_ec2::operation::assign_private_ip_addresses::AssignPrivateIpAddressesError;

    use super::*;

    /// How the SDK's provider wraps a failure to reach the metadata service.
    #[derive(Debug, thiserror::Error)]
    #[error("could not communicate")]
    struct Unreached(#[source] ConnectorError);

    /// A provider that cannot reach the metadata service, and the cause.
    #[derive(Debug)]
    struct Cut(fn() -> ConnectorError);

    impl ProvideCredentials for Cut {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let why = Unreached((self.0)());
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(why)))
        }
    }

    async fn unsigned(cause: fn() -> ConnectorError) -> (CloudKind, Effect) {
        let chain = CredentialsProviderChain::first_try("metadata", Cut(cause));
        let error = chain.provide_credentials().await.unwrap_err();
        let error = SdkError::<AssignPrivateIpAddressesError, HttpResponse>::dispatch_failure(
            ConnectorError::other(error.into(), None),
        );
        let failure = from_sdk(Operation::Assign, "a call", &error);
        (failure.kind, failure.effect)
    }

    #[tokio::test]
    async fn a_slow_metadata_service_is_not_missing_credentials() {
        let slow = unsigned(|| ConnectorError::timeout("late".into())).await;
        assert_eq!(slow, (CloudKind::Transient, Effect::None));
        let absent = unsigned(|| ConnectorError::io("refused".into())).await;
        assert_eq!(absent, (CloudKind::Auth, Effect::None));
    }

    #[test]
    fn foreign_text_is_shortened_and_kept_to_one_line() {
        assert_eq!(clean("a\nb\u{1b}[31mc"), "a b [31mc");
        let long = clean(&"é".repeat(5000));
        assert_eq!(long.chars().count(), TEXT_MAX + 1);
    }
}
