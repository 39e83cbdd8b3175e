//! From what the SDK hands over to a [`CloudFailure`] that people can act on.

use std::error::Error;
use std::io;

use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};

use crate::classify::{Cause, Ending, Operation, classify, denies_role};
use crate::transport::NoRoots;

/// The longest piece of foreign text that is repeated: an encoded authorization message has
/// thousands of characters, and a termination message only 4096 in all.
const TEXT_MAX: usize = 400;

/// How a cause may be nested before we stop looking: hyper's and rustls' chains have under ten.
const CHAIN_MAX: usize = 16;

/// A failure of a request that was never sent.
pub(crate) fn before_sending(cause: Cause, detail: &str) -> CloudFailure {
    let (kind, effect) = classify(Operation::Describe, &Ending::NotSent(cause));
    CloudFailure { kind, effect, detail: detail.to_owned() }
}

/// A read that failed, or whose answer cannot be used.
pub(crate) fn unread(kind: CloudKind, detail: String) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail }
}

/// What EC2 cannot be asked without doing it.
pub(crate) fn unrehearsable(what: &str) -> CloudFailure {
    unread(CloudKind::Unknown, format!("{what}: EC2 has no dry run of it"))
}

/// EC2's code, if an answer had one.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(|error| error.meta().code())
}

/// A request that was given up.
pub(crate) fn given_up(
    operation: Operation,
    what: &str,
    within: std::time::Duration,
) -> CloudFailure {
    let (kind, effect) = classify(operation, &Ending::Lost);
    CloudFailure { kind, effect, detail: format!("{what}: no answer within {within:?}") }
}

/// The failure that an SDK error is. `what` names operation and object.
pub(crate) fn from_sdk<E>(
    operation: Operation,
    what: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudFailure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let ending = ending(error);
    let (kind, effect) = classify(operation, &ending);
    let id = error.raw_response().and_then(request_id);
    let told = match ending {
        Ending::Answered { status, code, message } => told(status, code, message),
        Ending::NotSent(_) | Ending::Refused | Ending::Lost => chain(error),
    };
    let id = id.map_or_else(String::new, |id| format!(", request id {}", clean(id)));
    CloudFailure { kind, effect, detail: format!("{what}: {told}{id}") }
}

fn told(status: u16, code: Option<&str>, message: Option<&str>) -> String {
    match (code, message) {
        (None, None) => format!("an answer that is not EC2's (HTTP {status})"),
        (code, message) => {
            let code = clean(code.unwrap_or("no code"));
            format!("{code}: {} (HTTP {status})", clean(message.unwrap_or("no message")))
        }
    }
}

#[expect(clippy::match_same_arms, reason = "a case that the SDK may add is as good as lost")]
fn ending<E: ProvideErrorMetadata + Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> Ending<'_> {
    match error {
        SdkError::ConstructionFailure(_) => Ending::NotSent(not_sent(error)),
        SdkError::DispatchFailure(failure) => dispatch(error, failure),
        SdkError::ServiceError(answer) => Ending::Answered {
            status: answer.raw().status().as_u16(),
            code: answer.err().meta().code(),
            message: answer.err().meta().message(),
        },
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Ending::Lost,
        _ => Ending::Lost,
    }
}

fn dispatch<'a>(error: &(dyn Error + 'static), failure: &DispatchFailure) -> Ending<'a> {
    let refused = |e: &io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    if find::<io::Error>(error).is_some_and(refused) {
        return Ending::Refused;
    }
    let unsigned = find::<CredentialsError>(error).is_some() || find::<NoRoots>(error).is_some();
    if unsigned || failure.is_user() { Ending::NotSent(not_sent(error)) } else { Ending::Lost }
}

fn not_sent(error: &(dyn Error + 'static)) -> Cause {
    if find::<NoRoots>(error).is_some() {
        return Cause::Misconfigured;
    }
    match find::<CredentialsError>(error) {
        Some(CredentialsError::CredentialsNotLoaded(_)) if timed_out(error) => Cause::Late,
        Some(
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_),
        ) => Cause::Misconfigured,
        Some(_) if role_denied(error) => Cause::Misconfigured,
        Some(_) => Cause::Late,
        None => Cause::Malformed,
    }
}

/// The SDK says of a metadata service that was too slow what it says of one that is not there:
/// that it offers no credentials. On a node where many pods start at once it will.
fn timed_out(error: &(dyn Error + 'static)) -> bool {
    let late = |error: &(dyn Error + 'static)| {
        find::<ConnectorError>(error).is_some_and(ConnectorError::is_timeout)
    };
    let chain = find::<ProviderChainError<CredentialsError>>(error);
    let attempts = chain.map(ProviderChainError::attempts).unwrap_or_default();
    late(error) || attempts.iter().any(|attempt| late(attempt.error()))
}

/// IRSA: the role's trust policy or the token is not what STS wants.
fn role_denied(error: &(dyn Error + 'static)) -> bool {
    type Refusal = SdkError<AssumeRoleWithWebIdentityError, HttpResponse>;
    let Some(SdkError::ServiceError(answer)) = find::<Refusal>(error) else {
        return false;
    };
    denies_role(answer.raw().status().as_u16(), answer.err().meta().code())
}

/// The SDK itself looks for the id in these two headers only.
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

/// Foreign text, shortened, and without anything that could forge a line of a log.
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

    /// As the SDK's provider wraps what kept it from asking the metadata service.
    #[derive(Debug, thiserror::Error)]
    #[error("could not communicate")]
    struct Unreached(#[source] ConnectorError);

    /// A provider that cannot ask the metadata service, and why.
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
    async fn a_metadata_service_that_is_too_slow_is_no_lack_of_credentials() {
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
