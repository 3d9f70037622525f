"""How a model is best set on this machine: settings tried under load, on a server of their own.

The way through: :mod:`marquee.tuning.tune` takes the steps, :mod:`marquee.tuning.climb` says which
setting comes next, :mod:`marquee.tuning.duel` measures it against the best so far, in turns.
"""
