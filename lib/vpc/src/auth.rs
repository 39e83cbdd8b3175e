//! Authentication: access keys and real SigV4 verification.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as SdkCredentials;
use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;

use crate::calendar::parse_amz_date;
use crate::ec2::ApiError;
use crate::rng::{SeededRng, hex, key_of};
use crate::view::Credentials;
use crate::wire::WireRequest;

/// The interval after which the credentials of an instance role are renewed.
const ROTATION: Duration = Duration::from_hours(3);
/// The lifetime of those credentials.
const LIFETIME: Duration = Duration::from_hours(6);
/// The largest clock skew that a signature may have.
const MAX_SKEW: Duration = Duration::from_mins(15);

/// The access keys that the simulator accepts.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    rng: SeededRng,
    epoch: Duration,
    region: String,
    nodes: Vec<String>,
}

/// Long-lived keys with all permissions.
pub(crate) const LONG_LIVED: [&str; 2] = ["admin", "external"];

/// A parsed `Authorization` header.
struct AuthHeader<'a> {
    access_key: &'a str,
    scope: Vec<&'a str>,
    signed: Vec<&'a str>,
    signature: &'a str,
    date: &'a str,
}

impl Keys {
    /// The scope of a signature for EC2.
    pub(crate) fn ec2(&self) -> (&str, &str) {
        (&self.region, "ec2")
    }

    pub(crate) fn new(rng: SeededRng, epoch: Duration, region: &str, nodes: Vec<String>) -> Self {
        Self { rng, epoch, region: region.to_owned(), nodes }
    }

    fn node_credentials(&self, node: &str, rotation: u64) -> Credentials {
        let key = key_of(node);
        let digits = self.rng.hex17("access-key", key ^ rotation).to_uppercase();
        let expires = ROTATION.as_secs() * rotation + LIFETIME.as_secs() + self.epoch.as_secs();
        Credentials {
            access_key: format!("ASIA{}", digits.get(1..17).unwrap_or_default()),
            secret_key: self.secret(key ^ rotation),
            session_token: Some(format!(
                "IQoJb3JpZ2luX2Vj{}{}",
                self.secret(key.wrapping_add(rotation).rotate_left(9)),
                self.secret(key.wrapping_sub(rotation).rotate_left(17)),
            )),
            expires_unix: Some(expires),
        }
    }

    /// 40 characters, the length of AWS secret keys.
    fn secret(&self, key: u64) -> String {
        let words = (0..3).flat_map(|n| self.rng.bits("secret", key, n).to_be_bytes());
        hex(words.take(20))
    }

    fn rotation(now: Duration) -> u64 {
        now.as_secs() / ROTATION.as_secs()
    }

    /// When the credentials that a node gets now were issued, in seconds since 1970.
    pub(crate) fn renewed_unix(&self, now: Duration) -> Duration {
        self.epoch + ROTATION * u32::try_from(Self::rotation(now)).unwrap_or(u32::MAX)
    }

    /// The current credentials of a caller.
    pub(crate) fn of(&self, caller: &str, now: Duration) -> Option<Credentials> {
        if LONG_LIVED.contains(&caller) {
            let key = key_of(caller);
            let digits = self.rng.hex17("access-key", key).to_uppercase();
            return Some(Credentials {
                access_key: format!("AKIA{}", digits.get(1..17).unwrap_or_default()),
                secret_key: self.secret(key),
                session_token: None,
                expires_unix: None,
            });
        }
        let known = self.nodes.iter().any(|node| node == caller);
        known.then(|| self.node_credentials(caller, Self::rotation(now)))
    }

    /// The caller that owns an access key, with its credentials, valid or expired.
    fn owner(&self, access_key: &str, now: Duration) -> Option<(String, Credentials)> {
        let fixed = LONG_LIVED.iter().filter_map(|name| Some((*name, self.of(name, now)?)));
        let mut fixed = fixed.filter(|(_, own)| own.access_key == access_key);
        if let Some((name, own)) = fixed.next() {
            return Some((name.to_owned(), own));
        }
        let last = Self::rotation(now);
        // Also the keys of recent rotations, to distinguish expired keys from unknown ones.
        let rotations = last.saturating_sub(4)..=last;
        rotations.rev().find_map(|rotation| {
            self.nodes.iter().find_map(|node| {
                let own = self.node_credentials(node, rotation);
                (own.access_key == access_key).then(|| (node.clone(), own))
            })
        })
    }

