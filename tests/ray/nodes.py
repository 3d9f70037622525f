"""Three nodes of a Ray cluster on this machine: ``python -m tests.ray.nodes FOLDER``.

Prints the address of the head and the ids of the others. Each line of its input is the id of a
node, which is killed as a machine that loses its power; an empty line adds one. It ends with its
input.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

# Each node starts as many idle workers as it has processors.
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 << 20}


def main() -> None:
    """Run the cluster."""
    folder = sys.argv[1]
    head = NODE | {"temp_dir": folder, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = {one.node_id: one for one in (cluster.add_node(**NODE) for _ in range(2))}
    cluster.wait_for_nodes()
    sys.stdout.write(f"{cluster.address} {' '.join(nodes)}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if node := line.strip():
            cluster.remove_node(nodes.pop(node), allow_graceful=False)
        else:
            added = cluster.add_node(**NODE)
            nodes[added.node_id] = added
        sys.stdout.write("done\n")
        sys.stdout.flush()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
