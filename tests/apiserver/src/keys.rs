//! Whom the server trusts: a key for service accounts, tokens for people, and the certificate
//! that it makes for itself.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

/// The token of somebody who may do anything.
pub(crate) const ADMIN: &str = "admin-of-this-test";

/// Files of one server.
#[derive(Debug)]
pub(crate) struct Keys {
    dir: PathBuf,
}

impl Keys {
    pub(crate) fn make(dir: &Path) -> Result<Self, String> {
        let keys = Self { dir: dir.to_owned() };
        let failed = |wrong| format!("make a key: {wrong}");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let private = key.to_pkcs8v1().map_err(failed)?;
        keys.write("service-accounts.key", &pem("PRIVATE KEY", private.as_ref()))?;
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(failed)?;
        keys.write("service-accounts.pub", &pem("PUBLIC KEY", public.as_ref()))?;
        keys.write("tokens.csv", &format!("{ADMIN},admin,1,\"system:masters\"\n"))?;
        Ok(keys)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|wrong| format!("write {}: {wrong}", path.display()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The kubeconfig of somebody with a token, whose name is `NAMESPACE.NAME`: as in a pod, what
    /// is asked without a namespace is of the own one.
    pub(crate) fn kubeconfig(&self, user: &str, token: &str, port: u16) -> Result<PathBuf, String> {
        let namespace = user.split('.').next().unwrap_or(user);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
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
        let name = format!("{user}.kubeconfig");
        self.write(&name, &config.to_string())?;
        Ok(self.path(&name))
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(kind, der))
}
