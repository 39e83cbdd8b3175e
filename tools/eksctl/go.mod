// Nothing of it is built. scripts/test-cloudformation.sh takes the schema of its configuration.
module firecamp.io/tools/eksctl

go 1.26.0

require github.com/weaveworks/eksctl v0.215.0
