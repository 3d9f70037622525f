"""The servers that are compared: one file each, as its own documents would have it."""
