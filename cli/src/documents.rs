//! Generates `docs/cli.md` from the help texts.

use clap::{Command, CommandFactory};
use firecamp_core::contract::exit::{CheckExit, by_command};

use crate::args::Cli;
use crate::explain::reason::Reason;
use crate::wait::reason::Reason as Missing;

const INTRODUCTION: &str = "\
# The firecamp command

<!-- Generated from the code: `BLESS=1 cargo test -p firecamp-cli --test documents`. -->

`firecamp` shows the state of members and nodes, and explains problems. Its commands are read-only,
with six exceptions: `firecamp service` manages services ([services.md](services.md)), `firecamp
task` runs Jobs of a service and deletes them, `firecamp cleanup` changes the kernel of the node on
which it runs, `firecamp import --apply` writes claims and StaticIPs to the cluster, `firecamp
uninstall --yes` removes all addresses, interfaces and pools, and `firecamp verify-ec2` creates two
network interfaces in EC2 for a while ([verify-ec2.md](verify-ec2.md)).

```console
$ firecamp status                         # every member's claim, address and node
$ firecamp node                           # on a node: what its agent reports
$ firecamp explain prod/redis-0           # check a member from its claim to its static-IP file
$ firecamp doctor                         # check the registry, the cluster and the node
$ firecamp wait released prod/redis       # after a scale to 0: wait until the service has stopped
$ firecamp service restart prod/redis     # restart the members one by one, in the service's order
$ firecamp support-bundle                 # collect all of this in one file, without secrets
$ firecamp inject -f redis.yaml           # print a manifest with what its members need
$ firecamp cleanup --dry-run              # on a node: what FireCamp has left in the kernel
$ firecamp import -n default              # what can be imported from the original FireCamp
$ firecamp uninstall --dry-run            # what would be removed from EC2 and the registry
$ firecamp verify-ec2 --subnet SUBNET     # whether EC2 does what FireCamp relies on
```

## Which registry it uses

| Flag or variable | Registry |
| --- | --- |
| none | the cluster of `KUBECONFIG` or `~/.kube/config`, like `kubectl`; in a pod the \
cluster of the pod |
| `--kubeconfig`, `--context` | the selected cluster |
| `--registry file:///DIR`, `FIRECAMP_REGISTRY` | a [file registry](file-registry.md) |
| `--registry kubernetes:` | the same as none |

## The kubectl plugin

kubectl runs any program on the `PATH` whose name begins with `kubectl-`. Link the same binary under
such a name:

```console
$ ln -s firecamp /usr/local/bin/kubectl-firecamp
$ kubectl firecamp status -n prod --context test
```

`--kubeconfig`, `--context` and `-n`/`--namespace` have the same meaning as in kubectl. As with any
plugin, specify them after `kubectl firecamp`.

## Output

`-o table` and `-o wide` are for people. `-o json` and `-o yaml` are for programs: fields may be
added, but fields and reasons never change their meaning. If a request takes more than two seconds,
the command reports it on standard error. Objects that could not be read are shown as *unknown* or
*could not be read*, never as absent or broken.

";

const CHECKS: &str = "
## Checks of firecamp doctor

| Check | What it checks | Reasons |
| --- | --- | --- |
| `api` | whether the API server responds | `NotChecked` |
| `definitions` | whether the kinds of FireCamp are served in this version, with status | \
`NotInstalled`, `KindNotServed`, `KindMismatch`, `StatusSubresourceMissing` |
| `rights` | whether the credentials in use have the permissions of `--role` \
(SelfSubjectAccessReview) | `PermissionMissing` |
| `pools` | whether pools are valid, do not conflict, and have free addresses | \
`NoPool`, `PoolInvalid`, `PoolsConflict`, `PoolsOverlap`, `ResourceDiffers`, `ResourceNotUnique`, \
`PoolFull`, `SubnetFull`, `PoolNearlyFull` |
| `members` | whether every claim has its address, and every address its claim, and whether pods \
request the [extended resource](status.md#the-extended-resource) of their pool | those of \
`firecamp status`, `PoolNotFound`, `OtherResourceRequested` |
| `nodes` | whether every node with an attached address exists, and no node has a \
 member's address as InternalIP | \
`NodeNotFound`, `ReportOrphaned`, `NodeAddressOfPool` |
| `agents` | whether every node's agent reports, is ready, and matches the registry | \
`AgentMissing`, `ReportStale`, `NotReady`, and those of the condition `Ready` |
| `node` | this machine, with the agent's preflight | those of the preflight |

A *warning* affects members or may affect them. A *failed* check means that members cannot start or
cannot be reached.
";

/// The page.
pub fn cli() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("## Exit codes\n\n| Code | Meaning |\n| ---: | --- |\n");
    for look in CheckExit::ALL {
        page.extend([format!("| {} | {} |\n", look.code(), look.meaning())]);
    }
    for (command, codes) in by_command() {
        page.extend([format!(
            "\nExit codes of `firecamp {command}`:\n\n| Code | Meaning |\n| ---: | --- |\n"
        )]);
        page.extend(codes.iter().map(|(code, meaning)| format!("| {code} | {meaning} |\n")));
    }
    page.push_str(
        "\nOther exit codes are failures of the command itself: [exit-codes.md](exit-codes.md).\n",
    );
    let mut command = Cli::command().term_width(92);
    command.build();
    for one in command.get_subcommands().filter(|one| is_shown(one)) {
        page.push_str(&section(one, "firecamp", "##"));
    }
    page.push_str(CHECKS);
    page.push_str(&reasons());
    page.push_str(&missing());
    page
}

fn missing() -> String {
    let mut text = "\n## Reasons of firecamp wait\n\n\
                    | Reason | Meaning | What to do |\n| --- | --- | --- |\n"
        .to_owned();
    for reason in Missing::ALL.iter().copied() {
        text.extend([format!("| `{reason:?}` | {} | {} |\n", reason.meaning(), reason.advice())]);
    }
    text
}

fn reasons() -> String {
    let mut text = "\n## Reasons of firecamp explain\n\n\
                    | Reason | Meaning | What to do |\n| --- | --- | --- |\n"
        .to_owned();
    for reason in Reason::ALL.iter().copied() {
        text.extend([format!("| `{reason:?}` | {} | {} |\n", reason.meaning(), reason.advice())]);
    }
    text
}

/// The help of a command, and of those below it.
fn section(command: &Command, parents: &str, level: &str) -> String {
    let name = format!("{parents} {}", command.get_name());
    let mut own = command.clone().term_width(92);
    // clap ends some lines with spaces.
    let help: Vec<String> =
        own.render_long_help().to_string().lines().map(|l| l.trim_end().to_owned()).collect();
    let help = help.join("\n");
    let mut text = format!("\n{level} {name}\n\n```text\n{}\n```\n", help.trim_end());
    for one in command.get_subcommands().filter(|one| is_shown(one)) {
        text.push_str(&section(one, &name, "###"));
    }
    text
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}
