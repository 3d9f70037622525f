"""The ``marquee`` command's subcommands, a file for each group of them.

They import what they need inside the functions: ``marquee token`` and ``marquee env`` must be
quick, and torch alone takes seconds.
"""
