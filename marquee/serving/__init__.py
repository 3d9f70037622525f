"""What runs in the foreground: ``run`` is the loop, ``serve`` what a terminal shows of it.

``door`` opens and closes the front door, and tells it every second how the models are (``beat``);
``status`` tells how everything is.
"""
