#!/usr/bin/env bash
# Checks what the tests of docs/install.md cannot run: the CloudFormation template with cfn-lint,
# the cluster for eksctl with eksctl's own schema, and the configuration of kubeadm with kubeadm's
# own types. Needs Go and a module proxy for both, and what scripts/python-tools.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."

say() {
    echo "test-cloudformation: $*" >&2
}

tools=$(scripts/python-tools.sh cfn-lint)
"$tools/cfn-lint" --non-zero-exit-code informational --template deploy/cloudformation/*.yaml
say "the template: no findings"

if ! command -v go >/dev/null; then
    say "Go is missing: install it (https://go.dev/dl)"
    exit 1
fi
# The module is older than the repository's name.
module=github.com/weaveworks/eksctl
downloaded=$(cd tools/eksctl && go mod download -json "$module")
source=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$downloaded")
"$tools/python3" - docs/install.md "$source/pkg/apis/eksctl.io/v1alpha5/assets/schema.json" <<'PYTHON'
import json, re, sys
import jsonschema, yaml

page, schema = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
block = page.split("```bash\n")[1].split("```")[0]
text = block.split("cat > cluster.yaml <<END\n")[1].split("\nEND\n")[0]
exported = re.findall(r"(\w+)=(\S+)", block.split("cat >")[0])
for name, value in sorted(exported, reverse=True):
    text = text.replace("$" + name, value)
if "$" in text:
    sys.exit("docs/install.md: an unknown variable in cluster.yaml:\n" + text)
jsonschema.validate(yaml.safe_load(text), json.loads(schema))
PYTHON
say "the cluster for eksctl: as its schema says"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/main.go" <<'GO'
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	var node kubeadm.InitConfiguration
	var cluster kubeadm.ClusterConfiguration
	documents := strings.Split(string(text), "\n---\n")
	for number, into := range []any{&node, &cluster} {
		if err == nil {
			err = yaml.UnmarshalStrict([]byte(documents[number]), into)
		}
	}
	if err != nil {
		panic(err)
	}
	network := cluster.Networking
	fmt.Println(node.APIVersion, node.Kind, cluster.APIVersion, cluster.Kind)
	fmt.Println(network.PodSubnet + "," + network.ServiceSubnet)
}
GO
found=$(sed -n '/^apiVersion: kubeadm/,/^```$/{/^```$/d;p}' docs/install.md |
    (cd tests/kubernetes/1.37 && CGO_ENABLED=0 go run -trimpath "$scratch/main.go"))
version=kubeadm.k8s.io/v1beta4
wanted="$version InitConfiguration $version ClusterConfiguration
$(sed -n 's/^export RANGES=//p' docs/install.md)"
if [[ "$found" != "$wanted" ]]; then
    say "docs/install.md, kubeadm: $found instead of $wanted"
    exit 1
fi
say "the configuration of kubeadm: as its types and RANGES say"
