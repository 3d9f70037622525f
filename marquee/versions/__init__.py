"""Which version serves: changed under live traffic, without losing a request.

In reading order: ``swap`` (the commands that move the default), ``change`` (their steps),
``candidate``, ``probe``, ``judgement`` (the one judge) and ``drain`` (each of them;
``answered`` tells when workers hold nothing any more), ``journal``, ``recovery`` and ``guard``
(what was killed is put right), ``operate`` (register, retire, scale), ``history``; ``canaries`` and
``canary`` (a part of the requests first).
"""
