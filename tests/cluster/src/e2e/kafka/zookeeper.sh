# A member of ZooKeeper. It learns the addresses of all members from the cluster's DNS: they never
# change.
servers=
for number in 0 1 2; do
    address=
    while [ -z "$address" ]; do
        address=$(busybox nslookup "zookeeper-$number.zookeeper-static.prod.svc.cluster.local" |
            busybox awk '/^Name/ { found = 1 } found && /^Address/ { print $2; exit }')
        [ -n "$address" ] || busybox sleep 1
    done
    servers="${servers}server.$((number + 1))=$address:2888:3888
"
done
busybox mkdir -p /data/zookeeper
echo "$((${POD_NAME##*-} + 1))" > /data/zookeeper/myid
busybox cat > /dev/shm/zoo.cfg <<END
tickTime=1000
initLimit=20
syncLimit=10
dataDir=/data/zookeeper
clientPort=2181
quorumListenOnAllIPs=true
admin.enableServer=false
4lw.commands.whitelist=srvr
$servers
END
exec java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
    -Djava.io.tmpdir=/dev/shm -Dlog4j.configuration=file:/data/conf/log4j.properties \
    -cp '/opt/kafka/*' org.apache.zookeeper.server.quorum.QuorumPeerMain /dev/shm/zoo.cfg
