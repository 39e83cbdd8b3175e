//! The real AWS CLI for the commands of docs/install.md. It runs on a node, with the credentials of
//! the node's role. EC2 is the box; moto plays IAM, EKS, ECR and CloudFormation.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use firecamp_checks::deploy::iam::Policy;
use firecamp_core::failure::chain;
use tokio::process::{Child, Command};

use super::{Guide, program};
use crate::e2e::test_cluster::{TestCluster, ensure};
use crate::install::{ENDPOINT, until};
use crate::topology::{CLUSTER, REGION, VPC, WORKERS};
use crate::{Outcome, failed};

/// The account of moto.
pub(super) const ACCOUNT: &str = "123456789012";
/// The directory of the programs, from `scripts/python-tools.sh`.
const TOOLS: &str = "AWS_TOOLS";
/// The port of moto on the node.
const PORT: u16 = 5_000;

/// A server of moto. It ends with this value.
pub(super) struct Moto {
    _server: Child,
}

impl Moto {
    /// Starts it, and gives the guide the programs `aws`, `eksctl` and `skopeo`.
    pub(super) async fn start(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome<Self> {
        let tools = std::env::var_os(TOOLS).map(PathBuf::from);
        let tools = tools.ok_or_else(|| format!("{TOOLS} is not set: run this by `make e2e`"))?;
        let [first, ..] = WORKERS;
        let node = cluster.running.init_process(first.name)?;
        let on_node = format!("nsenter --net --target {node} -- env NO_PROXY='*'");
        write_programs(&guide.programs, &tools, &on_node)?;
        let log = guide.programs.join("moto.log");
        let out = File::create(&log).map_err(failed(log.display()))?;
        let errors = out.try_clone().map_err(failed(log.display()))?;
        let mut server = Command::new("nsenter");
        server.args(["--net", "--target", &node.to_string(), "--"]).arg(tools.join("moto_server"));
        server.args(["-H", "127.0.0.1", "-p", &PORT.to_string()]).kill_on_drop(true);
        let server = server.stdout(out).stderr(errors).spawn().map_err(failed("start moto"))?;
        // The role of the nodes, which docs/install.md takes for granted.
        let role = "aws iam create-role --role-name prod-nodes --assume-role-policy-document '{}'";
        until("moto", || guide.run("the role of the nodes", role)).await?;
        Ok(Self { _server: server })
    }
}

fn write_programs(dir: &Path, tools: &Path, on_node: &str) -> Outcome {
    let server = format!("http://127.0.0.1:{PORT}");
    // Version 1 of the AWS CLI, which is in the Python package index, reads no AWS_REGION.
    let environment = format!(
        "AWS_DEFAULT_REGION={REGION} AWS_CONFIG_FILE=/dev/null \
         AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_ENDPOINT_URL={server} \
         AWS_ENDPOINT_URL_EC2={ENDPOINT}"
    );
    let aws = format!("exec {on_node} {environment} {}/aws \"$@\"\n", tools.display());
    program(&dir.join("aws"), &aws)?;
    // The CLI has no parameter for the VPC of a cluster, which EKS derives.
    let body = format!(
        "{{\"name\": \"{CLUSTER}\", \"roleArn\": \"arn:aws:iam::{ACCOUNT}:role/eks\", \
         \"resourcesVpcConfig\": {{\"subnetIds\": [], \"vpcId\": \"{VPC}\"}}}}"
    );
    let scope = format!("a/20260101/{REGION}/eks/aws4_request");
    let create = dir.join("create-cluster.py");
    let text = format!(
        "from urllib.request import Request, urlopen\n\
         headers = {{'Content-Type': 'application/json',\n  \
           'Authorization': 'AWS4-HMAC-SHA256 Credential={scope}'}}\n\
         urlopen(Request('{server}/clusters', b'''{body}''', headers)).read()\n"
    );
    fs::write(&create, text).map_err(failed(create.display()))?;
    let python = tools.join("python3");
    let eksctl = format!(
        "case \"$*\" in\n\
         'create cluster -f cluster.yaml --without-nodegroup') [ -s cluster.yaml ] &&\n  \
           exec {on_node} {} {} ;;\n\
         'create nodegroup -f cluster.yaml' | 'delete cluster -f cluster.yaml') ;;\n\
         *) echo \"eksctl: unexpected: $*\" >&2; exit 2 ;; esac\n",
        python.display(),
        create.display()
    );
    program(&dir.join("eksctl"), &eksctl)?;
    let login = "'login --username AWS --password-stdin '*) [ -n \"$(cat)\" ] ;;";
    let skopeo =
        format!("case \"$*\" in {login}\n*) echo \"skopeo: unexpected: $*\" >&2; exit 2 ;; esac\n");
    program(&dir.join("skopeo"), &skopeo)
}

impl Guide {
    /// Runs a command of the AWS CLI and returns its output.
    pub(super) async fn aws(&self, command: &str) -> Outcome<String> {
        self.output(command, ("sh", &format!("aws {command} --output text"))).await
    }

    /// The permissions in these documents.
    pub(super) fn policy(documents: &[String]) -> Outcome<Policy> {
        let mut all: Option<Policy> = None;
        for document in documents {
            let read = Policy::parse(document);
            let read = read.map_err(|error| format!("{document}: {}", chain(&error)))?;
            all = Some(match all {
                Some(policy) => policy.and(read),
                None => read,
            });
        }
        all.ok_or_else(|| "no policy".to_owned())
    }

    /// The documents of the policies that CloudFormation has created.
    pub(super) async fn created_policies(&self) -> Outcome<Vec<String>> {
        let all = self.aws("iam list-policies --scope Local --query Policies[].Arn").await?;
        let mut documents = Vec::new();
        for arn in all.split_whitespace() {
            let get = format!(
                "aws iam get-policy-version --policy-arn {arn} --version-id v1 --output json \
                 --query PolicyVersion.Document"
            );
            documents.push(self.output(arn, ("sh", &get)).await?);
        }
        ensure(documents.len() == 2, || format!("the policies of the stack: {all}"))?;
        Ok(documents)
    }
}
