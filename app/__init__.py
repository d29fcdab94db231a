"""The Content Service's media API."""

import gc
from typing import Final

# Python looks for cycles after every 700 new objects by default; importing makes a million and requests make hundreds,
# nearly none of them cycles. Measured 2026-11: 0.2 s of 1.9 s of CPU for `import app.main`.
_YOUNG_OBJECTS: Final = 20_000

gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