    /// Verifies a request. `skew` is how far the service's clock is ahead; the scope is the region
    /// and the service in its signature.
    pub(crate) fn verify(
        &self,
        request: &WireRequest,
        now: Duration,
        skew: i64,
        scope: (&str, &str),
    ) -> Result<String, ApiError> {
        let authorization = parse_auth_header(request)?;
        let (caller, own) =
            self.owner(authorization.access_key, now).ok_or_else(ApiError::auth_failure)?;
        let day = authorization.date.get(..8).unwrap_or_default();
        if authorization.scope != [day, scope.0, scope.1, "aws4_request"] {
            return Err(ApiError::auth_failure());
        }
        let token = request.header("x-amz-security-token");
        if token != own.session_token.as_deref() {
            return Err(ApiError::auth_failure());
        }
        let date = parse_amz_date(authorization.date)
            .ok_or_else(|| ApiError::incomplete_signature("X-Amz-Date is no date"))?;
        if signature(request, &authorization, &own, date, scope).as_deref()
            != Some(authorization.signature)
        {
            return Err(ApiError::signature());
        }
        let clock = shifted(self.epoch + now, skew);
        let apart = clock.abs_diff(date);
        let expired = own.expires_unix.is_some_and(|at| clock >= Duration::from_secs(at));
        if apart > MAX_SKEW || expired {
            return Err(ApiError::expired());
        }
        Ok(caller)
    }
}

/// A clock that is ahead by this many milliseconds.
pub(crate) fn shifted(clock: Duration, ms: i64) -> Duration {
    let by = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { clock.saturating_sub(by) } else { clock.saturating_add(by) }
}

fn parse_auth_header(request: &WireRequest) -> Result<AuthHeader<'_>, ApiError> {
    let header = request.header("authorization").ok_or_else(ApiError::auth_failure)?;
    let fields = header
        .strip_prefix("AWS4-HMAC-SHA256")
        .ok_or_else(|| ApiError::incomplete_signature("the algorithm is not AWS4-HMAC-SHA256"))?;
    let fields: BTreeMap<&str, &str> =
        fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let field = |name: &str| {
        let problem = || ApiError::incomplete_signature(&format!("there is no {name}"));
        fields.get(name).copied().filter(|value| !value.is_empty()).ok_or_else(problem)
    };
    let (access_key, scope) = field("Credential")?
        .split_once('/')
        .ok_or_else(|| ApiError::incomplete_signature("Credential has no scope"))?;
    let signed: Vec<&str> = field("SignedHeaders")?.split(';').collect();
    let signature = field("Signature")?;
    let date = request
        .header("x-amz-date")
        .ok_or_else(|| ApiError::incomplete_signature("there is no X-Amz-Date"))?;
    let required = ["host", "x-amz-date"];
    if let Some(name) = required.iter().find(|name| !signed.contains(name)) {
        return Err(ApiError::incomplete_signature(&format!("{name} is not signed")));
    }
    Ok(AuthHeader { access_key, scope: scope.split('/').collect(), signed, signature, date })
}

