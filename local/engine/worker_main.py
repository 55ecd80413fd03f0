"""Start AWS's Lambda runtime client with the search path of one function, and nothing else of this computer's packages.

Run as ``python -I -S worker_main.py HANDLER FOLDER…``: without site-packages and without PYTHON* variables, so only the
standard library and the folders given can be imported.
"""

import runpy
import sys

if __name__ == "__main__":
    handler, *folders = sys.argv[1:]
    sys.path[:0] = folders
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__")
