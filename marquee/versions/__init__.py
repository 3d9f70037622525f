"""Which version serves: changed under live traffic, without losing a request.

In reading order: ``swap`` (the command), ``change`` (its steps), ``candidate``,
``probe``, ``judgement``, ``watching`` and ``drain`` (each of them; ``answered`` and ``manner`` tell
when workers hold nothing any more), ``journal``, ``recovery`` and ``guard`` (what was killed is put
right), ``operate`` (register, retire, scale), ``history``; ``canary``, ``canaries`` and ``watcher``
(a part of the requests first).
"""
