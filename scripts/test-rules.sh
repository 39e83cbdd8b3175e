#!/usr/bin/env bash
# Tests the alerts and dashboards with promtool: every expression is valid PromQL, and each alert
# fires only for its cause. The first run builds promtool (needs Go and a module proxy).
set -euo pipefail
cd "$(dirname "$0")/.."
promtool=$(scripts/tool.sh promtool github.com/prometheus/prometheus/cmd/promtool tools/promtool)
cd deploy/observability
"$promtool" check rules rules.yaml
"$promtool" test rules rules-test.yaml

queries=$(mktemp)
trap 'rm -f "$queries"' EXIT
# JSON is valid YAML. Grafana variables inside quotes do not need to be replaced.
echo 'groups: [{name: dashboards, rules: [' >"$queries"
sed -n 's/^ *"expr": \(".*"\),\{0,1\}$/\1/p' ./*.json | sed 's/\$__[a-z_]*/5m/g' |
    awk '{ printf "{record: \"dashboard:%d\", expr: %s},\n", NR, $0 }' >>"$queries"
echo ']}]' >>"$queries"
all=$(cat ./*.json | grep -o '"expr":' | wc -l)
parsed=$(grep -c 'record:' "$queries")
if [[ $parsed -eq 0 || $parsed -ne $all ]]; then
    echo "test-rules: $parsed of $all queries of the dashboards were parsed" >&2
    exit 1
fi
"$promtool" check rules "$queries"
