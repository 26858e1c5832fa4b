"""A cluster of Ray of several logical nodes on this machine, each with a resource of its own.

Ends with its standard input. Arguments: a folder for all that it writes, a name a node. Prints the cluster's address.
"""

import sys

from ray.cluster_utils import Cluster

OBJECT_STORE_BYTES = 80 << 20

folder, head, *others = sys.argv[1:]
small = {
    "num_cpus": 2,
    "num_gpus": 0,
    "object_store_memory": OBJECT_STORE_BYTES,
    "include_dashboard": False,
    # Any port: those of another cluster of this machine's may be taken.
    "dashboard_agent_listen_port": 0,
}
# Where RAY_TMPDIR, which holds the address for others, has it.
temp_dir = f"{folder}/ray"
cluster = Cluster(initialize_head=True, head_node_args={**small, "temp_dir": temp_dir, "resources": {head: 1}})
for name in others:
    cluster.add_node(**small, resources={name: 1})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
