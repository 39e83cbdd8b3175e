#!/usr/bin/env bash
# The Helm chart, and what is made of it: `test-deploy.sh check` lints it, renders it and compares,
# `test-deploy.sh bless` rewrites what is kept of it. Builds Helm and Kustomize from the Go module
# in tools (needs Go and a module proxy; minutes once, then nothing). kube-score looks at the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
chart=deploy/chart/firecamp

say() {
    echo "test-deploy: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

case ${1:-} in
    check | bless) mode=$1 ;;
    *) echo "usage: test-deploy.sh check|bless" >&2; exit 2 ;;
esac

helm=$(scripts/tool.sh helm helm.sh/helm/v4/cmd/helm tools)
kustomize=$(scripts/tool.sh kustomize sigs.k8s.io/kustomize/kustomize/v5 tools)
# Of an older Kubernetes than the others, so a module of its own.
score=$(scripts/tool.sh kube-score github.com/zegl/kube-score/cmd/kube-score tools/kube-score)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of whoever runs it: no plugins, no repositories, no kubeconfig.
export HOME="$work" HELM_CONFIG_HOME="$work" HELM_DATA_HOME="$work" HELM_CACHE_HOME="$work"
unset KUBECONFIG

# render NAMESPACE VALUES ...: what is said of symbolic links is of no use here.
render() {
    local namespace=$1 values=$2
    shift 2
    "$helm" template firecamp "$chart" --namespace "$namespace" --values "$values" "$@" \
        2> >(grep -v 'found symbolic link' >&2)
}

# kept FILE: is standard input what the file has?
kept() {
    if [[ $mode == bless ]]; then
        cat >"$1"
    elif ! diff -u "$1" - >&2; then
        fail "$1 is not what the chart makes of its values: run 'make bless-deploy'"
    fi
}

lint() {
    local out
    out=$("$helm" lint --strict "$chart" --values "$1" 2>&1) || fail "$1: $out"
    say "lint of $1: no finding"
}

# refused WORDS ARGS...: these values are turned down, and the message has those words.
refused() {
    local words=$1 out
    shift
    if out=$(render firecamp-system "$chart/ci/least-values.yaml" "$@" 2>&1); then
        fail "taken: $*"
    fi
    [[ $out == *"$words"* ]] || fail "$* is refused without '$words': $out"
}

# normal DIR OUT: all objects in one order and one spelling.
normal() {
    printf 'resources: ["%s"]\nsortOptions: {order: legacy}\n' "$1" >"$work/kustomization.yaml"
    "$kustomize" build "$work" >"$2"
}

# What kube-score asks for and is not done here, each for a reason. A single object's exceptions are
# in its annotations.
exceptions=(
    # Who lacks processor time should be slow, not halted: an address waits for it.
    --ignore-container-cpu-limit
    # Versions are fixed, and a node that restarts must not depend on a registry.
    --ignore-test container-image-pull-policy
    # A capability is given to root alone; services run as the users of their images.
    --ignore-test container-security-context-user-group-id
    # Nothing is written but the log, which the kubelet rotates and would evict a pod for.
    --ignore-test container-ephemeral-storage-request-and-limit
    # Pods in the host's network are exempt from network policies.
    --ignore-test pod-networkpolicy
)

# score FILES...: no finding, and no warning.
score() {
    local out
    out=$("$score" score --exit-one-on-warning --output-format ci "${exceptions[@]}" \
        "$@" 2>&1) || fail "$(grep -v '^\[OK\]\|^\[SKIPPED\]' <<<"$out")"
    say "$(grep -c '^\[OK\]' <<<"$out") scores, no finding"
}

score deploy/daemonset.yaml deploy/examples/*.yaml deploy/examples/edge/member.yaml
# As other values render it: everything that can be set, and a machine without a cluster's records.
score tests/checks/rendered/most.yaml
score tests/checks/rendered/edge.yaml
lint "$chart/ci/least-values.yaml"
lint "$chart/ci/most-values.yaml"
lint "$chart/ci/plain-values.yaml"
lint deploy/examples/edge/values.yaml

plain="$chart/ci/plain-values.yaml"
{
    echo "# The agents. Made of deploy/chart/firecamp by 'make bless-deploy'; to change it, change that."
    render firecamp-system "$plain" --show-only templates/daemonset.yaml \
        --show-only templates/networkpolicy.yaml | grep -v '^# Source: ' | sed '/^$/d'
} | kept deploy/daemonset.yaml
render other "$chart/ci/most-values.yaml" | sed '/^$/d' | kept tests/checks/rendered/most.yaml
render edge deploy/examples/edge/values.yaml | sed '/^$/d' | kept tests/checks/rendered/edge.yaml

# With Helm and without it the same is installed.
render firecamp-system "$plain" >"$work/all.yaml"
normal all.yaml "$work/by-helm"
normal "$(realpath --relative-to="$work" deploy)" "$work/by-kustomize"
diff -u "$work/by-helm" "$work/by-kustomize" >&2 || fail "Helm and Kustomize install unlike things"
count=$(grep -c '^kind: ' "$work/by-helm")
[[ $count -gt 20 ]] || fail "only $count objects"
say "$count objects, the same by Helm and by Kustomize"

refused "clusterName is empty" --set clusterName=
refused "clustername" --set clustername=prod
refused "/image/digest" --set image.digest=sha256:12
refused "/members/namespaces" --set 'members.namespaces={Prod}'
refused "/host/runDir" --set host.runDir=run
refused "/registry" --set registry=file:/var/lib/firecamp
refused "/maxUnavailable" --set maxUnavailable=0
refused "/maxUnavailable" --set maxUnavailable=0%
refused "/maxUnavailable" --set maxUnavailable=101%
say "all is well"
