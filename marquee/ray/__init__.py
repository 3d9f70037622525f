"""The same archives on Ray Serve."""
