# A member of PostgreSQL. postgres-0 is the primary; the replica copies it, and follows its address.
export PGDATA=/data/postgres
if [ ! -s $PGDATA/PG_VERSION ]; then
    busybox rm -rf $PGDATA
    if [ "$POD_NAME" = postgres-0 ]; then
        initdb --username postgres --auth trust --encoding UTF8 --locale C
        echo 'host all,replication postgres 10.0.0.0/8 trust' >> $PGDATA/pg_hba.conf
    else
        primary=
        while [ -z "$primary" ]; do
            busybox sleep 1
            primary=$(busybox nslookup postgres-0.postgres-static.prod.svc.cluster.local |
                busybox awk '/^Name/ { found = 1 } found && /^Address/ { print $2; exit }')
        done
        until pg_basebackup --host "$primary" --username postgres --pgdata $PGDATA \
            --write-recovery-conf; do
            busybox rm -rf $PGDATA
            busybox sleep 1
        done
    fi
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/dev/shm
