"""Archives on Ray."""