/// The expected signature: the request is signed again over the same headers.
fn signature(
    request: &WireRequest,
    authorization: &AuthHeader<'_>,
    own: &Credentials,
    date: Duration,
    (region, service): (&str, &str),
) -> Option<String> {
    let expected =
        |name: &str| request.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if !authorization.signed.iter().all(|name| expected(name)) {
        return None;
    }
    let token_signed = authorization.signed.contains(&"x-amz-security-token");
    let token = own.session_token.clone().filter(|_| token_signed);
    let identity = SdkCredentials::new(&own.access_key, &own.secret_key, token, None, "vpc").into();
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    settings.session_token_mode = SessionTokenMode::Include;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::UNIX_EPOCH.checked_add(date)?)
        .settings(settings)
        .build()
        .ok()?
        .into();
    // The signer adds these two headers itself.
    let own_headers = ["x-amz-date", "x-amz-security-token"];
    let headers = request.headers.iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        authorization.signed.contains(&name.as_str()) && !own_headers.contains(&name.as_str())
    });
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let uri = format!("http://ec2{}", request.path_and_query);
    let body = SignableBody::Bytes(&request.body);
    let signable = SignableRequest::new(&request.method, uri, headers, body).ok()?;
    let (_, signature) = sign(signable, &params).ok()?.into_parts();
    Some(signature)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Signs a request as the SDK does for EC2.
    pub(crate) fn signed(request: WireRequest, with: &Credentials, at: Duration) -> WireRequest {
        signed_for(("us-east-1", "ec2"), request, with, at)
    }

    /// The same for this region and service.
    pub(crate) fn signed_for(
        (region, service): (&str, &str),
        mut request: WireRequest,
        with: &Credentials,
        at: Duration,
    ) -> WireRequest {
        request.headers.push(("host".to_owned(), "ec2.us-east-1.amazonaws.com".to_owned()));
        let token = with.session_token.clone();
        let identity =
            SdkCredentials::new(&with.access_key, &with.secret_key, token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(SystemTime::UNIX_EPOCH + at)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let uri = format!("http://ec2.us-east-1.amazonaws.com{}", request.path_and_query);
        let headers = request.headers.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(&request.method, uri, headers, body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let added: Vec<_> =
            instructions.headers().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        request.headers.extend(added);
        request
    }

    fn keys() -> Keys {
        let nodes = vec!["node-1".to_owned(), "node-2".to_owned()];
        Keys::new(SeededRng::new(3), EPOCH, "us-east-1", nodes)
    }

    const EPOCH: Duration = Duration::from_secs(1_790_000_000);

    fn request() -> WireRequest {
        WireRequest::new("POST", "/")
            .with_header("content-type", "application/x-www-form-urlencoded")
            .with_body("Action=DescribeSubnets&Version=2016-11-15")
    }

    fn code(result: Result<String, ApiError>) -> (u16, String) {
        result.map_or_else(|e| (e.status, e.code), |caller| (200, caller))
    }

    #[test]
    fn a_signed_request_identifies_the_caller() {
        let keys = keys();
        for caller in ["node-1", "node-2", "admin", "external"] {
            let own = keys.of(caller, Duration::ZERO).unwrap();
            let request = signed(request(), &own, EPOCH);
            assert_eq!(
                code(keys.verify(&request, Duration::ZERO, 0, keys.ec2())),
                (200, caller.to_owned())
            );
        }
    }

    #[test]
    fn a_changed_request_or_secret_does_not_match() {
        let keys = keys();
        let own = keys.of("admin", Duration::ZERO).unwrap();
        let mut changed = signed(request(), &own, EPOCH);
        changed.body.push(b'x');
        assert_eq!(code(keys.verify(&changed, Duration::ZERO, 0, keys.ec2())).0, 403);
        let wrong = Credentials { secret_key: "x".repeat(40), ..own };
        let request = signed(request(), &wrong, EPOCH);
        let expected = (403, "SignatureDoesNotMatch".to_owned());
        assert_eq!(code(keys.verify(&request, Duration::ZERO, 0, keys.ec2())), expected);
    }

    #[test]
    fn an_unknown_key_or_token_or_none_at_all_is_an_auth_failure() {
        let keys = keys();
        let own = keys.of("node-1", Duration::ZERO).unwrap();
        let expected = (401, "AuthFailure".to_owned());
        let unknown = Credentials { access_key: "ASIA0000000000000000".to_owned(), ..own.clone() };
        let foreign = Credentials { session_token: Some("x".to_owned()), ..own };
        for with in [unknown, foreign] {
            let request = signed(request(), &with, EPOCH);
            assert_eq!(code(keys.verify(&request, Duration::ZERO, 0, keys.ec2())), expected);
        }
        assert_eq!(code(keys.verify(&request(), Duration::ZERO, 0, keys.ec2())), expected);
    }

    #[test]
    fn a_skewed_clock_and_expired_credentials_are_expired_requests() {
        let keys = keys();
        let own = keys.of("node-1", Duration::ZERO).unwrap();
        let expected = (400, "RequestExpired".to_owned());
        let late = signed(request(), &own, EPOCH + Duration::from_secs(901));
        assert_eq!(code(keys.verify(&late, Duration::ZERO, 0, keys.ec2())), expected);
        assert_eq!(code(keys.verify(&late, Duration::ZERO, 10_000, keys.ec2())).0, 200);
        let later = Duration::from_hours(6);
        let request = signed(request(), &own, EPOCH + later);
        assert_eq!(code(keys.verify(&request, later, 0, keys.ec2())), expected);
        let before = Duration::from_secs(6 * 3_600 - 1);
        let request = signed(self::request(), &own, EPOCH + before);
        assert_eq!(code(keys.verify(&request, before, 0, keys.ec2())).0, 200);
    }

    #[test]
    fn a_malformed_authorization_header_is_an_incomplete_signature() {
        let keys = keys();
        for text in ["AWS4-HMAC-SHA256", "Bearer x", "AWS4-HMAC-SHA256 Credential=a/b"] {
            let request = request().with_header("authorization", text);
            let expected = (400, "IncompleteSignature".to_owned());
            assert_eq!(
                code(keys.verify(&request, Duration::ZERO, 0, keys.ec2())),
                expected,
                "{text}"
            );
        }
    }
}
