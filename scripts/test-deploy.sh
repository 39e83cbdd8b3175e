#!/usr/bin/env bash
# The Helm chart and its rendered files: `test-deploy.sh check` lints the chart, renders it,
# compares the files and runs kube-score; `test-deploy.sh bless` rewrites the files. The first run
# builds Helm and Kustomize from the Go module in tools (needs Go and a module proxy).
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
# A separate module, because it depends on an older Kubernetes than the others.
score=$(scripts/tool.sh kube-score github.com/zegl/kube-score/cmd/kube-score tools/kube-score)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Ignores the user's plugins, repositories and kubeconfig.
export HOME="$work" HELM_CONFIG_HOME="$work" HELM_DATA_HOME="$work" HELM_CACHE_HOME="$work"
unset KUBECONFIG

# render NAMESPACE VALUES ...: without Helm's warnings about symbolic links.
render() {
    local namespace=$1 values=$2
    shift 2
    "$helm" template firecamp "$chart" --namespace "$namespace" --values "$values" "$@" \
        2> >(grep -v 'found symbolic link' >&2)
}

# same FILE: compares standard input with the file.
same() {
    if [[ $mode == bless ]]; then
        cat >"$1"
    elif ! diff -u "$1" - >&2; then
        fail "$1 differs from the rendered chart: run 'make bless-deploy'"
    fi
}

lint() {
    local out
    out=$("$helm" lint --strict "$chart" --values "$1" 2>&1) || fail "$1: $out"
    say "lint of $1: no finding"
}

# refused WORDS ARGS...: the chart must reject these values with a message that contains WORDS.
refused() {
    local words=$1 out
    shift
    if out=$(render firecamp-system "$chart/ci/least-values.yaml" "$@" 2>&1); then
        fail "the chart accepts: $*"
    fi
    [[ $out == *"$words"* ]] || fail "the error for $* does not contain '$words': $out"
}

# normal DIR OUT: all objects in one order and format.
normal() {
    printf 'resources: ["%s"]\nsortOptions: {order: legacy}\n' "$1" >"$work/kustomization.yaml"
    "$kustomize" build "$work" >"$2"
}

# The checks of kube-score that are ignored, each with a reason. The exceptions of a single object
# are in its annotations.
exceptions=(
    # No CPU limit: throttling would delay the restoration of addresses.
    --ignore-container-cpu-limit
    # Image versions are fixed, and a restarting node must not depend on an image registry.
    --ignore-test container-image-pull-policy
    # Only root gets an added capability; services run as the users of their images.
    --ignore-test container-security-context-user-group-id
    # Containers write only the log, which the kubelet rotates and accounts for.
    --ignore-test container-ephemeral-storage-request-and-limit
    # Pods in the host network are exempt from network policies, which do not see static addresses.
    --ignore-test pod-networkpolicy
)

# score FILES...: fails on any finding or warning.
score() {
    local out
    out=$("$score" score --exit-one-on-warning --output-format ci "${exceptions[@]}" \
        "$@" 2>&1) || fail "$(grep -v '^\[OK\]\|^\[SKIPPED\]' <<<"$out")"
    say "$(grep -c '^\[OK\]' <<<"$out") scores, no finding"
}

score deploy/daemonset.yaml deploy/examples/*.yaml deploy/examples/edge/member.yaml
# Renders with other values: every value set, and a file registry.
score tests/checks/rendered/most.yaml
score tests/checks/rendered/edge.yaml
lint "$chart/ci/least-values.yaml"
lint "$chart/ci/most-values.yaml"
lint "$chart/ci/plain-values.yaml"
lint deploy/examples/edge/values.yaml

plain="$chart/ci/plain-values.yaml"
{
    echo "# The agents. Generated from deploy/chart/firecamp by 'make bless-deploy'. Do not edit."
    render firecamp-system "$plain" --show-only templates/daemonset.yaml \
        --show-only templates/networkpolicy.yaml | grep -v '^# Source: ' | sed '/^$/d'
} | same deploy/daemonset.yaml
mutating=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy
render other "$chart/ci/most-values.yaml" --api-versions "$mutating" | sed '/^$/d' | same tests/checks/rendered/most.yaml
render edge deploy/examples/edge/values.yaml | sed '/^$/d' | same tests/checks/rendered/edge.yaml

# Helm and Kustomize must install the same objects.
render firecamp-system "$plain" >"$work/all.yaml"
normal all.yaml "$work/by-helm"
normal "$(realpath --relative-to="$work" deploy)" "$work/by-kustomize"
diff -u "$work/by-helm" "$work/by-kustomize" >&2 || fail "Helm and Kustomize differ"
count=$(grep -c '^kind: ' "$work/by-helm")
[[ $count -gt 20 ]] || fail "expected more than 20 objects, found $count"
say "$count objects, the same by Helm and by Kustomize"

for version in v1 v1beta1; do
    render firecamp-system "$plain" --show-only templates/injection.yaml \
        --api-versions "${mutating/v1/$version}" >"$work/all.yaml"
    normal all.yaml "$work/by-helm"
    cat deploy/injection/mutation.yaml <(echo ---) deploy/injection/guard.yaml |
        sed "/^apiVersion/{N;s#/v1\n\(kind: Mutating\)#/$version\n\1#}" >"$work/both.yaml"
    normal both.yaml "$work/by-kustomize"
    diff -u "$work/by-helm" "$work/by-kustomize" >&2 || fail "Helm and deploy/injection differ"
done

refused "clusterName is empty" --set clusterName=
refused "clustername" --set clustername=prod
refused "/image/digest" --set image.digest=sha256:12
refused "/members/namespaces" --set 'members.namespaces={Prod}'
refused "/injection/resources/cpu" --set injection.resources.cpu=-1
refused "/host/runDir" --set host.runDir=run
refused "/registry" --set registry=file:/var/lib/firecamp
refused "/maxUnavailable" --set maxUnavailable=0
refused "/maxUnavailable" --set maxUnavailable=0%
refused "/maxUnavailable" --set maxUnavailable=101%
say "all is well"
