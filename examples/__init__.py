"""What a client does with the cloud on this machine: five pipelines, and a notebook."""
