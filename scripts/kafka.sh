#!/usr/bin/env bash
# Prints a directory with Kafka, ZooKeeper and their tools (libs) and a Java runtime (jre), and
# makes it first if it is not there. Needs Maven with a repository, and a JDK 17.
set -euo pipefail
cd "$(dirname "$0")/.."
dir="${CARGO_TARGET_DIR:-$PWD/target}/tools/kafka"

if ! cmp -s tools/kafka/pom.xml "$dir/built-from"; then
    for program in mvn jlink; do
        if ! command -v "$program" >/dev/null; then
            echo "kafka: $program is missing: install Maven and a JDK (Debian: maven, openjdk-17-jdk)" >&2
            exit 1
        fi
    done
    begun=$SECONDS
    rm -rf "$dir"
    mkdir -p "$dir"
    mvn -q -B -f tools/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$dir/libs" >&2
    modules=java.desktop,java.logging,java.management,java.naming,java.rmi
    modules+=,java.security.jgss,java.security.sasl,java.sql,jdk.unsupported
    jlink --output "$dir/jre" --strip-debug --no-man-pages --no-header-files \
        --add-modules "$modules"
    cp tools/kafka/pom.xml "$dir/built-from"
    echo "kafka took $((SECONDS - begun)) s" >&2
fi
cd "$dir" && pwd
