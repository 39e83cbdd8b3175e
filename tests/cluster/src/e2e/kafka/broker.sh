# A broker of Kafka. Everybody knows it by its address.
own=$(busybox cat /run/firecamp.io/address)
busybox cat > /dev/shm/server.properties <<END
broker.id=${POD_NAME##*-}
zookeeper.connect=$ZOOKEEPER
listeners=PLAINTEXT://0.0.0.0:9092
advertised.listeners=PLAINTEXT://$own:9092
log.dirs=/data/kafka
log.cleaner.dedupe.buffer.size=4194304
num.partitions=3
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
END
exec java "-Xmx${HEAP:-256}m" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
    -Djava.io.tmpdir=/dev/shm -Dlog4j.configuration=file:/data/conf/log4j.properties \
    -cp '/opt/kafka/*' kafka.Kafka /dev/shm/server.properties
