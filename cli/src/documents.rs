//! `docs/cli.md`, generated from the help, so that it cannot disagree with it.

use clap::{Command, CommandFactory};
use firecamp_core::contract::exit::{Cleaned, Imported, Look, Waited};

use crate::args::Cli;
use crate::explain::reason::Reason;
use crate::wait::reason::Reason as Missing;

const INTRODUCTION: &str = "\
# The firecamp command

<!-- Generated from the code: `BLESS=1 cargo test -p firecamp-cli --test documents`. -->

`firecamp` shows what members have and says what is wrong. It only looks: it changes nothing in a
registry, a cluster, EC2 or a kernel. Only `firecamp cleanup` changes something: the kernel of the
node that it runs on.

```console
$ firecamp status                         # every member's claim, address and node
$ firecamp node                           # on a node: what its agent sees
$ firecamp explain prod/redis-0           # from claim to file: where does it break?
$ firecamp doctor                         # registry, cluster and node: are they in order?
$ firecamp wait released prod/redis       # after a scale to 0: until pods and addresses are gone
$ firecamp support-bundle                 # all of it in one file, without secrets
$ firecamp cleanup --dry-run              # on a node: what has FireCamp left in the kernel?
$ firecamp import -n default              # what of the original FireCamp can be taken over?
```

## Where it looks

| Given | It looks at |
| --- | --- |
| nothing | the cluster of `KUBECONFIG` or `~/.kube/config`, as `kubectl`, or that of its pod |
| `--kubeconfig`, `--context` | that cluster |
| `--registry file:///DIR`, `FIRECAMP_REGISTRY` | a [file registry](file-registry.md) |
| `--registry kubernetes:` | as with nothing |

## kubectl's plugin

kubectl runs any program on the `PATH` whose name begins with `kubectl-`, and hands on all that
follows. The same binary under another name is enough:

```console
$ ln -s firecamp /usr/local/bin/kubectl-firecamp
$ kubectl firecamp status -n prod --context test
```

`--kubeconfig`, `--context` and `-n`/`--namespace` mean what they mean to kubectl. As with every
plugin they stand behind `kubectl firecamp`.

## What it prints

`-o table` and `-o wide` are for people. `-o json` and `-o yaml` are for programs: fields are added
and never change their meaning, nor do the words with which a problem begins. What takes more than
two seconds says on standard error what it waits for. What could not be asked is told as unknown or
*not read*, never as absent and never as broken.

";

const CHECKS: &str = "
## Checks of firecamp doctor

| Check | Looks at | Reasons |
| --- | --- | --- |
| `api` | does the API server answer | `NotChecked` |
| `definitions` | are our kinds served, in this version, with a status | `NotInstalled`, \
`KindMissing`, `KindDiffers`, `StatusMissing` |
| `rights` | what the role that `--role` names may do (SelfSubjectAccessReview) | `RightMissing` |
| `pools` | are they valid, do they agree, have they room | `NoPool`, `PoolInvalid`, \
`PoolsContradict`, `PoolsOverlap`, `PoolFull`, `SubnetFull`, `PoolNearlyFull` |
| `members` | has every claim its address, and every address its claim | those of \
`firecamp status`, `PoolMissing` |
| `nodes` | is every node there that holds an address, and is none reached by a member's | \
`NodeGone`, `ReportLeftover`, `NodeAddressOfPool` |
| `agents` | does every node's agent report, is it ready, does it know what the registry knows | \
`AgentMissing`, `ReportStale`, `NotReady`, and those of the condition `Ready` |
| `node` | this machine: the agent's own preflight | those of the preflight |

What *warns* disturbs members or may; what *fails* keeps them from starting or from being reached.
";

/// The page.
pub fn cli() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("## Exit codes\n\n| Code | Meaning |\n| ---: | --- |\n");
    for look in Look::ALL {
        page.extend([format!("| {} | {} |\n", look.code(), look.meaning())]);
    }
    page.push_str("\nThose of `firecamp cleanup`:\n\n| Code | Meaning |\n| ---: | --- |\n");
    for cleaned in Cleaned::ALL {
        page.extend([format!("| {} | {} |\n", cleaned.code(), cleaned.meaning())]);
    }
    page.push_str("\nThose of `firecamp wait`:\n\n| Code | Meaning |\n| ---: | --- |\n");
    for waited in Waited::ALL {
        page.extend([format!("| {} | {} |\n", waited.code(), waited.meaning())]);
    }
    page.push_str("\nThose of `firecamp import`:\n\n| Code | Meaning |\n| ---: | --- |\n");
    for imported in Imported::ALL {
        page.extend([format!("| {} | {} |\n", imported.code(), imported.meaning())]);
    }
    page.push_str(
        "\nAny other code is a failure to look at all: [exit-codes.md](exit-codes.md).\n",
    );
    let mut command = Cli::command().term_width(92);
    command.build();
    let shown = |one: &&Command| !one.is_hide_set() && one.get_name() != "help";
    for one in command.get_subcommands().filter(shown) {
        page.push_str(&section(one.clone()));
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

fn section(command: Command) -> String {
    let mut command = command.term_width(92);
    let name = command.get_name().to_owned();
    // clap ends some lines with spaces.
    let help: Vec<String> =
        command.render_long_help().to_string().lines().map(|l| l.trim_end().to_owned()).collect();
    format!("\n## firecamp {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end())
}
