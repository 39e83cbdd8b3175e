# A member of Redis. The Sentinels say who is the primary; before there are any, it is redis-0.
own=$(busybox cat /run/firecamp.io/address)
primary=

ask() {
    for sentinel in $SENTINELS; do
        primary=$(busybox timeout 1 redis-cli --raw -h "$sentinel" -p 26379 \
            sentinel get-master-addr-by-name main 2>/dev/null | { read -r a; echo "$a"; })
        [ -z "$primary" ] || return 0
    done
}

if [ -n "$SENTINELS" ]; then
    # A primary that starts again waits until another is promoted. If the Sentinels do not agree in
    # time, it goes on with what it has on its volume.
    tries=0
    ask
    while [ -z "$primary" ] || { [ "$primary" = "$own" ] && [ $tries -lt 40 ]; }; do
        busybox sleep 1
        tries=$((tries + 1))
        ask
    done
elif [ "$POD_NAME" = redis-0 ]; then
    primary=$own
else
    while [ -z "$primary" ]; do
        primary=$(busybox timeout 1 redis-cli --raw -h redis-0.redis-static.prod.svc \
            config get replica-announce-ip 2>/dev/null | { read -r _; read -r a; echo "$a"; })
        busybox sleep 1
    done
fi
replica=
[ "$primary" = "$own" ] || replica="--replicaof $primary 6379"
echo "member $own, primary $primary"
# shellcheck disable=SC2086
exec redis-server --bind 0.0.0.0 --protected-mode no --dir /data --save '' --appendonly yes \
    --appendfsync always --repl-diskless-sync-delay 0 --replica-announce-ip "$own" $replica
