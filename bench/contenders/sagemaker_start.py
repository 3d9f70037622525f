"""Start SageMaker's PyTorch toolkit as its containers do: its `serving.main`.

Two things it does fit a container only, and are moved: it writes its configuration to /etc, and it
refuses to run beside another TorchServe.
"""

import sys
from pathlib import Path

import psutil
from sagemaker_pytorch_serving_container import serving, torchserve


def own_server() -> psutil.Process:
    """Return the Java process that was started from this folder."""
    here = str(Path.cwd())
    for process in psutil.process_iter():
        try:
            if torchserve.TS_NAMESPACE in process.cmdline() and process.cwd() == here:
                return process
        except psutil.Error:
            continue
    raise RuntimeError("TorchServe did not start")


if __name__ == "__main__":
    torchserve.TS_CONFIG_FILE = str(Path.cwd() / "sagemaker-ts.properties")
    own_properties = torchserve._generate_ts_config_properties

    def with_ports(handler_service: str) -> str:
        """Return the toolkit's configuration, and ports that nobody else has."""
        return str(own_properties(handler_service)) + "\n".join(sys.argv[1:]) + "\n"

    torchserve._generate_ts_config_properties = with_ports
    serving.torchserve._retrieve_ts_server_process = serving.retry(stop_max_delay=10_000)(
        own_server
    )
    serving.main()
