# A member of Redis. The Sentinels know the primary; before there are any, it is redis-0.
own=$(busybox cat /run/firecamp.io/address)
primary=

ask() {
    for number in 0 1 2; do
        primary=$(busybox timeout 1 redis-cli --raw -h "sentinel-$number.sentinel-static.prod.svc" \
            -p 26379 sentinel get-master-addr-by-name main 2>/dev/null | { read -r a; echo "$a"; })
        [ -z "$primary" ] || return 0
    done
}

# A primary that starts again is empty: whoever has the data must be promoted first.
tries=0
ask
while [ "$primary" = "$own" ] && [ $tries -lt 15 ]; do
    busybox sleep 1
    tries=$((tries + 1))
    ask
done
while [ -z "$primary" ]; do
    [ "$POD_NAME" != redis-0 ] || primary=$own
    [ -n "$primary" ] || primary=$(busybox timeout 1 redis-cli --raw \
        -h redis-0.redis-static.prod.svc config get replica-announce-ip 2>/dev/null |
        { read -r _; read -r a; echo "$a"; })
    busybox sleep 1
done
replica=
[ "$primary" = "$own" ] || replica="--replicaof $primary 6379"
echo "member $own, primary $primary"
exec redis-server --bind 0.0.0.0 --protected-mode no --dir /dev/shm --save '' \
    --repl-diskless-sync-delay 0 --replica-announce-ip "$own" $replica
