//! The credentials that the server trusts: a key for service accounts, tokens for users and
//! components, and the certificate that the server creates.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// A user with all permissions.
pub const ADMIN: User<'static> =
    User { token: "admin-of-this-test", name: "admin", group: "system:masters" };

/// A user with a token.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// The token.
    pub token: &'a str,
    /// The name.
    pub name: &'a str,
    /// The group.
    pub group: &'a str,
}

/// How to reach a server.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// `https://HOST:PORT`.
    pub url: &'a str,
    /// The name in its certificate, if it is not the host name.
    pub name: Option<&'a str>,
}

/// The files of one server.
#[derive(Debug)]
pub struct Keys {
    dir: PathBuf,
}

impl Keys {
    /// Creates them in a directory, for a server with these users.
    pub fn make(dir: &Path, users: &[User<'_>]) -> Result<Self, String> {
        let keys = Self { dir: dir.to_owned() };
        let failed = |wrong| format!("failed to create a key: {wrong}");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let private = key.to_pkcs8v1().map_err(failed)?;
        keys.write("service-accounts.key", &pem("PRIVATE KEY", private.as_ref()))?;
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(failed)?;
        keys.write("service-accounts.pub", &pem("PUBLIC KEY", public.as_ref()))?;
        let line = |(number, user): (usize, &User<'_>)| {
            format!("{},{},{number},\"{}\"\n", user.token, user.name, user.group)
        };
        let lines: String = users.iter().enumerate().map(line).collect();
        keys.write("tokens.csv", &lines)?;
        Ok(keys)
    }

    /// Existing files in a directory.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes a file beside the keys.
    pub fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.path(name);
        fs::write(&path, text)
            .map_err(|wrong| format!("failed to write {}: {wrong}", path.display()))
    }

    /// The path of a file. `apiserver.crt` is the certificate that the server creates.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The kube-apiserver flags for these credentials.
    pub fn flags(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        vec![
            // The server writes a self-signed certificate here, once.
            format!("--cert-dir={}", path("")),
            format!("--token-auth-file={}", path("tokens.csv")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", path("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", path("service-accounts.key")),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        ]
    }

    /// The kubeconfig of a user with a token, whose name is `NAMESPACE.NAME`. As in a pod, the
    /// default namespace is the user's own.
    pub fn kubeconfig(&self, user: &str, token: &str, at: Server<'_>) -> Result<PathBuf, String> {
        let namespace = user.split('.').next().unwrap_or(user);
        let mut config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": {
                "server": at.url,
                "certificate-authority": self.path("apiserver.crt"),
            }}],
            "users": [{ "name": user, "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": {
                "cluster": "test",
                "user": user,
                "namespace": namespace,
            }}],
            "current-context": "test",
        });
        if let Some(name) = at.name {
            config["clusters"][0]["cluster"]["tls-server-name"] = Value::from(name);
        }
        let name = format!("{user}.kubeconfig");
        self.write(&name, &config.to_string())?;
        Ok(self.path(&name))
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(kind, der))
}
