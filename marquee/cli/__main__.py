"""``python -m marquee.cli``: the ``marquee`` command, where its script is not installed."""

from marquee.cli.main import main

main()
