"""What runs in the foreground: ``run`` is the loop, ``serve`` what a terminal shows of it.

With a front door ``door`` opens and closes it, and ``keeper`` tells it every second how the models
are. ``status`` tells how everything is.
"""
