"""Tests run side by side and start servers: a thread that waits must not keep a core from others.

GNU OpenMP reads this when torch is loaded, here and in all that the tests start.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
