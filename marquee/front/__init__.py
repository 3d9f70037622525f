"""The front door: HAProxy before TorchServe. marquee writes its configuration, and talks to it.

In reading order: ``settings`` and ``origins`` (config/front.yaml), ``haproxy.cfg.j2``,
``kserve.cfg.j2``, ``refusals`` and ``config`` (what is written from it), ``program`` and ``launch``
(found, started, reloaded), ``process``, ``maps`` and ``runtime`` (the running one), ``traffic``
(what it logs).
"""
