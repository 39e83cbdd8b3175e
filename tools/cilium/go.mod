// Nothing of it is built. scripts/test-apiserver.sh takes the definition of CiliumNetworkPolicies.
module firecamp.io/tools/cilium

go 1.26.0

require github.com/cilium/cilium v1.20.2
