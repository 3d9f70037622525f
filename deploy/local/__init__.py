"""The whole cloud on one machine: emulated services, the stack, real functions, real models."""
