# A member of RabbitMQ. Nodes are named by their static addresses, which the cluster's DNS knows.
own=$(busybox cat /run/firecamp.io/address)
export HOME=/dev/shm RABBITMQ_USE_LONGNAME=true RABBITMQ_NODENAME=rabbit@$own
export RABBITMQ_MNESIA_BASE=/data/rabbitmq RABBITMQ_CONFIG_FILE=/dev/shm/rabbitmq.conf
export RABBITMQ_LOGS=- RABBITMQ_LOG_BASE=/dev/shm
export RABBITMQ_ENABLED_PLUGINS_FILE=/dev/shm/enabled_plugins
busybox cat > $RABBITMQ_CONFIG_FILE <<END
cluster_partition_handling = pause_minority
cluster_formation.discovery_retry_limit = 2
loopback_users = none
net_ticktime = 15
END
first=
for number in 0 1 2; do
    address=
    while [ -z "$address" ]; do
        address=$(busybox nslookup "rabbitmq-$number.rabbitmq-static.prod.svc.cluster.local" |
            busybox awk '/^Name/ { found = 1 } found && /^Address/ { print $2; exit }')
        [ -n "$address" ] || busybox sleep 1
    done
    first=${first:-$address}
    echo "cluster_formation.classic_config.nodes.$number = rabbit@$address" >> $RABBITMQ_CONFIG_FILE
done
# The first member makes the cluster, and the others join it.
while [ ! -d /data/rabbitmq ] && [ "$own" != "$first" ]; do
    echo 1234567 | busybox nc -w 1 "$first" 5672 | busybox grep -q AMQP && break
    busybox sleep 1
done
# The secret of the cluster: only its owner may read it.
(umask 177 && busybox cat /data/conf/cookie > $HOME/.erlang.cookie)
rabbitmq-server &
server=$!
trap 'kill -TERM $server' TERM
# Erlang 25.2 can hang if a node returns before the others noticed its absence: it starts again.
(busybox sleep 60
busybox netstat -ltn | busybox grep -q ':5672 ' || busybox killall -9 beam.smp) &
# A signal ends the first wait.
wait $server
wait $server
