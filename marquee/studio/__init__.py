"""Pages to try models on, to operate their server, and to send jobs, made from declarations.

In reading order: ``connection`` (which server), ``app`` (the page), ``tryout``, ``operate`` and
``jobs`` (its tabs), ``run`` (the web server). Gradio is imported by those who make pages alone.
"""
