# A Sentinel. The address of the first primary is one for life; the other Sentinels say who is it now.
own=$(busybox cat /run/firecamp.io/address)
busybox cat > /dev/shm/sentinel.conf <<END
port 26379
protected-mode no
sentinel announce-ip $own
sentinel monitor main $PRIMARY 6379 2
sentinel down-after-milliseconds main 5000
sentinel failover-timeout main 10000
END
exec redis-server /dev/shm/sentinel.conf --sentinel
