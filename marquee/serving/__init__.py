"""What runs in the foreground: ``serve``, and with a front door ``door`` and ``keeper``.

``status`` tells how it is.
"""
