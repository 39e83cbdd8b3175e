// Nothing of it is built. scripts/test-apiserver.sh takes the definitions of its objects.
module firecamp.io/tools/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
