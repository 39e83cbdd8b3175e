#!/usr/bin/env bash
# The alerts and the dashboards, by promtool, which this builds the first time (needs Go and a
# module proxy): is each expression PromQL, and does each alert fire by its cause alone?
set -euo pipefail
cd "$(dirname "$0")/.."
promtool=$(scripts/tool.sh promtool github.com/prometheus/prometheus/cmd/promtool tools/promtool)
cd deploy/observability
"$promtool" check rules rules.yaml
"$promtool" test rules rules-test.yaml

queries=$(mktemp)
trap 'rm -f "$queries"' EXIT
# A text of JSON is one of YAML, too. The variables of Grafana that are in quotes may stay.
echo 'groups: [{name: dashboards, rules: [' >"$queries"
sed -n 's/^ *"expr": \(".*"\),\{0,1\}$/\1/p' ./*.json | sed 's/\$__[a-z_]*/5m/g' |
    awk '{ printf "{record: \"dashboard:%d\", expr: %s},\n", NR, $0 }' >>"$queries"
echo ']}]' >>"$queries"
all=$(cat ./*.json | grep -o '"expr":' | wc -l)
seen=$(grep -c 'record:' "$queries")
if [[ $seen -eq 0 || $seen -ne $all ]]; then
    echo "test-rules: $seen of $all queries of the dashboards were understood" >&2
    exit 1
fi
"$promtool" check rules "$queries"
