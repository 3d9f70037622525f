"""From an archive to a SageMaker endpoint: pack, deploy, update, invoke, delete."""
