"""Measures one, two and four nodes on a PostgreSQL of its own: `python e2e/python/bench_nodes.py [bench's options]`.

POSTHASTE_BIN names the binary, which should be a release; NODES which numbers of nodes, "1,2,4,1" if it is not given: the
first again at the end shows how much the machine's own speed moved meanwhile. Each run has a fresh database.
"""

import json
import os
import subprocess
import sys

from cluster import Cluster

BINARY = os.environ.get("POSTHASTE_BIN", "target/release/posthaste")
NODES = [int(number) for number in os.environ.get("NODES", "1,2,4,1").split(",")]


def measure(cluster, nodes):
    command = [BINARY, "bench", "--json", "--nodes", str(nodes), "--database-url", cluster.new_database()]
    done = subprocess.run([*command, *sys.argv[1:]], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main():
    cluster = Cluster()
    try:
        print("nodes  delivered/s  server µs  PostgreSQL µs  together  p50 ms  p99 ms  lost  twice  log bytes  per transaction")
        for nodes in NODES:
            said = measure(cluster, nodes)
            database, latency = said["database"], said["delivery_ms"]
            together = said["cpu_us_per_delivery"] + database["cpu_us_per_delivery"]
            commit = said["deliveries_per_second"] and said["messages"] * said["fanout"] / database["transactions"]
            print(f"{nodes:5}  {said['deliveries_per_second']:11.0f}  {said['cpu_us_per_delivery']:9.1f}  "
                  f"{database['cpu_us_per_delivery']:13.1f}  {together:8.1f}  {latency['p50']:6.1f}  {latency['p99']:6.1f}  "
                  f"{said['lost']:4}  {said['duplicated']:5}  {database['log_bytes_per_delivery']:9.0f}  {commit:6.1f}",
                  flush=True)
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
