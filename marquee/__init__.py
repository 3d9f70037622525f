"""The operator's side: build archives, run TorchServe. Handlers never import this."""
