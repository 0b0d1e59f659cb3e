"""A trainer that prints as many lines as BENCH_LINES says, 116 bytes each."""

import os
import sys

BLOCK = 1000
for block in range(int(os.environ["BENCH_LINES"]) // BLOCK):
    lines = (b"%06d %03d %b\n" % (block, line, b"x" * 104) for line in range(BLOCK))
    sys.stdout.buffer.write(b"".join(lines))
