"""The archives of a project on a Ray cluster, at the addresses that TorchServe has.

``application`` deploys what is to be served, ``replica`` runs an archive, ``door`` takes requests,
``hub`` is what all of them know; ``run`` is ``marquee ray serve``. ``pack``, ``packed``, ``config``
and ``manifest`` take an archive to where marquee is not installed.
"""
